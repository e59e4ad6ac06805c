/** Listens on a TCP port, and has the poller accept: a client never is a socket of Node's. There is no handshake. */

import { constants } from "node:os";
import { createSocketServer } from "../../process/sockets.ts";
import type { Endpoint } from "../../proto/bodies.ts";
import { canonicalAddress } from "../guard/address.ts";
import type { Arrival } from "./connection.ts";
import { GoneArrival } from "./gone-arrival.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { AcceptSink, Listener, ListenerTraits } from "./listener.ts";
import {
  closeWhenQuiet,
  endpointOf,
  KEEP_ALIVE_SECONDS,
  listen,
  listenError,
  overTcp,
  traitsOf,
  tryOut,
} from "./listening.ts";
import { PolledChannel } from "./polled-channel.ts";
import type { Peer, Poller } from "./poller.ts";
import { descriptorOf } from "./socket-channel.ts";

/** Makes an arrival of a client that was accepted. */
export type PolledArrive = (channel: PolledChannel, peer: Peer) => Arrival;

export class PolledListener implements Listener {
  readonly address: ListenAddress;
  readonly origin: ListenerTraits;
  readonly files: readonly string[] = [];
  readonly #poller: Poller;
  readonly #arrive: PolledArrive;
  readonly #accept: AcceptSink;
  #port: number;
  #accepted = 0;
  #descriptor: number | undefined;

  /** @param accept takes each client */
  constructor(address: ListenAddress, poller: Poller, arrive: PolledArrive, accept: AcceptSink) {
    this.address = address;
    this.origin = traitsOf(address);
    this.#poller = poller;
    this.#arrive = arrive;
    this.#accept = accept;
    this.#port = address.port;
  }

  get endpoint(): Endpoint {
    return endpointOf(this.address, this.#port);
  }

  reload(): void {}

  tryOut(): Promise<void> {
    return tryOut(this.address, overTcp);
  }

  async open(): Promise<void> {
    // Node resolves the address and binds it; that is all that its server is there for.
    const server = createSocketServer();
    this.#port = await listen(server, this.address, overTcp);
    try {
      this.#descriptor = this.#poller.listen(descriptorOf(server) ?? -1, KEEP_ALIVE_SECONDS, (descriptor) =>
        this.#arrived(descriptor),
      );
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, this.address);
    } finally {
      server.close();
    }
  }

  close(): Promise<void> {
    return closeWhenQuiet(
      () => this.#accepted,
      () => {
        const descriptor = this.#descriptor;
        this.#descriptor = undefined;
        if (descriptor !== undefined) this.#poller.stop(descriptor);
      },
    );
  }

  #arrived(descriptor: number): void {
    this.#accepted++;
    if (descriptor < 0) {
      const isAborted = descriptor === -constants.errno.ECONNABORTED;
      this.#accept(new GoneArrival(isAborted ? "reset-early" : "descriptors"), this);
      return;
    }
    const peer = this.#poller.peer(descriptor);
    const address = canonicalAddress(peer?.address ?? "");
    // One that was reset before it was accepted has no address any more, and must not pass for one without.
    if (peer === undefined || address === undefined) {
      this.#poller.discard(descriptor);
      this.#accept(new GoneArrival("reset-early"), this);
      return;
    }
    const channel = new PolledChannel(this.#poller, descriptor);
    this.#accept(this.#arrive(channel, { ...peer, address }), this);
  }
}
