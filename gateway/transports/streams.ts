/** What the stream transports share: from a socket, over the steps of its handshake, to a connection. */

import type { Socket } from "node:net";
import type { Framing } from "../framing/framing.ts";
import type { Arrival } from "./connection.ts";
import { FramedConnection } from "./framed-connection.ts";
import { Handshake, type HandshakeStep } from "./handshake.ts";
import type { ListenAddress } from "./listen-address.ts";
import { proxyStep } from "./proxy.ts";
import type { ReadPath } from "./read-path.ts";
import { type Handshaken, SocketConnection } from "./socket-connection.ts";

/** What every transport is given. */
export interface TransportContext {
  readonly readPath: ReadPath;
  readonly framing: Framing;
  /** The longest message that may be taken from a client at the moment, bytes. */
  readonly maxMessageBytes: () => number;
}

/** The steps that a listener's address asks for before its transport's own. */
export function proxySteps({ proxy, trusted, transport }: ListenAddress): HandshakeStep[] {
  if (proxy === "off") return [];
  // Who may open a Unix socket is said by its mode.
  return [proxyStep(proxy, (address) => transport === "unix" || trusted.has(address))];
}

/**
 * Makes arrivals of accepted sockets.
 *
 * @param steps of the transport's own, behind the proxy's
 */
export function streamArrivals(
  address: ListenAddress,
  { readPath, framing, maxMessageBytes }: TransportContext,
  steps: readonly HandshakeStep[],
): (accepted: Socket) => Arrival {
  const connect = (socket: Socket, handshaken?: Handshaken): SocketConnection => {
    const decoder = framing.decoder(maxMessageBytes());
    return decoder === undefined
      ? new SocketConnection(socket, readPath, handshaken)
      : new FramedConnection(socket, readPath, handshaken, framing, decoder);
  };
  const all = [...proxySteps(address), ...steps];
  if (all.length === 0) return (accepted) => connect(accepted);
  const identifies = address.proxy !== "off";
  return (accepted) => new Handshake(accepted, identifies, all, connect);
}
