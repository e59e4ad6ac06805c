/** What all who listen on a stream socket's address have in common: to bind it, to say so, and to close it well. */

import cluster from "node:cluster";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import type { Server } from "node:net";
import { tryPort } from "../../process/sockets.ts";
import type { Endpoint } from "../../proto/bodies.ts";
import { formatListenAddress, type ListenAddress } from "./listen-address.ts";
import { isWeb } from "./listen-options.ts";
import { ListenError, type ListenerTraits } from "./listener.ts";

/** After this long without a word the kernel asks an idle client whether it is still there. */
export const KEEP_ALIVE_SECONDS = 60;

/** A listener closes after this many turns of the event loop in a row in which nobody arrived. */
const QUIET_TURNS = 3;

/** A listener to which somebody arrives at every turn closes all the same after this many. */
const MAX_TURNS = 1000;

/** A kind of address, and how a server comes to listen there. */
export interface Place {
  /** Makes a server listen; an error may also come as an event. */
  bind(server: Server, address: ListenAddress): void | Promise<void>;
  /** Finds out whether it could, without listening: nobody can arrive. */
  tryOut(address: ListenAddress): Promise<void>;
  /** Gives up what `bind` has taken beside the server's socket, right before that is closed. */
  release?(): void;
}

/** A TCP port. */
export const overTcp: Place = {
  bind(server, { host, port, backlog, reusePort, ipv6Only }) {
    server.listen({ host, port, backlog, reusePort, ipv6Only });
  },
  async tryOut({ host, port, reusePort, ipv6Only }) {
    // The workers of a cluster share a port, which each would find in use.
    if (cluster.isWorker) return;
    const { address } = await lookup(host);
    tryPort({ host: address, port, reusePort, ipv6Only });
  },
};

/** @throws ListenError when a server could not listen there */
export async function tryOut(address: ListenAddress, place: Place): Promise<void> {
  try {
    await place.tryOut(address);
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, address);
  }
}

/**
 * Makes a server listen.
 *
 * @returns the port; that of the address where it has none
 * @throws ListenError when the address can't be bound
 */
export async function listen(server: Server, address: ListenAddress, place: Place): Promise<number> {
  const listening = once(server, "listening");
  try {
    await Promise.all([listening, place.bind(server, address)]);
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, address);
  }
  const bound = server.address();
  return bound === null || typeof bound === "string" ? address.port : bound.port;
}

/**
 * Closes right behind turns of the event loop in which nobody arrived: what waits in the kernel's queue at
 * that moment is reset, unless the kernel is told to migrate it (docs/operations.md, "Reloading").
 *
 * @param arrivals how many have arrived so far
 */
export function closeWhenQuiet(arrivals: () => number, close: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = arrivals();
  let quiet = 0;
  let turns = 0;
  const turn = () => {
    quiet = arrivals() === seen ? quiet + 1 : 0;
    seen = arrivals();
    turns++;
    if (quiet < QUIET_TURNS && turns < MAX_TURNS) {
      setImmediate(turn);
      return;
    }
    close();
    resolve();
  };
  setImmediate(turn);
  return promise;
}

/** What the manager is told of a listener on `port`. */
export function endpointOf({ transport, host, name, framing }: ListenAddress, port: number): Endpoint {
  return { transport, host, port, name, ...(!isWeb(transport) && framing !== "none" && { framing }) };
}

export function traitsOf(address: ListenAddress): ListenerTraits {
  const { transport, name, framing, ticket, pingMs, manager } = address;
  return isWeb(transport)
    ? { transport, name, framing: "websocket", ticket, pingMs, manager }
    : { transport, name, framing, ticket, pingMs: 0, manager };
}

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: "this user may not bind it: choose a port above 1023, or a directory that this user may write to",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "the host name is not known",
  ENOENT: "the directory of the socket does not exist",
};

/** Why an address can't be listened on, and what can be done. */
export function listenError(error: NodeJS.ErrnoException, address: ListenAddress): ListenError {
  const hint = error.code === "EADDRINUSE" ? inUse(address) : (ADVICE[error.code ?? ""] ?? error.message);
  const where = formatListenAddress(address);
  const code = error.code === undefined ? "" : ` (${error.code})`;
  return new ListenError(`cannot listen on ${where}: ${hint}${code}`, { cause: error });
}

function inUse({ transport }: ListenAddress): string {
  return transport === "unix"
    ? "another process listens there: stop it, or choose another path"
    : "another process listens there: stop it, choose another port, or give ?reusePort=true to all of them";
}
