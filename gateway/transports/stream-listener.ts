/**
 * Listens on a stream socket's address, TCP or Unix, with a server of Node's. What an accepted socket becomes is the
 * transport's to say.
 */

import type { Server, Socket } from "node:net";
import { createSocketServer } from "../../process/sockets.ts";
import type { Endpoint } from "../../proto/bodies.ts";
import type { Arrival } from "./connection.ts";
import { GoneArrival } from "./gone-arrival.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { AcceptSink, Listener, ListenerTraits } from "./listener.ts";
import {
  closeWhenQuiet,
  endpointOf,
  KEEP_ALIVE_SECONDS,
  listen,
  type Place,
  traitsOf,
  tryOut,
} from "./listening.ts";

/** What a transport adds to a listener. */
export interface Transported {
  /** Makes an arrival of a socket that was accepted paused. */
  readonly arrive: (accepted: Socket) => Arrival;
  readonly place: Place;
  readonly files?: readonly string[];
  readonly reload?: () => void;
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
    this.#server = createSocketServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_SECONDS * 1000,
    });
    this.#server.on("connection", (socket) => {
      this.#accepted++;
      // One that was reset before it was accepted has no address any more, and must not pass for one without.
      const isNowhere = address.transport !== "unix" && socket.remoteAddress === undefined;
      if (isNowhere || socket.destroyed) {
        socket.destroy();
        accept(new GoneArrival("reset-early"), this);
        return;
      }
      accept(transported.arrive(socket), this);
    });
  }

  get endpoint(): Endpoint {
    return endpointOf(this.address, this.#port);
  }

  get files(): readonly string[] {
    return this.#transported.files ?? [];
  }

  reload(): void {
    this.#transported.reload?.();
  }

  tryOut(): Promise<void> {
    return tryOut(this.address, this.#transported.place);
  }

  async open(): Promise<void> {
    this.#port = await listen(this.#server, this.address, this.#transported.place);
  }

  close(): Promise<void> {
    return closeWhenQuiet(
      () => this.#accepted,
      () => {
        this.#transported.place.release?.();
        this.#server.close();
      },
    );
  }
}
