/**
 * A client that has to shake hands before it is a connection: steps, one after the other, each of which finds
 * something out or puts another stream on top (a PROXY header, TLS, a WebSocket's upgrade). Its time is bounded
 * by who opened it.
 */

import type { Socket } from "node:net";
import type { Refusal } from "../guard/refusal.ts";
import type { Arrival, ConnectionSink } from "./connection.ts";
import { boundedDetails, type ClientDetails, NO_DETAILS } from "./details.ts";
import { descriptorOf, peerAddress, resetSocket } from "./socket-channel.ts";
import type { StreamClient } from "./stream-connection.ts";

/** One step. It ends by `proceed` or `fail`, in its own time, and does nothing once the handshake is over. */
export type HandshakeStep = (handshake: Handshake) => void;

/** What a handshake leaves behind. */
export interface Handshaken extends StreamClient {
  /** The socket under a TLS socket; else the same. */
  readonly raw: Socket;
}

/** Makes the connection when all steps are done. */
export type Establish = (socket: Socket, handshaken: Handshaken) => Arrival;

export class Handshake implements Arrival {
  readonly address: string | undefined;
  readonly port: number;
  readonly descriptor: number | undefined;

  readonly #raw: Socket;
  readonly #steps: readonly HandshakeStep[];
  readonly #establish: Establish;
  #sink: ConnectionSink | undefined;
  #socket: Socket;
  #stepsTaken = 0;
  /** Bytes that the steps before this one have taken. */
  #takenBytes = 0;
  #details: ClientDetails = NO_DETAILS;
  #early: Buffer = Buffer.alloc(0);
  /** Something reads and writes the socket that may shut it down unseen: a reset might be refused, and is not tried. */
  #covered = false;
  #over = false;
  #error: NodeJS.ErrnoException | undefined;

  /**
   * @param accepted a socket that was accepted paused
   * @param identifies whether a step will tell the client's address
   */
  constructor(accepted: Socket, identifies: boolean, steps: readonly HandshakeStep[], establish: Establish) {
    this.address = identifies ? undefined : peerAddress(accepted);
    this.port = accepted.remotePort ?? 0;
    this.descriptor = descriptorOf(accepted);
    this.#raw = accepted;
    this.#socket = accepted;
    this.#steps = steps;
    this.#establish = establish;
  }

  open(sink: ConnectionSink): void {
    this.#sink = sink;
    this.#raw.on("error", this.#failed);
    this.#raw.on("close", this.#closed);
    if (this.#raw.destroyed) this.#closed();
    else this.proceed();
  }

  reset(): void {
    this.#over = true;
    if (this.#covered) this.#raw.destroy();
    else resetSocket(this.#raw, this.#socket);
  }

  close(): void {
    this.#over = true;
    this.#raw.destroy();
  }

  // For the steps.

  /** The stream that the next step reads: paused, or not read from yet. */
  get socket(): Socket {
    return this.#socket;
  }

  /** The address of whoever connected: a proxy's, when there is one. */
  get peer(): { readonly address: string; readonly port: number } {
    return { address: peerAddress(this.#raw), port: this.#raw.remotePort ?? 0 };
  }

  /** Whether it has ended, one way or the other; a step that learns something then keeps it to itself. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether the client has said nothing at all since the step began. */
  get isSilent(): boolean {
    return this.#raw.bytesRead <= this.#takenBytes;
  }

  /** Goes on with the next step, or ends the handshake well. */
  proceed(): void {
    if (this.#over) return;
    this.#takenBytes = this.#raw.bytesRead - this.#early.length;
    const step = this.#steps[this.#stepsTaken++];
    if (step === undefined) this.#end();
    else step(this);
  }

  /** The stream that the next step reads, for a step that puts one on top of it that is not there yet; see `secure`. */
  coveredSocket(): Socket {
    this.#covered = true;
    return this.wholeSocket();
  }

  /** The next step reads `socket`, which lies on top of the one before. */
  secure(socket: Socket): void {
    this.#covered = false;
    this.#socket = socket;
  }

  describe(details: ClientDetails): void {
    this.#details = { ...this.#details, ...boundedDetails(details) };
  }

  /** What was read behind this step and belongs to what follows. */
  leave(early: Buffer): void {
    this.#early = early;
  }

  /** The stream that the next step reads, with what the step before left put back in front. */
  wholeSocket(): Socket {
    const early = this.#takeEarly();
    if (early.length > 0) this.#socket.unshift(early);
    return this.#socket;
  }

  /** Tells the client's real address. */
  identify(address: string, port: number): Refusal | undefined {
    return this.#sink?.identified(address, port);
  }

  present(ticket: string): Refusal | undefined {
    return this.#sink?.presented(ticket);
  }

  /**
   * The handshake has failed. The client is cut off, or gets `answer` first.
   *
   * @param answer what is sent before the end
   */
  fail(refusal: Refusal, answer?: string): void {
    if (this.#over) return;
    this.#sink?.failed(refusal);
    if (answer === undefined) {
      this.close();
      return;
    }
    this.#over = true;
    // What it still sends is read and thrown away, so that the close is no reset and the answer arrives.
    this.#socket.removeAllListeners("data").on("data", () => {});
    this.#socket.resume();
    this.#socket.end(answer);
    this.#socket.once("finish", () => this.#socket.destroySoon());
  }

  /** Takes what the step before left. */
  #takeEarly(): Buffer {
    const early = this.#early;
    this.#early = Buffer.alloc(0);
    return early;
  }

  #end(): void {
    const sink = this.#sink;
    this.#over = true;
    this.#raw.off("error", this.#failed);
    this.#raw.off("close", this.#closed);
    if (sink === undefined) return;
    const handshaken = { ...this.peer, details: this.#details, raw: this.#raw, early: this.#takeEarly() };
    this.#establish(this.#socket, handshaken).open(sink);
  }

  readonly #failed = (error: NodeJS.ErrnoException): void => {
    this.#error ??= error;
  };

  readonly #closed = (): void => {
    this.#over = true;
    this.#sink?.closed(this.#error);
  };
}
