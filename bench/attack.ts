/**
 * Whether honest clients notice an attack: `npm run bench:attack`. Five hundred of them are in ping-pong through a
 * gateway that has the guard of docs/operations.md, while it is attacked in one way after the other; nothing of
 * theirs may be lost, and the gateway's memory must stay bounded. Three processes: the gateway on a core of its
 * own; the honest clients with the manager, and the attacker, which gives way to them, on another.
 *
 * Needs two cores, `taskset` and gcc, and says so.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Attack } from "./attack/attack.ts";
import { Attacker } from "./attack/attacker.ts";
import { attacks } from "./attack/attacks/index.ts";
import { AttackedGateway } from "./attack/gateway.ts";
import { HonestClients } from "./attack/honest.ts";
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
    json: { type: "string" },
    "gateway-node-flags": { type: "string", default: "" },
  },
});

function chosenAttacks(): readonly Attack[] {
  if (values.only === "") return attacks;
  return values.only.split(",").map((name) => {
    const attack = attacks.find((one) => one.name === name);
    if (attack !== undefined) return attack;
    throw new Error(`no attack is named '${name}': ${attacks.map((one) => one.name).join(", ")}`);
  });
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

async function run(processes: Processes, cores: Cores, directory: string): Promise<Outcome[]> {
  const seconds = Number(values.seconds);
  const chosen = chosenAttacks();
  const attacker = new Attacker(processes, cores.load, directory);
  const core = cores.gateway.at(-1) ?? 0;
  const nodeFlags = values["gateway-node-flags"].split(" ").filter((flag) => flag !== "");
  const gateway = await AttackedGateway.start(processes, core, directory, nodeFlags);
  const { stream } = gateway.ports;
  const honest = new HonestClients(gateway.ports, HONEST);
  const stage = { attacker, gateway, honest, newcomers: new Newcomers(stream) };
  console.log(`Node ${process.version}; the gateway on core ${core}, everything else on core ${cores.load}`);
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

const processes = new Processes();
const directory = mkdtempSync(join(tmpdir(), "sidegate-attack-"));
process.on("exit", () => {
  processes.killAll();
  rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
const outcomes = await run(processes, takeCores(), directory);
console.log(`\n${tables(outcomes)}`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(outcomes, null, 2)}\n`);
process.exit(outcomes.every(({ verdict }) => isGood(verdict)) ? 0 : 1);
