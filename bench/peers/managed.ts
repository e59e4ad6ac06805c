/** Gateways behind a manager: what they have in common is how they are started and stopped. */

import type { Bench } from "../bench.ts";
import type { Program } from "../processes.ts";
import { startManager } from "./back-ends.ts";
import type { Setup, Target } from "./peer.ts";

/** Starts one gateway process. `port` is shared with others when it is not 0, or when more are to follow. */
export type StartGateway = (index: number, socket: string, port: number) => Program;

/** Starts a manager and its gateways; they are stopped again when one of them can't. */
export async function startManaged(bench: Bench, setup: Setup, start: StartGateway): Promise<Target> {
  const manager = await startManager(bench, setup);
  const gateways: Program[] = [];
  const stop = async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await manager.stop();
  };
  try {
    let ports: readonly number[] = [];
    for (let index = 0; index < setup.processes; index++) {
      const gateway = start(index, manager.socket, ports[0] ?? 0);
      gateways.push(gateway);
      ports = await manager.gatewayUp(gateway);
    }
    return {
      ports,
      gatewayPids: gateways.map(({ pid }) => pid),
      backEndPids: [manager.program.pid],
      counts: manager.counts,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
