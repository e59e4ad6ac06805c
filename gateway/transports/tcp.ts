/** Clients over plain TCP. */

import { type AddressInfo, createServer, type Server } from "node:net";
import type { Endpoint } from "../../proto/bodies.ts";
import type { ListenAddress } from "./listen-url.ts";
import { type AcceptSink, ListenError, type Listener } from "./listener.ts";
import type { ReadPath } from "./read-path.ts";
import { SocketConnection } from "./socket-connection.ts";

/** After this long without a word the kernel asks an idle client whether it is still there. */
const KEEP_ALIVE_MS = 60_000;

/** A listener closes after this many turns of the event loop in a row in which nobody arrived. */
const QUIET_TURNS = 3;

/** A listener to which somebody arrives at every turn closes all the same after this many. */
const MAX_TURNS = 1000;

export class TcpListener implements Listener {
  readonly #address: ListenAddress;
  readonly #server: Server;
  readonly #failed: (error: Error) => void;
  #port: number;
  /** Connections accepted so far. */
  #accepted = 0;

  /**
   * @param address where to listen
   * @param readPath how accepted sockets are read
   * @param accept takes each connection
   * @param failed hears of an accept that the system refused, such as for want of file descriptors
   */
  constructor(
    address: ListenAddress,
    readPath: ReadPath,
    accept: AcceptSink,
    failed: (error: Error) => void,
  ) {
    this.#address = address;
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
      accept(new SocketConnection(socket, readPath), this);
    });
    this.#failed = failed;
  }

  get endpoint(): Endpoint {
    const { transport, host, name } = this.#address;
    return { transport, host, port: this.#port, name };
  }

  async open(): Promise<void> {
    const { host, port, backlog, reusePort } = this.#address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const server = this.#server;
    const refused = (error: NodeJS.ErrnoException) => reject(listenError(error, this.#address));
    server.once("error", refused);
    server.listen({ host, port, backlog, reusePort }, () => {
      server.off("error", refused);
      server.on("error", this.#failed);
      this.#port = (server.address() as AddressInfo).port;
      resolve();
    });
    return promise;
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

function listenError(error: NodeJS.ErrnoException, address: ListenAddress): ListenError {
  const where = `tcp://${address.host}:${address.port}`;
  const advice: Record<string, string> = {
    EADDRINUSE:
      "another process listens there: stop it, choose another port, or give ?reusePort=true to all of them",
    EACCES: "this user may not bind that port: choose one above 1023",
    EADDRNOTAVAIL: "this machine has no such address",
    ENOTFOUND: "the host name is not known",
  };
  const hint = advice[error.code ?? ""] ?? error.message;
  return new ListenError(`cannot listen on ${where}: ${hint} (${error.code ?? "unknown"})`, { cause: error });
}
