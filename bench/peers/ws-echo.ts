/** A plain WebSocket echo server in Node.js (the `ws` package), without a gateway or a manager. */

import { join } from "node:path";
import { type Counts, gatewayCore, type Peer, Unavailable } from "./peer.ts";

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

export const wsEcho: Peer = {
  name: "ws echo server",
  descriptorsPerClient: 1,
  async start(bench, { scheme }) {
    if (scheme !== "ws") throw new Unavailable("it speaks WebSocket only");
    if (!isInstalled("ws")) throw new Unavailable("the package ws is not installed");
    const command = [process.execPath, join(import.meta.dirname, "ws-echo-server.ts")];
    const program = bench.processes.start("the ws echo server", gatewayCore(bench, 0), command);
    const { ports } = await program.next<{ ports: readonly number[] }>();
    return {
      ports,
      gatewayPids: [program.pid],
      backEndPids: [],
      counts: () => program.ask<Counts>(),
      stop: () => program.stop(),
    };
  },
};
