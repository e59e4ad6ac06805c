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
  #fault: FramingFault | undefined;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  get pendingBytes(): number {
    return this.#held?.length ?? 0;
  }

  push(bytes: Buffer, start: number, end: number, sink: MessageSink): number | FramingFault {
    // What lies behind `end` is of an earlier read, and its line feeds are none of ours.
    const input = end === bytes.length ? bytes : bytes.subarray(0, end);
    let offset = start;
    let goesOn = this.#fault === undefined;
    while (goesOn && offset < end) {
      const feed = input.indexOf(LF, offset);
      const lineEnd = feed === -1 ? end : feed;
      if (this.#held === undefined && feed !== -1) goesOn = this.#deliver(bytes, offset, lineEnd, sink);
      else if (!this.#hold(bytes, offset, lineEnd)) goesOn = false;
      else if (feed !== -1) goesOn = this.#deliverHeld(sink);
      offset = feed === -1 ? end : feed + 1;
    }
    return this.#fault ?? offset;
  }

  /** Hands on `bytes[start..end)`, which a line feed follows. */
  #deliver(bytes: Buffer, start: number, end: number, sink: MessageSink): boolean {
    const messageEnd = end > start && bytes[end - 1] === CR ? end - 1 : end;
    if (messageEnd - start <= this.#maxMessageBytes) return sink(bytes, start, messageEnd);
    this.#fault = "too-big";
    return false;
  }

  #deliverHeld(sink: MessageSink): boolean {
    const held = this.#held;
    if (held === undefined) return true;
    this.#held = undefined;
    return this.#deliver(held.bytes, 0, held.length, sink);
  }

  /** Gathers `bytes[start..end)`, unless the line can't come within the limit any more. */
  #hold(bytes: Buffer, start: number, end: number): boolean {
    // One byte over the limit may be a carriage return, which a line feed makes no part of the message.
    const limit = this.#maxMessageBytes + 1;
    const lineBytes = this.pendingBytes + end - start;
    const last = end > start ? bytes[end - 1] : CR;
    if (lineBytes > limit || (lineBytes === limit && last !== CR)) {
      this.#fault = "too-big";
      this.#held = undefined;
      return false;
    }
    this.#held ??= new Gathering(end - start, limit);
    this.#held.append(bytes, start, end, limit);
    return true;
  }
}
