/**
 * What was read of a client and can't be received yet. It is copied, since the memory that clients are read into is
 * shared, into memory of its own size; what comes behind it is added, and what was received is left behind.
 */

export class PendingInput {
  /** What waits is `bytes[start..end)`. */
  bytes: Buffer;
  start = 0;
  end: number;

  /** Holds `input[start..end)`. */
  constructor(input: Buffer, start: number, end: number) {
    // Not from Node's pool, a whole slab of which a few bytes would keep.
    this.bytes = Buffer.allocUnsafeSlow(end - start);
    this.end = input.copy(this.bytes, 0, start, end);
  }

  get length(): number {
    return this.end - this.start;
  }

  /** Adds `input[start..end)`. */
  append(input: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (this.end + end - start > this.bytes.length) this.#makeRoom(length);
    this.end += input.copy(this.bytes, this.end, start, end);
  }

  /** Twice what is wanted, so that what comes byte by byte is moved only a few times. */
  #makeRoom(length: number): void {
    const roomier = Buffer.allocUnsafeSlow(2 * length);
    this.end = this.bytes.copy(roomier, 0, this.start, this.end);
    this.start = 0;
    this.bytes = roomier;
  }
}
