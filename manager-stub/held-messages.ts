/**
 * What the client of a session says while the session is being handed over: it is the other manager's, unless the handoff is
 * refused. Each message is kept with the number of the frame that told it, all in one piece of memory.
 */

/** The number of the frame, and the length of the message. */
const HEAD_BYTES = 12;
const LENGTH_AT = 8;
const LEAST_BYTES = 256;

/** One message, and the number of the frame that told it. */
export interface HeldMessage {
  readonly number: number;
  readonly payload: Buffer;
}

export class HeldMessages {
  #memory = Buffer.alloc(0);
  /** Where the first message begins, and where the last ends. */
  #start = 0;
  #end = 0;

  /** How much is held, with what is noted of each message. */
  get byteLength(): number {
    return this.#end - this.#start;
  }

  /** Holds the message `bytes[start..end)`, which is copied. */
  push(number: number, bytes: Buffer, start: number, end: number): void {
    const length = HEAD_BYTES + end - start;
    if (this.#end + length > this.#memory.length) this.#grow(length);
    this.#memory.writeDoubleLE(number, this.#end);
    this.#memory.writeUInt32LE(end - start, this.#end + LENGTH_AT);
    bytes.copy(this.#memory, this.#end + HEAD_BYTES, start, end);
    this.#end += length;
  }

  /** Takes the oldest message out; undefined when there is none. Its payload stays as it is. */
  shift(): HeldMessage | undefined {
    if (this.#start === this.#end) return undefined;
    const number = this.#memory.readDoubleLE(this.#start);
    const from = this.#start + HEAD_BYTES;
    const to = from + this.#memory.readUInt32LE(this.#start + LENGTH_AT);
    this.#start = to;
    return { number, payload: this.#memory.subarray(from, to) };
  }

  #grow(length: number): void {
    const needed = this.byteLength + length;
    const memory = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, needed, 2 * this.byteLength));
    this.#memory.copy(memory, 0, this.#start, this.#end);
    this.#memory = memory;
    this.#end -= this.#start;
    this.#start = 0;
  }
}
