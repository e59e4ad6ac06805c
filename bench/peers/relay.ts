/** Plain relays in front of the echo server: what they have in common. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import type { Bench } from "../bench.ts";
import type { Program } from "../processes.ts";
import { startEcho } from "./back-ends.ts";
import { type Setup, type Target, until } from "./peer.ts";

/** One port of the relay's, and the one of the echo server behind it. */
export interface Route {
  readonly port: number;
  readonly echoPort: number;
}

/** A relay that was started. */
export interface Relay {
  readonly program: Program;
  /** The processes that do the work; empty as long as there are none. */
  workers(): readonly number[];
}

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

async function answers(port: number): Promise<boolean> {
  const probe = connect(port, "127.0.0.1");
  try {
    await once(probe, "connect");
    return true;
  } catch {
    return false;
  } finally {
    probe.destroy();
  }
}

/** Starts an echo server and a relay in front of it, with a port for each listener. */
export async function startRelay(
  bench: Bench,
  { listeners }: Setup,
  start: (routes: readonly Route[]) => Relay,
): Promise<Target> {
  const echo = await startEcho(bench, bench.cores.load, listeners);
  const ports = await freePorts(listeners);
  const { program, workers } = start(ports.map((port, i) => ({ port, echoPort: echo.ports[i] ?? 0 })));
  const stop = async () => {
    await program.stop();
    await echo.program.stop();
  };
  const last = ports.at(-1) ?? 0;
  try {
    await until(async () => {
      if (!program.running) throw await program.failure();
      return workers().length > 0 && (await answers(last));
    }, `${program.name} listens`);
    return { ports, gatewayPids: workers(), backEndPids: [echo.program.pid], counts: echo.counts, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
