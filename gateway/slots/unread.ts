/**
 * What a client has said before it is in, message by message. All of it lies in one memory, each message behind its length:
 * a buffer for each would take ten times what an empty line does, and one of Node's pool would keep a whole slab of that.
 */

import { Gathering } from "../framing/gathering.ts";

/** A length is written seven bits at a time, the lowest first; this bit says that more of it follow. */
const MORE = 0x80;
const LOW_BITS = MORE - 1;
const MAX_LENGTH_BYTES = 5;

const NO_LIMIT = Number.POSITIVE_INFINITY;

/** Where a length is written before it is added. */
const written = Buffer.alloc(MAX_LENGTH_BYTES);

export class Unread {
  readonly #kept: Gathering;
  /** Where in it the messages begin that are left. */
  #handedOn = 0;
  /** How long the one was that was handed on last. */
  #nextBytes = 0;

  /** Keeps a first message, `bytes[start..end)`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#kept = new Gathering(end - start, NO_LIMIT);
    this.add(bytes, start, end);
  }

  /** How much memory it takes, bytes. */
  get memoryBytes(): number {
    return this.#kept.bytes.length;
  }

  /** Keeps `bytes[start..end)`, a message of its own. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#kept.append(written, 0, writeLength(end - start), NO_LIMIT);
    this.#kept.append(bytes, start, end, NO_LIMIT);
  }

  /**
   * Hands on each message, in order, as long as more are wanted; the next call goes on with those that are left.
   *
   * @param take gives whether it wants more
   * @returns whether none is left
   */
  handOn(take: (bytes: Buffer, start: number, end: number) => boolean): boolean {
    const { bytes, length } = this.#kept;
    let goesOn = true;
    while (goesOn && this.#handedOn < length) {
      const end = this.#next();
      goesOn = take(bytes, end - this.#nextBytes, end);
    }
    return this.#handedOn === length;
  }

  /** All messages that are left, joined. */
  joined(): Buffer {
    const from = this.#handedOn;
    const all = Buffer.allocUnsafeSlow(this.#kept.length - from);
    let length = 0;
    this.handOn((bytes, start, end) => {
      length += bytes.copy(all, length, start, end);
      return true;
    });
    this.#handedOn = from;
    return all.subarray(0, length);
  }

  /** Passes over the next message, of `#nextBytes`; gives the offset behind it. */
  #next(): number {
    const { bytes } = this.#kept;
    let at = this.#handedOn;
    let place = 1;
    this.#nextBytes = 0;
    for (; (bytes[at] ?? 0) >= MORE; at++, place *= MORE)
      this.#nextBytes += ((bytes[at] ?? 0) & LOW_BITS) * place;
    this.#nextBytes += (bytes[at] ?? 0) * place;
    this.#handedOn = at + 1 + this.#nextBytes;
    return this.#handedOn;
  }
}

/** Writes a length into `written`; gives how many bytes that took. */
function writeLength(length: number): number {
  let at = 0;
  let rest = length;
  for (; rest >= MORE; rest = Math.floor(rest / MORE)) written[at++] = MORE | (rest & LOW_BITS);
  written[at++] = rest;
  return at;
}
