/**
 * A run of the fuzzer on one read path: several lives of a gateway, each of many rounds of connections, and while these
 * come and go something else happens. Behind each round the gateway has to be as it was before.
 */

import { connect, type Socket } from "node:net";
import { carryOut, recordHello } from "./attempt.ts";
import type { Account } from "./gateway-program.ts";
import { listeners } from "./listeners.ts";
import { describePlan, Planner } from "./plan.ts";
import { FuzzFailure, Stage, type StageOptions } from "./stage.ts";
import { CAPACITY, type Mood } from "./whims.ts";

export interface RunOptions extends Pick<StageOptions, "readPath" | "seed"> {
  readonly connections: number;
  /** Told how far it is. */
  readonly report?: (line: string) => void;
}

export interface Summary {
  readonly connections: number;
  readonly systematic: number;
  readonly perSecond: number;
  /** Clients to whom the gateway said something. */
  readonly answered: number;
  readonly joins: number;
  /** Every code by which the gateway turned somebody away, and ended somebody. */
  readonly refusals: readonly string[];
  readonly ends: readonly string[];
  /** What the gateway's heap has grown between its first rounds and the last ones, bytes. */
  readonly grownBytes: number;
}

/** How many connections are there at once. */
const AT_ONCE = 300;

/** Connections of a round: of what is systematic; of what is drawn, first, so that each kind is seen soon; and later. */
const SYSTEMATIC_ROUND = 2000;
const FIRST_ROUNDS = 600;
const LATER_ROUNDS = 4000;
/** The last so many of a life see the gateway's end. */
const DRAIN_ROUND = 150;

/** What else happens: nothing; or what the manager does; all places but a few are taken; it is gone for a while. */
const kinds = ["dropping", "full", "admitting", "lost", "calm"] as const;
type Kind = (typeof kinds)[number];

/** Where there is hardly any room, so many places are left. */
const FEW_PLACES = 60;
const MANY_PLACES = CAPACITY - listeners.length - FEW_PLACES;
/** More than there are files for, where these are few. */
const MANY_FILES = 50;

const moods: Readonly<Record<Kind, Mood>> = {
  calm: "calm",
  dropping: "dropping",
  full: "calm",
  admitting: "admitting",
  lost: "calm",
};

/** The parts of a run that each life of a gateway has. It begins anew with few open files once, for its third. */
const lives = [
  { share: 0.9 },
  { share: 0.04 },
  { share: 0.03, maxFiles: 110 },
  { share: 0.03 },
] as const satisfies readonly { readonly share: number; readonly maxFiles?: number }[];

/** So many of those that have gone before the gateway did may have ended it. */
const SUSPECTS = 400;
/** A heap is compared with what it was behind this round. */
const WARM_ROUNDS = 3;
/** Connections, when it is looked for who has ended the gateway. */
const REPLAYS = 2000;

/** The round of a connection: what else happens in it, and the first connection behind it. */
function roundOf(
  number: number,
  { systematicCount }: Planner,
): { readonly kind: Kind; readonly end: number } {
  // What is systematic is not disturbed.
  if (number < systematicCount) {
    const end = (Math.floor(number / SYSTEMATIC_ROUND) + 1) * SYSTEMATIC_ROUND;
    return { kind: "calm", end: Math.min(end, systematicCount) };
  }
  const firstCount = kinds.length * FIRST_ROUNDS;
  const isFirst = number - systematicCount < firstCount;
  const length = isFirst ? FIRST_ROUNDS : LATER_ROUNDS;
  const begin = systematicCount + (isFirst ? 0 : firstCount);
  const round = Math.floor((number - begin) / length);
  return { kind: kinds[round % kinds.length] ?? "calm", end: begin + (round + 1) * length };
}

/** How to see a connection again. */
export function commandOf({ readPath, seed }: Pick<RunOptions, "readPath" | "seed">, number: number): string {
  return `npm run fuzz:handshakes -- --read-path ${readPath} --seed ${seed} --only ${number}`;
}

/**
 * Runs the fuzzer on one read path.
 *
 * @throws FuzzFailure that says what went wrong, and how to see it again
 */
export async function fuzzHandshakes(options: RunOptions): Promise<Summary> {
  const run = new Run(options, new Planner(options.seed, await recordHello()));
  return run.go();
}

/**
 * Does one connection of a run again, so many times, and nothing else.
 *
 * @returns what it does
 * @throws FuzzFailure as `fuzzHandshakes`
 */
