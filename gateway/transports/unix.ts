/** Clients over a Unix socket: on this machine alone, and who may open it is said by its mode. They have no address. */

import { clearSocketPath, setSocketMode, withSocketMode } from "../../process/unix-socket.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { Transported } from "./stream-listener.ts";
import { streamArrivals, type TransportContext } from "./streams.ts";

export function unixTransport(address: ListenAddress, context: TransportContext): Transported {
  return {
    arrive: streamArrivals(address, context, []),
    async bind(server, { host: path, backlog, mode }) {
      await clearSocketPath(path);
      withSocketMode(mode, () => server.listen({ path, backlog }));
      server.once("listening", () => setSocketMode(path, mode));
    },
  };
}
