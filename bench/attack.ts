/**
 * Whether honest clients notice an attack: `npm run bench:attack`. Five hundred of them are in ping-pong through a
 * gateway that has the guard of docs/operations.md, while it is attacked in one way after the other; nothing of
 * theirs may be lost, and the gateway's memory must stay bounded. Three processes: the gateway on a core of its
 * own; the honest clients with the manager, and the attacker, which gives way to them, on another.
 *
 * Then the trials (attack/neighbours/): a hundred honest clients say lines on a gateway with default settings, while
 * others take more than their share of it.
 *
 *     --only a,b            these attacks and trials only
 *     --clients 1,10        the trials with so many clients
 *     --seconds N           how long each goes on (30)
 *     --manager node        behind the trials' gateways is the reference manager, and not the one in C
 *     --gateway DIR         the trials' gateways are of another checkout
 *
 * Needs two cores, `taskset` and gcc, and says so.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Attack } from "./attack/attack.ts";
import { Attacker } from "./attack/attacker.ts";
import { attacks } from "./attack/attacks/index.ts";
import { AttackedGateway } from "./attack/gateway.ts";
import { HonestClients } from "./attack/honest.ts";
import { trialLine, trialTable } from "./attack/neighbours/report.ts";
import { carryOutTrial, type TrialOutcome } from "./attack/neighbours/run.ts";
import { type ManagerKind, managerKinds, prepare, type Troupe } from "./attack/neighbours/stage.ts";
import type { Trial } from "./attack/neighbours/trial.ts";
import { trials } from "./attack/neighbours/trials/index.ts";
import { Newcomers } from "./attack/newcomers.ts";
import { isGood, judge, type Outcome } from "./attack/outcome.ts";
import { gatewayFlags } from "./attack/profile.ts";
import { achieved, tables, verdictLine } from "./attack/report.ts";
import { type Cores, takeCores } from "./machine.ts";
import { Processes } from "./processes.ts";

/** Honest clients. */
const HONEST = 500;
/** How long it is quiet before an attack, at the most. */
const QUIET_SECONDS = 5;
/** Newly connected clients have this long until they are measured. */
const WARM_MS = 2000;
/** Full token buckets for the next attack, as this one had them. */
const REFILL_MS = 3000;
const PAUSE_RESOLUTION_MS = 5;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    only: { type: "string", default: "" },
    clients: { type: "string" },
    manager: { type: "string", default: "c" },
    gateway: { type: "string", default: join(import.meta.dirname, "..") },
    json: { type: "string" },
    "gateway-node-flags": { type: "string", default: "" },
  },
});

/** What is to be run. */
interface Chosen {
  readonly attacks: readonly Attack[];
  readonly trials: readonly Trial[];
}

