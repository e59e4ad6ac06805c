/**
 * A chaos run in which the manager is a process that is killed again and again, and its links are cut besides. Nobody is
 * disconnected, each new manager is told of exactly those who are there, and what was lost with the old one is told to
 * the byte.
 */

import { join } from "node:path";
import type { TestContext } from "node:test";
import { Random } from "../fuzz/random.ts";
import { TestProcess } from "../helpers/process.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { capacityOf } from "./account-parts.ts";
import { farewells } from "./chaos-client.ts";
import { drawFaults, type FaultPlan } from "./fault-plan.ts";
import { replayJournal } from "./journal.ts";
import { Stage } from "./stage.ts";

export interface KillingOptions {
  readonly seed: number;
  /** How often the manager is killed at least, and how long the run takes at least. */
  readonly kills: number;
  readonly seconds: number;
  readonly clients: number;
  /** The manager is killed once clients have said so many records more, up to twice as many. */
  readonly recordsBetween: number;
}

/** Of a manager's links, so many are cut before it is killed. */
const CUT_SHARE = 0.85;
/** So often it dies as soon as the gateway has registered: while it is told who is there. */
const EARLY_SHARE = 0.25;
/** Some who have half gone are there to be announced to the next manager. */
const HALF_CLOSE_MS = 600;
/** How often clients say something: the manager is to follow. */
const PUMP_MS = 4;

/** The managers of a run, one after the other on one socket. */
class Managers {
  readonly target: string;
  #current: TestProcess;
  incarnation = 1;
  readonly #t: TestContext;
  readonly #directory: string;
  readonly #seed: number;

  constructor(t: TestContext, seed: number) {
    this.#t = t;
    this.#seed = seed;
    this.#directory = temporaryDirectory(t);
    this.target = join(this.#directory, "manager.sock");
    this.#current = this.#start();
  }

  get listens(): boolean {
    return this.#current.ready;
  }

  /** Where an incarnation has noted what it did and heard. */
  journalOf(incarnation: number): string {
    return join(this.#directory, `journal-${incarnation}`);
  }

  async kill(): Promise<void> {
    this.#current.child.kill("SIGKILL");
    await this.#current.exited;
  }

  startNext(): void {
    this.incarnation++;
    this.#current = this.#start();
  }

  /** Has it send nothing more by itself; gives how many records it has sent to each client. */
  async quiet(): Promise<ReadonlyMap<number, number>> {
    const { child } = this.#current;
    const answered = next<[[number, number][]]>(child, "message");
    child.send("quiet");
    const [sent] = await answered;
    return new Map(sent);
  }

  #start(): TestProcess {
    const { incarnation } = this;
    const args = [`unix:${this.target}`, this.journalOf(incarnation), `${incarnation}`, `${this.#seed}`];
    return new TestProcess(this.#t, "test/chaos/manager-program.ts", args);
  }
}

/** @returns what was seen, in words */
export async function runKilling(t: TestContext, options: KillingOptions): Promise<string> {
  const { seed, kills, seconds, clients, recordsBetween } = options;
  const random = new Random(seed);
  const managers = new Managers(t, seed);
  await until(() => managers.listens, "the first manager listens");
  const stage = await Stage.start(t, {
    seed,
    clients,
    managers: [{ target: managers.target }],
    settings: { halfCloseMs: HALF_CLOSE_MS },
    window: Number.POSITIVE_INFINITY,
    // What a client without framing says may begin in the middle for a new manager, which then finds no bye in it.
    farewells: (framed) => (framed ? farewells : farewells.filter((how) => how !== "bye")),
  });
  const { crowd, account, tap } = stage;
  const { counters, sessions } = stage.gateway;
  await stage.fill();

  let pumpedAt = 0;
  const pump = () => {
    const now = performance.now();
    if (now - pumpedAt < PUMP_MS) return;
    pumpedAt = now;
    crowd.pump();
  };
  const registered = () => tap.beginnings.has(capacityOf(managers.incarnation));
  const replay = () =>
    replayJournal(managers.journalOf(managers.incarnation), account.incarnation(managers.incarnation));

  stage.disturb(drawSomeFaults);
  let killed = 0;
  for (; killed < kills || stage.elapsedMs < seconds * 1000; killed++) {
    const early = random.chance(EARLY_SHARE);
    const enough = counters.inMsgs + recordsBetween * (1 + random.next());
    const due = () => registered() && (early || counters.inMsgs >= enough);
    await stage.until(due, `manager ${managers.incarnation} was told enough`, pump);
    await managers.kill();
    replay();
    managers.startNext();
    await stage.until(() => managers.listens, `manager ${managers.incarnation} listens`, pump);
  }
  const complete = () => registered() && sessions.closedFor === undefined;
  await stage.until(complete, "the last manager has the whole picture", pump);

  stage.calm();
  const sent = await managers.quiet();
  const { incarnation } = managers;
  const heardAll = () =>
    crowd.permanent.every(
      ({ id, directed }) => (directed.get(incarnation)?.last ?? 0) === (sent.get(id) ?? 0),
    );
  await stage.until(heardAll, "everybody has heard what the last manager has said");
  await stage.empty(({ id, framed }) => (framed && id % 4 !== 0 ? "bye" : "half-close"));
  await managers.kill();
  replay();
  const told = stage.finish({ kills: killed, recordsBetween, admit: seed % 2 === 1 }, [incarnation]);
  return `${told}\n  ${losses(stage)}`;
}

function drawSomeFaults(random: Random): FaultPlan {
  const { cut, ...rest } = drawFaults(random);
  return random.chance(CUT_SHARE) && cut !== undefined ? { cut, ...rest } : rest;
}

/** What clients have said against what became of it. */
function losses({ tap, account }: Stage): string {
  const sums = { handed: 0, acknowledged: 0, lost: 0 };
  for (const { handed, acknowledged, lost } of tap.sessions.values()) {
    sums.handed += handed;
    sums.acknowledged += acknowledged;
    sums.lost += lost;
  }
  const received = account.receivedOf.values().reduce((sum, bytes) => sum + bytes, 0);
  return (
    `bytes handed to links ${sums.handed} = acknowledged ${sums.acknowledged} + told as lost ${sums.lost}; ` +
    `received by all managers ${received}: of those told as lost ${received - sums.acknowledged} had been received, ` +
    `${sums.handed - received} had not`
  );
}
