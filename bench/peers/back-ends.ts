/** The back ends, on the load's core: a manager for gateways, an echo server for plain relays. */

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Program } from "../processes.ts";
import type { Counts, Setup } from "./peer.ts";

/** A manager that listens. */
export interface Manager {
  readonly program: Program;
  /** The path of its socket. */
  readonly socket: string;
  /** Waits for the next gateway that listens, and gives its ports. */
  gatewayUp(gateway: Program): Promise<readonly number[]>;
  counts(): Promise<Counts>;
  stop(): Promise<void>;
}

export async function startManager(bench: Bench, { capacity, behaviour }: Setup): Promise<Manager> {
  const socket = join(bench.directory, `${randomUUID().slice(0, 8)}.sock`);
  const args = ["--listen", socket, "--capacity", String(capacity), "--behaviour", behaviour];
  const program = bench.processes.start("the manager", bench.cores.load, [bench.programs.manager, ...args]);
  await program.next();
  return {
    program,
    socket,
    async gatewayUp(gateway) {
      const failed = gateway.ended.then(async () => {
        throw await gateway.failure();
      });
      return (await Promise.race([program.next<{ ports: readonly number[] }>(), failed])).ports;
    },
    counts: () => program.ask<Counts>(),
    async stop() {
      await program.stop();
      rmSync(socket, { force: true });
    },
  };
}

/** An echo server that listens. */
export interface Echo {
  readonly program: Program;
  readonly ports: readonly number[];
  counts(): Promise<Counts>;
}

/** @param core where it runs */
export async function startEcho(bench: Bench, core: number, listeners: number): Promise<Echo> {
  const args = ["--listeners", String(listeners)];
  const program = bench.processes.start("the echo server", core, [bench.programs.echo, ...args]);
  const { ports } = await program.next<{ ports: readonly number[] }>();
  return { program, ports, counts: () => program.ask<Counts>() };
}
