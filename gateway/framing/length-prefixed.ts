/**
 * Messages behind their length, an unsigned integer of two or four bytes. A message over the limit is
 * refused as soon as its prefix is whole, before any of it is kept; one that lies whole in a read is handed
 * on where it lies, and one that is cut is gathered. A prefix that is cut needs no memory but a number.
 */

import type { Framing, FramingFault, MessageDecoder, MessageSink } from "./codec.ts";
import { Gathering } from "./gathering.ts";

/** How a length is written. */
interface Prefix {
  readonly bytes: 2 | 4;
  readonly littleEndian: boolean;
  /** The length counts the prefix's own bytes too. */
  readonly countsItself: boolean;
}

const layouts = {
  u16be: { bytes: 2, littleEndian: false },
  u16le: { bytes: 2, littleEndian: true },
  u32be: { bytes: 4, littleEndian: false },
  u32le: { bytes: 4, littleEndian: true },
} as const;

export type LengthPrefixedName = keyof typeof layouts;

/**
 * The framing with a length before each message.
 *
 * @param name the width and byte order of the length
 * @param countsItself the length counts the prefix's own bytes too
 */
export function lengthPrefixed(name: LengthPrefixedName, countsItself: boolean): Framing {
  const prefix: Prefix = { ...layouts[name], countsItself };
  const own = countsItself ? prefix.bytes : 0;
  const maxPayloadBytes = 2 ** (8 * prefix.bytes) - 1 - own;
  return {
    name,
    maxPayloadBytes,
    decoder: (maxMessageBytes) => new LengthPrefixedDecoder(prefix, maxMessageBytes),
    encode(payload) {
      if (payload.length > maxPayloadBytes) {
        throw new RangeError(`${name} holds ${maxPayloadBytes} bytes at most, not ${payload.length}`);
      }
      const bytes = Buffer.allocUnsafe(prefix.bytes + payload.length);
      if (prefix.littleEndian) bytes.writeUIntLE(payload.length + own, 0, prefix.bytes);
      else bytes.writeUIntBE(payload.length + own, 0, prefix.bytes);
      payload.copy(bytes, prefix.bytes);
      return bytes;
    },
  };
}

class LengthPrefixedDecoder implements MessageDecoder {
  readonly #prefix: Prefix;
  readonly #maxMessageBytes: number;
  /** Bytes of the prefix that have come; all of them while a message is under way. */
  #prefixBytes = 0;
  /** The length as far as its prefix has come; the message's own, once it is whole. */
  #messageBytes = 0;
  #held: Gathering | undefined;
  #fault: FramingFault | undefined;

  constructor(prefix: Prefix, maxMessageBytes: number) {
    this.#prefix = prefix;
    this.#maxMessageBytes = maxMessageBytes;
  }

  get pendingBytes(): number {
    return this.#prefixBytes + (this.#held?.length ?? 0);
  }

  push(bytes: Buffer, start: number, end: number, sink: MessageSink): number | FramingFault {
    let offset = start;
    while (this.#fault === undefined) {
      offset = this.#takePrefix(bytes, offset, end);
      if (this.#fault !== undefined || this.#prefixBytes < this.#prefix.bytes) break;
      const messageEnd = offset + this.#messageBytes - (this.#held?.length ?? 0);
      if (messageEnd > end) {
        if (offset < end) this.#hold(bytes, offset, end);
        return end;
      }
      const goesOn = this.#deliver(bytes, offset, messageEnd, sink);
      offset = messageEnd;
      if (!goesOn) break;
    }
    return this.#fault ?? offset;
  }

  /** Takes what is there of the prefix under way; gives the offset behind it. */
  #takePrefix(bytes: Buffer, from: number, length: number): number {
    const { bytes: width, littleEndian } = this.#prefix;
    if (this.#prefixBytes === width) return from;
    if (this.#prefixBytes === 0 && length - from >= width) {
      this.#prefixBytes = width;
      this.#messageBytes = littleEndian ? bytes.readUIntLE(from, width) : bytes.readUIntBE(from, width);
      this.#checkPrefix();
      return from + width;
    }
    let offset = from;
    while (offset < length && this.#prefixBytes < width) {
      const place = littleEndian ? this.#prefixBytes : width - 1 - this.#prefixBytes;
      this.#messageBytes += (bytes[offset] ?? 0) * 256 ** place;
      this.#prefixBytes++;
      offset++;
    }
    if (this.#prefixBytes === width) this.#checkPrefix();
    return offset;
  }

  #checkPrefix(): void {
    if (this.#prefix.countsItself) this.#messageBytes -= this.#prefix.bytes;
    if (this.#messageBytes < 0) this.#stop("bad-frame");
    else if (this.#messageBytes > this.#maxMessageBytes) this.#stop("too-big");
  }

  #deliver(bytes: Buffer, start: number, end: number, sink: MessageSink): boolean {
    const held = this.#held;
    const messageBytes = this.#messageBytes;
    this.#reset();
    held?.append(bytes, start, end, messageBytes);
    return held === undefined ? sink(bytes, start, end) : sink(held.bytes, 0, held.length);
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    this.#held ??= new Gathering(end - start, this.#messageBytes);
    this.#held.append(bytes, start, end, this.#messageBytes);
  }

  #stop(fault: FramingFault): void {
    this.#fault = fault;
    this.#reset();
  }

  #reset(): void {
    this.#prefixBytes = 0;
    this.#messageBytes = 0;
    this.#held = undefined;
  }
}
