/** A connection whose bytes are messages: each is received whole, however the client's reads were cut. */

import type { Socket } from "node:net";
import type { Encoder } from "../framing/encoder.ts";
import type { MessageDecoder } from "../framing/framing.ts";
import type { ReadPath } from "./read-path.ts";
import { type Handshaken, SocketConnection } from "./socket-connection.ts";

export class FramedConnection extends SocketConnection {
  readonly #encoder: Encoder;
  readonly #decoder: MessageDecoder;
  #faulted = false;

  constructor(
    socket: Socket,
    readPath: ReadPath,
    handshaken: Handshaken | undefined,
    encoder: Encoder,
    decoder: MessageDecoder,
  ) {
    super(socket, readPath, handshaken);
    this.#encoder = encoder;
    this.#decoder = decoder;
  }

  override get encoder(): Encoder {
    return this.#encoder;
  }

  override get pendingBytes(): number {
    return this.#decoder.pendingBytes;
  }

  override received(bytes: Buffer, length: number): void {
    this.inSips(bytes, length);
  }

  protected override decode(bytes: Buffer, length: number): void {
    if (this.#faulted || this.ended) return;
    const fault = this.#decoder.push(bytes, length, this.#deliver);
    if (fault === undefined || this.ended) return;
    this.#faulted = true;
    this.sink?.faulted(fault);
  }

  readonly #deliver = (bytes: Buffer, start: number, end: number): boolean => {
    this.sink?.received(bytes, start, end);
    return !this.ended;
  };
}
