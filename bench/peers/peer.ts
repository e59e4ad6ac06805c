/** What is measured: a gateway, or something that does the same work. */

import { setTimeout } from "node:timers/promises";
import type { Bench } from "../bench.ts";
import type { Scheme } from "../load.ts";

/** What a scenario needs of a peer. */
export interface Setup {
  readonly scheme: Scheme;
  /** Ports that clients can come to. */
  readonly listeners: number;
  /** Clients that are there at the same time, at the most. */
  readonly capacity: number;
  readonly behaviour: "echo" | "broadcast";
  /** Processes that share a port. */
  readonly processes: number;
  /** Ends a session as soon as its client has closed, as relays do (sidegate's `halfCloseMs` 0). */
  readonly endAtOnce: boolean;
}

/** What the back end has counted since it started. Bytes are payload. */
export interface Counts {
  /** Clients that are there. */
  readonly open: number;
  readonly joins: number;
  readonly leaves: number;
  readonly bytesIn: number;
  /** What was sent back; a broadcast counts once. */
  readonly bytesOut: number;
}

/** A peer that runs. */
export interface Target {
  readonly ports: readonly number[];
  /** The processes whose cost is measured. */
  readonly gatewayPids: readonly number[];
  /** Those behind them, on the load's core. */
  readonly backEndPids: readonly number[];
  counts(): Promise<Counts>;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Descriptors that it needs for each client. */
  readonly descriptorsPerClient: number;
  /**
   * Starts it, on the gateway's core.
   *
   * @throws Unavailable when this machine, or this version of it, can't do what is wanted
   */
  start(bench: Bench, setup: Setup): Promise<Target>;
}

/** A peer can't be measured here. The message says why. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

const POLL_MS = 20;
const POLL_LIMIT_MS = 20_000;

/**
 * Waits until `check` holds.
 *
 * @throws Error that names `what` when it takes too long
 */
export async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + POLL_LIMIT_MS;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${POLL_LIMIT_MS / 1000} s`);
    await setTimeout(POLL_MS);
  }
}

/** The core of the n-th gateway process. */
export function gatewayCore({ cores }: Bench, index: number): number {
  return cores.gateway[cores.gateway.length - 1 - (index % cores.gateway.length)] ?? 0;
}
