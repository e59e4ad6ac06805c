/** Runs the load once, and reads what it measured. */

import type { Bench } from "./bench.ts";

export type Scheme = "tcp" | "tls" | "ws";

/** What the clients do; the modes are described in bench/c/load_*.c. */
export interface LoadOptions {
  readonly mode: "pingpong" | "open" | "broadcast" | "idle" | "churn";
  readonly clients: number;
  /** Bytes of a message. */
  readonly size: number;
  /** Messages (broadcasts) under way: of each client (in all). 1 unless it is set. */
  readonly window?: number;
  /** Messages in a second of all clients, in the open loop. */
  readonly rate?: number;
}

/** Microseconds. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What the load prints. */
export interface LoadResult {
  /** The measured window. */
  readonly seconds: number;
  /** What was completed in it: messages, deliveries, visits. */
  readonly completed: number;
  /** Payload, from the first byte to the last, windows or not. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly connectMs: number;
  readonly latencyUs: Latency;
  /** How late the load itself was, in the open loop. */
  readonly latenessUs: Latency;
  /** What watched processes cost in the window. */
  readonly processes: readonly ProcessCost[];
  /** Processor time of the load itself, nanoseconds. */
  readonly ownCpuNs: number;
  /** By core: the share of the window in which it worked, and in which the machine below took it away. */
  readonly cores: readonly { readonly busy: number; readonly stolen: number }[];
}

export interface ProcessCost {
  readonly pid: number;
  /** User and system time, nanoseconds. */
  readonly cpuNs: number;
  /** Resident memory before anybody came, and at the end of the window, bytes. */
  readonly rssBefore: number;
  readonly rss: number;
}

/**
 * Runs the load.
 *
 * @param ports where the clients connect, in turn
 * @param watch processes whose cost is wanted
 * @throws Error when anything but the expected came back
 */
export async function runLoad(
  bench: Bench,
  scheme: Scheme,
  load: LoadOptions,
  ports: readonly number[],
  watch: readonly number[],
): Promise<LoadResult> {
  const { seconds, warmUpSeconds } = bench.options;
  const values = {
    scheme,
    mode: load.mode,
    clients: load.clients,
    size: load.size,
    window: load.window ?? 1,
    rate: Math.round(load.rate ?? 0),
    ports: ports.join(","),
    watch: watch.join(","),
    "measure-ms": Math.round(seconds * 1000),
    "warm-up-ms": Math.round(warmUpSeconds * 1000),
  };
  const args = Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const program = bench.processes.start("the load", bench.cores.load, [bench.programs.load, ...args]);
  const result = await program.next<LoadResult>();
  await program.ended;
  return result;
}
