/**
 * Listens on a stream socket's address, TCP or Unix, and closes so that nobody who was waiting is lost. What an
 * accepted socket becomes is the transport's to say.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Endpoint } from "../../proto/bodies.ts";
import type { Arrival } from "./connection.ts";
import { formatListenAddress, type ListenAddress } from "./listen-address.ts";
import { isWeb } from "./listen-options.ts";
import { type AcceptSink, ListenError, type Listener, type ListenerTraits } from "./listener.ts";

/** After this long without a word the kernel asks an idle client whether it is still there. */
const KEEP_ALIVE_MS = 60_000;

/** A listener closes after this many turns of the event loop in a row in which nobody arrived. */
const QUIET_TURNS = 3;

/** A listener to which somebody arrives at every turn closes all the same after this many. */
const MAX_TURNS = 1000;

/** What a transport adds to a listener. */
export interface Transported {
  /** Makes an arrival of a socket that was accepted paused. */
  readonly arrive: (accepted: Socket) => Arrival;
  /** Makes the server listen; an error may also come as an event. */
  readonly bind: (server: Server, address: ListenAddress) => void | Promise<void>;
  readonly files?: readonly string[];
  readonly reload?: () => void;
}

/** Listens on a TCP port. */
export function overTcp(server: Server, { host, port, backlog, reusePort }: ListenAddress): void {
  server.listen({ host, port, backlog, reusePort });
}

export class StreamListener implements Listener {
  readonly address: ListenAddress;
  readonly origin: ListenerTraits;
  readonly #server: Server;
  readonly #transported: Transported;
  #port: number;
  /** Connections accepted so far. */
  #accepted = 0;

  /** @param accept takes each client */
  constructor(address: ListenAddress, transported: Transported, accept: AcceptSink) {
    this.address = address;
    this.origin = traitsOf(address);
    this.#transported = transported;
    this.#port = address.port;
    this.#server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#server.on("connection", (socket) => {
      this.#accepted++;
      // One that was reset before it was accepted has no address any more, and must not pass for one without.
      if (address.transport !== "unix" && socket.remoteAddress === undefined) {
        socket.destroy();
        return;
      }
      accept(transported.arrive(socket), this);
    });
  }

  get endpoint(): Endpoint {
    const { transport, host, name } = this.address;
    const { framing } = this.origin;
    return { transport, host, port: this.#port, name, ...(framing !== "none" && { framing }) };
  }

  get files(): readonly string[] {
    return this.#transported.files ?? [];
  }

  reload(): void {
    this.#transported.reload?.();
  }

  async open(): Promise<void> {
    const server = this.#server;
    const listening = once(server, "listening");
    try {
      await Promise.all([listening, this.#transported.bind(server, this.address)]);
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, this.address);
    }
    const bound = server.address() as AddressInfo | string;
    if (typeof bound !== "string") this.#port = bound.port;
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closeWhenQuiet(resolve);
    return promise;
  }

  /**
   * Closes right behind turns of the event loop in which nobody arrived: what waits in the kernel's queue at
   * that moment is reset, unless the kernel is told to migrate it (docs/operations.md, "Reloading").
   */
  #closeWhenQuiet(closed: () => void): void {
    let seen = this.#accepted;
    let quiet = 0;
    let turns = 0;
    const turn = () => {
      quiet = this.#accepted === seen ? quiet + 1 : 0;
      seen = this.#accepted;
      turns++;
      if (quiet < QUIET_TURNS && turns < MAX_TURNS) {
        setImmediate(turn);
        return;
      }
      this.#server.close();
      closed();
    };
    setImmediate(turn);
  }
}

function traitsOf({ transport, name, framing, ticket, pingMs, manager }: ListenAddress): ListenerTraits {
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

function listenError(error: NodeJS.ErrnoException, address: ListenAddress): ListenError {
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
