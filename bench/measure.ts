/**
 * Measures peers side by side: all of them are started, and then have their rounds in turn, so that whatever
 * disturbs the machine disturbs them alike. A figure is the median of its rounds.
 */

import type { Bench } from "./bench.ts";
import { type LoadOptions, type LoadResult, runLoad } from "./load.ts";
import {
  type Counts,
  gatewayCore,
  type Peer,
  type Setup,
  type Target,
  Unavailable,
  until,
} from "./peers/peer.ts";

/** The same work for several peers. */
export interface Case {
  /** What sets it apart within its scenario, such as `100 clients`. */
  readonly title: string;
  readonly setup: Partial<Setup>;
  readonly peers: readonly Peer[];
  readonly load: LoadOptions | ((peer: Peer) => LoadOptions | undefined);
  /** Start a peer anew for each round: for what does not go back to what it was, as memory. */
  readonly fresh?: boolean;
}

/** What one round, or the median of several, says. */
export interface Figures {
  readonly clients: number;
  /** Messages, deliveries or visits. */
  readonly perSecond: number;
  /** Processor time, user and system, of the gateway's processes for each of them, microseconds. */
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** Resident memory of the gateway's processes, bytes, and by how much each client has made it grow. */
  readonly rssBytes: number;
  readonly rssBytesPerClient: number;
  /** Shares of a core: the gateway's processes of theirs; the load, and what is behind the gateway, of its. */
  readonly gatewayShare: number;
  readonly loadShare: number;
  readonly backEndShare: number;
  /** The larger share, of the two cores, that somebody else took: other programs, or the machine below. */
  readonly othersShare: number;
  /** How late the load itself was in an open loop, 99th percentile, microseconds. */
  readonly latenessUs: number;
  readonly connectMs: number;
}

export interface PeerResult {
  readonly peer: string;
  /** The load's core was full and the gateway's was not: more could be had. */
  readonly loadBound: boolean;
  readonly median: Figures;
  readonly rounds: readonly Figures[];
}

/** A peer that has no figures. */
export interface Missing {
  readonly peer: string;
  readonly why: string;
}

export interface CaseResult {
  readonly title: string;
  /** The peer that the others are compared with, whether it could be measured or not. */
  readonly reference: string;
  readonly results: readonly PeerResult[];
  readonly skipped: readonly Missing[];
  /** Those that were measured and did it wrong. */
  readonly failed: readonly Missing[];
}

const DEFAULT_SETUP: Setup = {
  scheme: "tcp",
  listeners: 1,
  capacity: 0,
  behaviour: "echo",
  processes: 1,
  endAtOnce: false,
};

/** A core that is busier than this counts as full. */
const FULL = 0.97;

/** Room beyond the clients: of slots, and of descriptors. */
const SPARE = 200;

/** Measures one case. */
export async function measureCase(bench: Bench, one: Case): Promise<CaseResult> {
  const runners: Runner[] = [];
  const skipped: Missing[] = [];
  const failed: Missing[] = [];
  const attempt = async (peer: string, what: () => Promise<void>): Promise<boolean> => {
    try {
      await what();
      return true;
    } catch (error) {
      const list = error instanceof Unavailable ? skipped : failed;
      list.push({ peer, why: (error as Error).message });
      return false;
    }
  };
  try {
    for (const peer of wanted(bench, one.peers)) {
      const load = typeof one.load === "function" ? one.load(peer) : one.load;
      if (load === undefined) continue;
      const runner = new Runner(bench, one, peer, load);
      if (await attempt(peer.name, () => runner.prepare())) runners.push(runner);
      else await runner.stop();
    }
    for (let round = 0; round < bench.options.rounds; round++) {
      for (const runner of rotated(runners, round)) {
        bench.progress(`${one.title}, ${runner.peer.name}, round ${round + 1}`);
        if (await attempt(runner.peer.name, () => runner.round())) continue;
        await runner.stop();
        runners.splice(runners.indexOf(runner), 1);
      }
    }
  } finally {
    await Promise.all(runners.map((runner) => runner.stop()));
  }
  const reference = one.peers[0]?.name ?? "";
  return { title: one.title, reference, results: runners.map((runner) => runner.result()), skipped, failed };
}

/** Measures cases one after the other. */
export async function measureCases(bench: Bench, cases: readonly Case[]): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const one of cases) results.push(await measureCase(bench, one));
  return results;
}

/** The gateways, and of the others those that were asked for. */
function wanted({ gateways, options }: Bench, peers: readonly Peer[]): Peer[] {
  const named = ({ name }: Peer) =>
    options.peers?.some((part) => name.toLowerCase().includes(part.toLowerCase())) ?? true;
  return peers.filter((peer) => gateways.includes(peer) || named(peer));
}

function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length] as T);
}

/** One peer in one case. */
class Runner {
  readonly peer: Peer;
  readonly #bench: Bench;
  readonly #setup: Setup;
  readonly #load: LoadOptions;
  readonly #fresh: boolean;
  readonly #rounds: Figures[] = [];
  #target: Target | undefined;