function choose(): Chosen {
  if (values.only === "") return { attacks, trials };
  const names = values.only.split(",");
  const known = [...attacks, ...trials].map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no attack is named '${unknown}': ${known.join(", ")}`);
  return {
    attacks: attacks.filter(({ name }) => names.includes(name)),
    trials: trials.filter(({ name }) => names.includes(name)),
  };
}

function chosenManager(): ManagerKind {
  const kind = managerKinds.find((one) => one === values.manager);
  if (kind === undefined) throw new Error(`--manager must be ${managerKinds.join(" or ")}`);
  return kind;
}

/** The parts of a run. */
interface Stage {
  readonly attacker: Attacker;
  readonly gateway: AttackedGateway;
  readonly honest: HonestClients;
  readonly newcomers: Newcomers;
}

async function carryOut(attack: Attack, seconds: number, stage: Stage): Promise<Outcome> {
  const { attacker, gateway, honest, newcomers } = stage;
  const assault = await attack.assault(gateway.ports);
  await honest.connect();
  const broadcasts = new Broadcasts(attack.broadcasts ?? 0, stage);
  await setTimeout(WARM_MS);
  honest.reset();
  await setTimeout(Math.min(seconds, QUIET_SECONDS) * 1000);
  const before = honest.roundTrips;
  await gateway.watch();
  honest.reset();
  newcomers.start();
  const pauses = monitorEventLoopDelay({ resolution: PAUSE_RESOLUTION_MS });
  pauses.enable();
  const result = await attacker.run(assault, seconds);
  gateway.attackEnded();
  pauses.disable();
  broadcasts.stop();
  const arrived = await newcomers.stop();
  const during = honest.roundTrips;
  const losses = await honest.settle();
  const cost = await gateway.finish(HONEST);
  return {
    name: attack.name,
    title: attack.title,
    assault: result,
    broadcasts: broadcasts.count,
    before,
    during,
    losses,
    newcomers: arrived,
    cost,
    mayGrowMiB: attack.mayGrowMiB,
    ownPauseMs: pauses.max / 1e6 - PAUSE_RESOLUTION_MS,
    verdict: judge(attack, losses, cost),
  };
}

/** Broadcasts at a steady rate. */
class Broadcasts {
  count = 0;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(rate: number, { gateway, honest }: Stage) {
    if (rate === 0) return;
    this.#timer = setInterval(() => {
      this.count++;
      honest.expectBroadcast();
      gateway.broadcast();
    }, 1000 / rate);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** What a run has. */
interface Run {
  readonly processes: Processes;
  readonly cores: Cores;
  readonly directory: string;
  readonly attacker: Attacker;
  readonly seconds: number;
  readonly nodeFlags: readonly string[];
}

async function runAttacks(chosen: readonly Attack[], run: Run): Promise<Outcome[]> {
  const { processes, cores, directory, attacker, seconds, nodeFlags } = run;
  if (chosen.length === 0) return [];
  const gateway = await AttackedGateway.start(processes, cores.gateway.at(-1) ?? 0, directory, nodeFlags);
  const { stream } = gateway.ports;
  const honest = new HonestClients(gateway.ports, HONEST);
  const stage = { attacker, gateway, honest, newcomers: new Newcomers(stream) };
  console.log(`gateway: ${gatewayFlags().join(" ")}\n`);
  const outcomes: Outcome[] = [];
  for (const attack of chosen) {
    const outcome = await carryOut(attack, seconds, stage);
    outcomes.push(outcome);
    console.log(verdictLine(outcome));
    console.log(`  ${achieved(attack, outcome.assault)}`);
    await setTimeout(REFILL_MS);
  }
  honest.close();
  await gateway.stop();
  return outcomes;
}

async function runTrials(chosen: readonly Trial[], run: Run): Promise<TrialOutcome[]> {
  if (chosen.length === 0) return [];
  const troupe: Troupe = { ...run, manager: chosenManager(), gatewayRoot: resolve(values.gateway) };
  prepare(troupe);
  const outcomes: TrialOutcome[] = [];
  for (const trial of chosen) {
    for (const clients of values.clients?.split(",").map(Number) ?? trial.clients) {
      const outcome = await carryOutTrial(trial, clients, run.seconds, run.attacker, troupe);
      outcomes.push(outcome);
      console.log(trialLine(outcome));
    }
  }
  return outcomes;
}

const processes = new Processes();
const directory = mkdtempSync(join(tmpdir(), "sidegate-attack-"));
process.on("exit", () => {
  processes.killAll();
  rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
const chosen = choose();
const cores = takeCores();
const run: Run = {
  processes,
  cores,
  directory,
  attacker: new Attacker(processes, cores.load, directory),
  seconds: Number(values.seconds),
  nodeFlags: values["gateway-node-flags"].split(" ").filter((flag) => flag !== ""),
};
console.log(
  `Node ${process.version}; the gateway on core ${cores.gateway.at(-1)}, everything else on core ${cores.load}`,
);
const outcomes = await runAttacks(chosen.attacks, run);
const trialOutcomes = await runTrials(chosen.trials, run);
if (outcomes.length > 0) console.log(`\n${tables(outcomes)}`);
if (trialOutcomes.length > 0) console.log(`\n${trialTable(trialOutcomes)}`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify([...outcomes, ...trialOutcomes], null, 2)}\n`);
const good =
  outcomes.every(({ verdict }) => isGood(verdict)) &&
  trialOutcomes.every(({ complaints }) => complaints.length === 0);
process.exit(good ? 0 : 1);
