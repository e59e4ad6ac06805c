/**
 * Messages that are lines: each ends with a line feed, and a carriage return before it is not part of the
 * message. What goes to a client gets a line feed; a payload that holds one itself arrives as several lines.
 */

import type { Framing, FramingFault, MessageDecoder, MessageSink } from "./codec.ts";
import { Gathering } from "./gathering.ts";

const LF = 0x0a;
const CR = 0x0d;

export const line: Framing = {
  name: "line",
  maxPayloadBytes: Number.POSITIVE_INFINITY,
  decoder: (maxMessageBytes) => new LineDecoder(maxMessageBytes),
  encode(payload) {
    const bytes = Buffer.allocUnsafe(payload.length + 1);
    payload.copy(bytes);
    bytes[payload.length] = LF;
    return bytes;
  },
};

class LineDecoder implements MessageDecoder {
  readonly #maxMessageBytes: number;
  #held: Gathering | undefined;
  #stopped = false;
  #fault: FramingFault | undefined;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  get pendingBytes(): number {
    return this.#held?.length ?? 0;
  }

  push(bytes: Buffer, length: number, sink: MessageSink): FramingFault | undefined {
    // What lies behind `length` is of an earlier read, and its line feeds are none of ours.
    const input = length === bytes.length ? bytes : bytes.subarray(0, length);
    let offset = 0;
    while (!this.#stopped && offset < length) {
      const feed = input.indexOf(LF, offset);
      const end = feed === -1 ? length : feed;
      if (this.#held === undefined && feed !== -1) this.#deliver(bytes, offset, end, sink);
      else if (this.#hold(bytes, offset, end) && feed !== -1) this.#deliverHeld(sink);
      offset = end + 1;
    }
    return this.#fault;
  }

  /** Hands on `bytes[start..end)`, which a line feed follows. */
  #deliver(bytes: Buffer, start: number, end: number, sink: MessageSink): void {
    const messageEnd = end > start && bytes[end - 1] === CR ? end - 1 : end;
    if (messageEnd - start > this.#maxMessageBytes) this.#stop("too-big");
    else if (!sink(bytes, start, messageEnd)) this.#stop(undefined);
  }

  #deliverHeld(sink: MessageSink): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#deliver(held.bytes, 0, held.length, sink);
  }

  /** Gathers `bytes[start..end)`, unless the line can't come within the limit any more. */
  #hold(bytes: Buffer, start: number, end: number): boolean {
    // One byte over the limit may be a carriage return, which a line feed makes no part of the message.
    const limit = this.#maxMessageBytes + 1;
    const lineBytes = this.pendingBytes + end - start;
    const last = end > start ? bytes[end - 1] : CR;
    if (lineBytes > limit || (lineBytes === limit && last !== CR)) {
      this.#stop("too-big");
      return false;
    }
    this.#held ??= new Gathering(end - start, limit);
    this.#held.append(bytes, start, end, limit);
    return true;
  }

  #stop(fault: FramingFault | undefined): void {
    this.#stopped = true;
    this.#fault = fault;
    this.#held = undefined;
  }
}
