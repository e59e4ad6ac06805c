/** What the stream transports share: from a socket, over the steps of its handshake, to a connection. */

import type { Socket } from "node:net";
import { isTlsSocket } from "../../process/sockets.ts";
import type { Framing } from "../framing/framing.ts";
import type { Channel } from "./channel.ts";
import type { Arrival } from "./connection.ts";
import { Handshake, type HandshakeStep } from "./handshake.ts";
import type { ListenAddress } from "./listen-address.ts";
import { PolledChannel } from "./polled-channel.ts";
import type { PolledArrive } from "./polled-listener.ts";
import type { Poller } from "./poller.ts";
import { proxyStep } from "./proxy.ts";
import type { ReadPath } from "./read-path.ts";
import { peerAddress, SocketChannel } from "./socket-channel.ts";
import { framedBy, StreamConnection } from "./stream-connection.ts";

/** How clients' bytes are moved. */
export interface ByteWays {
  /** How sockets of Node's are read. */
  readonly readPath: ReadPath;
  /** What moves the bytes of those that are on plain TCP; Node does where there is none. */
  readonly poller?: Poller | undefined;
}

/** What every transport is given. */
export interface TransportContext extends ByteWays {
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
 * Makes a channel of a socket of Node's, which is not to be used any more.
 *
 * @param socket accepted, and nothing was read of it that was not taken
 * @param raw the socket under a TLS socket; else the same
 */
export function channelOver(socket: Socket, raw: Socket, { readPath, poller }: ByteWays): Channel {
  const isPlainTcp = !isTlsSocket(socket) && socket.remoteAddress !== undefined;
  const descriptor = isPlainTcp && socket.writableLength === 0 ? poller?.adopt(socket) : undefined;
  return poller === undefined || descriptor === undefined
    ? new SocketChannel(socket, raw, readPath)
    : new PolledChannel(poller, descriptor);
}

/** Makes arrivals of clients that the poller has accepted, and that have no handshake. */
export function polledArrivals({ framing, maxMessageBytes }: TransportContext): PolledArrive {
  return (channel, peer) => new StreamConnection(channel, peer, framedBy(framing, maxMessageBytes()));
}

/**
 * Makes arrivals of accepted sockets.
 *
 * @param steps of the transport's own, behind the proxy's
 */
export function streamArrivals(
  address: ListenAddress,
  context: TransportContext,
  steps: readonly HandshakeStep[],
): (accepted: Socket) => Arrival {
  const framed = () => framedBy(context.framing, context.maxMessageBytes());
  const all = [...proxySteps(address), ...steps];
  if (all.length === 0) {
    return (accepted) => {
      const peer = { address: peerAddress(accepted), port: accepted.remotePort ?? 0 };
      return new StreamConnection(channelOver(accepted, accepted, context), peer, framed());
    };
  }
  const identifies = address.proxy !== "off";
  return (accepted) =>
    new Handshake(accepted, identifies, all, (socket, { raw, ...client }) => {
      return new StreamConnection(channelOver(socket, raw, context), client, framed());
    });
}