  constructor(bench: Bench, { setup, fresh }: Case, peer: Peer, load: LoadOptions) {
    this.#bench = bench;
    this.peer = peer;
    this.#load = load;
    this.#fresh = fresh ?? false;
    this.#setup = { ...DEFAULT_SETUP, capacity: load.clients + SPARE, ...setup };
  }

  /** @throws Unavailable when it can't be measured here */
  async prepare(): Promise<void> {
    const needed = this.#load.clients * this.peer.descriptorsPerClient + SPARE;
    if (needed > this.#bench.descriptors)
      throw new Unavailable(`it needs ${needed} descriptors, and may have ${this.#bench.descriptors}`);
    if (this.#setup.scheme === "tls" && !this.#bench.programs.tls)
      throw new Unavailable("the load needs OpenSSL to be built with TLS (libssl-dev)");
    this.#target = await this.peer.start(this.#bench, this.#setup);
  }

  async round(): Promise<void> {
    this.#target ??= await this.peer.start(this.#bench, this.#setup);
    const target = this.#target;
    const before = await settled(target);
    const watch = [...target.gatewayPids, ...target.backEndPids];
    const result = await runLoad(this.#bench, this.#setup.scheme, this.#load, target.ports, watch);
    this.#check(before, await settled(target), result);
    this.#rounds.push(this.#figures(target, result));
    if (this.#fresh) await this.stop();
  }

  result(): PeerResult {
    const median = medians(this.#rounds);
    const { gatewayShare, loadShare, backEndShare } = median;
    // In an open loop the load is awake all the time, whether there is something to do or not.
    const loadBound = this.#load.mode !== "open" && gatewayShare < FULL && loadShare + backEndShare >= FULL;
    return { peer: this.peer.name, loadBound, median, rounds: this.#rounds };
  }

  async stop(): Promise<void> {
    const target = this.#target;
    this.#target = undefined;
    await target?.stop();
  }

  /** What the load has sent is what the back end received, and the other way. */
  #check(before: Counts, after: Counts, { bytesSent, bytesReceived }: LoadResult): void {
    const bytesIn = after.bytesIn - before.bytesIn;
    const copies = this.#setup.behaviour === "broadcast" ? this.#load.clients : 1;
    const bytesOut = (after.bytesOut - before.bytesOut) * copies;
    if (bytesIn === bytesSent && bytesOut === bytesReceived) return;
    const there = `the load sent ${bytesSent} bytes, of which ${bytesIn} arrived`;
    throw new Error(`${there}; ${bytesOut} were sent back, of which ${bytesReceived} arrived`);
  }

  #figures({ gatewayPids, backEndPids }: Target, result: LoadResult): Figures {
    const { seconds, completed, latencyUs } = result;
    const { load } = this.#bench.cores;
    const of = (pids: readonly number[]) => result.processes.filter(({ pid }) => pids.includes(pid));
    const gatewayCost = of(gatewayPids);
    const cpuNs = sum(gatewayCost.map((cost) => cost.cpuNs));
    const rssBytes = sum(gatewayCost.map((cost) => cost.rss));
    const share = (ns: number) => ns / 1e9 / seconds;
    const gatewayCores = new Set(gatewayPids.map((_, i) => gatewayCore(this.#bench, i)));
    const gatewayShare = share(cpuNs) / gatewayCores.size;
    const loadShare = share(result.ownCpuNs);
    const backEndShare = share(sum(of(backEndPids).map((cost) => cost.cpuNs)));
    const taken = (core: number) => (result.cores[core]?.busy ?? 0) + (result.cores[core]?.stolen ?? 0);
    const others = [
      taken(load) - loadShare - backEndShare,
      sum([...gatewayCores].map(taken)) / gatewayCores.size - gatewayShare,
    ];
    return {
      clients: this.#load.clients,
      perSecond: completed / seconds,
      cpuUs: cpuNs / 1000 / completed,
      p50Us: latencyUs.p50,
      p99Us: latencyUs.p99,
      p999Us: latencyUs.p999,
      maxUs: latencyUs.max,
      rssBytes,
      rssBytesPerClient: (rssBytes - sum(gatewayCost.map((cost) => cost.rssBefore))) / this.#load.clients,
      gatewayShare,
      loadShare,
      backEndShare,
      othersShare: Math.max(0, ...others),
      latenessUs: result.latenessUs.p99,
      connectMs: result.connectMs,
    };
  }
}

/** The back end's counts once nobody is there any more. */
async function settled(target: Target): Promise<Counts> {
  let counts = await target.counts();
  await until(async () => {
    counts = await target.counts();
    return counts.open === 0;
  }, "all clients have left");
  if (counts.joins !== counts.leaves) throw new Error(`${counts.joins} joined and ${counts.leaves} left`);
  return counts;
}

function sum(list: readonly number[]): number {
  return list.reduce((total, one) => total + one, 0);
}

/** The median of a list that is not empty. */
export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

function medians(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {}) as (keyof Figures)[];
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name]))]),
  ) as unknown as Figures;
}
