/** Makes the listener of an address: each transport by its name. */

import { framing } from "../framing/framing.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { Transport } from "./listen-options.ts";
import type { AcceptSink, Listener } from "./listener.ts";
import { PolledListener } from "./polled-listener.ts";
import { StreamListener, type Transported } from "./stream-listener.ts";
import { polledArrivals, type TransportContext } from "./streams.ts";
import { tcpTransport } from "./tcp.ts";
import { tlsTransport } from "./tls.ts";
import { unixTransport } from "./unix.ts";
import { webSocketTransport } from "./websocket.ts";

type MakeTransport = (address: ListenAddress, context: TransportContext) => Transported;

const makers: Readonly<Record<Transport, MakeTransport>> = {
  tcp: tcpTransport,
  tls: tlsTransport,
  unix: unixTransport,
  ws: webSocketTransport,
  wss: webSocketTransport,
};

/**
 * @param accept takes each client
 * @throws ConfigError when a file that it needs is wrong
 */
export function createListener(
  address: ListenAddress,
  ways: Omit<TransportContext, "framing">,
  accept: AcceptSink,
): Listener {
  const context = { ...ways, framing: framing(address.framing, address.lengthCountsItself) };
  const { poller } = context;
  if (poller !== undefined && address.transport === "tcp" && address.proxy === "off") {
    const arrive = polledArrivals(context);
    return new PolledListener(address, poller, arrive, accept);
  }
  return new StreamListener(address, makers[address.transport](address, context), accept);
}
