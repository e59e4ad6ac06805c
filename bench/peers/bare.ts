/** The bare gateway in C (bench/c/gateway.c), with the same manager: what the machine can do at the most. */

import { startManaged } from "./managed.ts";
import { gatewayCore, type Peer, Unavailable } from "./peer.ts";

export const bare: Peer = {
  name: "bare C gateway",
  descriptorsPerClient: 1,
  async start(bench, setup) {
    if (setup.scheme !== "tcp") throw new Unavailable("it speaks plain TCP only");
    return startManaged(bench, setup, (index, socket, port) => {
      const values = {
        name: `bare-${index}`,
        manager: socket,
        listeners: setup.listeners,
        port,
        "reuse-port": setup.processes > 1 ? 1 : 0,
      };
      const args = Object.entries(values).flatMap(([key, value]) => [`--${key}`, String(value)]);
      const command = [bench.programs.gateway, ...args];
      return bench.processes.start("the bare gateway", gatewayCore(bench, index), command);
    });
  },
};