export async function replay(
  options: Pick<RunOptions, "readPath" | "seed">,
  number: number,
  times = REPLAYS,
): Promise<string> {
  const planner = new Planner(options.seed, await recordHello());
  await replayAll(options, planner, [number], times);
  return describePlan(planner.plan(number));
}

/** Does some connections of a run again, in turn, until there were so many. */
async function replayAll(
  options: Pick<RunOptions, "readPath" | "seed">,
  planner: Planner,
  numbers: readonly number[],
  times: number,
): Promise<void> {
  const [first = 0] = numbers;
  const stage = await Stage.open(options, moods[roundOf(first, planner).kind]);
  try {
    const plans = numbers.map((number) => planner.plan(number));
    let begun = 0;
    const one = async () => {
      while (begun < times && stage.gateway.exit === undefined) {
        const plan = plans[begun++ % plans.length];
        if (plan !== undefined) await carryOut(plan, stage.gateway.placeOf(plan.listener));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    await stage.settle();
    stage.check();
  } finally {
    await stage.close();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #planner: Planner;
  readonly #begunAt = performance.now();
  readonly #open = new Set<number>();
  /** Those that have gone last. */
  readonly #recent: number[] = [];
  /** Connections that the gateway had to end, and did not. */
  readonly #left: number[] = [];
  readonly #refusals = new Set<string>();
  readonly #ends = new Set<string>();
  #begun = 0;
  #done = 0;
  #answered = 0;
  #joins = 0;
  #grownBytes = 0;

  constructor(options: RunOptions, planner: Planner) {
    this.#options = options;
    this.#planner = planner;
  }

  async go(): Promise<Summary> {
    const { connections } = this.#options;
    let from = 0;
    let share = 0;
    for (const life of lives) {
      share += life.share;
      const to = life === lives.at(-1) ? connections : Math.round(connections * share);
      await this.#live(from, to, "maxFiles" in life ? life.maxFiles : undefined);
      from = to;
    }
    return {
      connections: this.#done,
      systematic: Math.min(connections, this.#planner.systematicCount),
      perSecond: Math.round((this.#done / (performance.now() - this.#begunAt)) * 1000),
      answered: this.#answered,
      joins: this.#joins,
      refusals: [...this.#refusals].sort(),
      ends: [...this.#ends].sort(),
      grownBytes: this.#grownBytes,
    };
  }

  /** One gateway, from its start to its drain. */
  async #live(from: number, to: number, maxFiles: number | undefined): Promise<void> {
    const stage = await Stage.open({ ...this.#options, maxFiles });
    let suspects: readonly number[] = [];
    stage.gateway.exited.then(() => {
      suspects = [...this.#open, ...this.#recent.toReversed()];
    });
    try {
      let heapBytes = 0;
      const drain = Math.max(from, to - DRAIN_ROUND);
      for (let start = from, round = 1; start < drain; round++) {
        const end = Math.min(drain, roundOf(start, this.#planner).end);
        const account = await this.#round(stage, start, end, maxFiles === undefined);
        if (round === WARM_ROUNDS) ({ heapBytes } = account);
        if (round > WARM_ROUNDS) this.#grownBytes = account.heapBytes - heapBytes;
        this.#tell(stage, account);
        start = end;
      }
      await this.#drain(stage, drain, to);
    } catch (error) {
      throw await this.#explained(error, suspects);
    } finally {
      await stage.close();
    }
  }

  async #round(stage: Stage, from: number, to: number, hasRoom: boolean): Promise<Account> {
    const { kind } = roundOf(from, this.#planner);
    await stage.inMood(moods[kind]);
    // In these nobody is ended who does nothing wrong.
    const stay = hasRoom && (kind === "calm" || kind === "full") ? await stage.welcome() : [];
    const sitters = await this.#fill(stage, !hasRoom ? MANY_FILES : kind === "full" ? MANY_PLACES : 0);
    const third = from + Math.floor((to - from) / 3);
    const twoThirds = from + Math.floor(((to - from) * 2) / 3);
    await this.#crowd(stage, from, to, (number) => {
      if (kind === "calm" && number === third) stage.gateway.signal("SIGHUP");
      if (number === twoThirds) for (const one of sitters.slice(0, FEW_PLACES)) one.destroy();
      if (kind === "lost" && number === third) void stage.whims.stop();
      if (kind === "lost" && number === twoThirds) void stage.whims.start(moods[kind]);
    });
    await stage.inMood(moods[kind]);
    stage.check();
    this.#checkLeft();
    await Promise.all(stay.map((client) => client.talk()));
    for (const client of stay) client.close();
    for (const socket of sitters) socket.destroy();
    const account = await stage.settle(true);
    for (const client of await stage.welcome()) client.close();
    stage.check();
    return account;
  }

  /** The gateway is asked to end while they come. */
  async #drain(stage: Stage, from: number, to: number): Promise<void> {
    const half = from + Math.floor((to - from) / 2);
    await this.#crowd(stage, from, to, (number) => {
      if (number === half) stage.gateway.signal("SIGTERM");
    });
    await stage.untilDrained();
    this.#checkLeft();
  }

  /** Takes so many places. */
  async #fill(stage: Stage, count: number): Promise<Socket[]> {
    const [listener] = listeners;
    if (listener === undefined) return [];
    const port = stage.gateway.placeOf(listener) as number;
    return Promise.all(
      Array.from({ length: count }, (_, nth) => {
        const { promise, resolve } = Promise.withResolvers<Socket>();
        const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${1 + (nth % 200)}` });
        socket.on("error", () => {});
        // Who says something may stay.
        socket.once("data", () => resolve(socket));
        socket.once("close", () => resolve(socket));
        socket.write("a seat");
        return promise;
      }),
    );
  }

  /** Connections `from` up to `to`, which it is not, so many at once. */
  #crowd(stage: Stage, from: number, to: number, meanwhile: (number: number) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let next = from;
    const launch = () => {
      while (this.#open.size < AT_ONCE && next < to) {
        const number = next++;
        meanwhile(number);
        this.#begun = next;
        this.#open.add(number);
        const plan = this.#planner.plan(number);
        carryOut(plan, stage.gateway.placeOf(plan.listener)).then(({ receivedBytes, wasLeft }) => {
          this.#gone(number, receivedBytes, wasLeft);
          launch();
        }, reject);
      }
      if (this.#open.size === 0) resolve();
    };
    launch();
    return promise;
  }

  #gone(number: number, receivedBytes: number, wasLeft: boolean): void {
    this.#open.delete(number);
    this.#recent.push(number);
    if (this.#recent.length > SUSPECTS) this.#recent.shift();
    this.#done++;
    if (receivedBytes > 0) this.#answered++;
    if (wasLeft) this.#left.push(number);
  }

  #checkLeft(): void {
    const [first] = this.#left;
    if (first === undefined) return;
    const all = this.#left.splice(0).join(", ");
    throw new FuzzFailure(`the gateway did not end ${all}: ${describePlan(this.#planner.plan(first))}`);
  }

  #tell(stage: Stage, { heapBytes, descriptors, joins, refusals, ends }: Account): void {
    const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
    this.#joins = Math.max(this.#joins, joins);
    for (const [code, count] of Object.entries(refusals)) if (count > 0) this.#refusals.add(code);
    for (const [code, count] of Object.entries(ends)) if (count > 0) this.#ends.add(code);
    const { rssBytes } = stage.gateway;
    const seconds = (performance.now() - this.#begunAt) / 1000;
    this.#options.report?.(
      `${this.#options.readPath}: ${this.#done} connections, ${Math.round(this.#done / seconds)}/s, ` +
        `rss ${mib(rssBytes)}, heap ${mib(heapBytes)}, ${descriptors} files, ${joins} joins`,
    );
  }

  /** Adds how to see it again; looks for who has ended the gateway, if that is what went wrong. */
  async #explained(error: unknown, suspects: readonly number[]): Promise<Error> {
    const { message } = error as Error;
    // Those that take their time are looked at last.
    const isQuick = (number: number) =>
      !["silence", "half-close"].includes(this.#planner.plan(number).ending);
    const culprit = (await this.#culprit(suspects.filter(isQuick))) ?? (await this.#culprit(suspects));
    if (culprit !== undefined) {
      const plan = describePlan(this.#planner.plan(culprit));
      return new FuzzFailure(`${message}\n${plan}\n${commandOf(this.#options, culprit)}`, { cause: error });
    }
    const { seed, readPath } = this.#options;
    const where = `--read-path ${readPath} --seed ${seed}, one of the ${SUSPECTS} connections before ${this.#begun}`;
    return new FuzzFailure(`${message} (${where})`, { cause: error });
  }

  /** Which of these ends the gateway by itself; undefined when none does. */
  async #culprit(suspects: readonly number[]): Promise<number | undefined> {
    if (suspects.length === 0) return undefined;
    try {
      await replayAll(this.#options, this.#planner, suspects, Math.max(REPLAYS, suspects.length));
      return undefined;
    } catch {
      if (suspects.length === 1) return suspects[0];
      const half = Math.ceil(suspects.length / 2);
      return (await this.#culprit(suspects.slice(0, half))) ?? (await this.#culprit(suspects.slice(half)));
    }
  }
}
