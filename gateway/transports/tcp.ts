/** Clients over plain TCP: there is no handshake, unless a proxy says who they are. */

import type { ListenAddress } from "./listen-address.ts";
import { overTcp } from "./listening.ts";
import type { Transported } from "./stream-listener.ts";
import { streamArrivals, type TransportContext } from "./streams.ts";

export function tcpTransport(address: ListenAddress, context: TransportContext): Transported {
  return { arrive: streamArrivals(address, context, []), place: overTcp };
}
