/** No gateway at all: the echo server in its place. What the load can do at the most. */

import { startEcho } from "./back-ends.ts";
import { gatewayCore, type Peer, Unavailable } from "./peer.ts";

export const direct: Peer = {
  name: "direct echo",
  descriptorsPerClient: 1,
  async start(bench, { scheme, listeners }) {
    if (scheme !== "tcp") throw new Unavailable("it speaks plain TCP only");
    const { program, ports, counts } = await startEcho(bench, gatewayCore(bench, 0), listeners);
    return { ports, counts, gatewayPids: [program.pid], backEndPids: [], stop: () => program.stop() };
  },
};
