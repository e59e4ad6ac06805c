/** Clients over a Unix socket: on this machine alone, and who may open it is said by its mode. They have no address. */

import { listenOnPath, tryPath } from "../../process/unix-socket.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { Place } from "./listening.ts";
import type { Transported } from "./stream-listener.ts";
import { streamArrivals, type TransportContext } from "./streams.ts";

export function unixTransport(address: ListenAddress, context: TransportContext): Transported {
  return { arrive: streamArrivals(address, context, []), place: onPath() };
}

/** A path of the file system. */
function onPath(): Place {
  let removeFile = () => {};
  return {
    async bind(server, { host: path, backlog, mode }) {
      removeFile = await listenOnPath(server, path, { mode, backlog });
    },
    tryOut: ({ host: path }) => tryPath(path),
    release: () => removeFile(),
  };
}
