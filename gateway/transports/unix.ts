/** Clients over a Unix socket: on this machine alone, and who may open it is said by its mode. They have no address. */

import { listenOnPath } from "../../process/unix-socket.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { Transported } from "./stream-listener.ts";
import { streamArrivals, type TransportContext } from "./streams.ts";

export function unixTransport(address: ListenAddress, context: TransportContext): Transported {
  let removeFile = () => {};
  return {
    arrive: streamArrivals(address, context, []),
    async bind(server, { host: path, backlog, mode }) {
      removeFile = await listenOnPath(server, path, { mode, backlog });
    },
    unbind: () => removeFile(),
  };
}
