/**
 * The beginning of a message whose rest has not come yet. It is copied, since the memory that clients are
 * read into is shared, and what it takes follows what a client has sent, never what it has announced: a
 * hundred thousand clients that announce a mebibyte and send one byte must not cost a hundred gibibytes.
 */

/** Less than this is not worth asking for: the buffer's own bookkeeping costs more. */
const LEAST_BYTES = 64;

export class Gathering {
  /** What was gathered is `bytes[0..length)`. */
  bytes: Buffer;
  length = 0;

  /**
   * @param wanted how many bytes come at once
   * @param limit how many can come in all
   */
  constructor(wanted: number, limit: number) {
    this.bytes = allocate(wanted, limit);
  }

  /** Adds `input[start..end)`; with it there must not be more than `limit` bytes in all. */
  append(input: Buffer, start: number, end: number, limit: number): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const larger = allocate(length, limit);
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    input.copy(this.bytes, this.length, start, end);
    this.length = length;
  }
}

/** Twice what is there, so that a message that comes byte by byte is moved only a few times. */
function allocate(wanted: number, limit: number): Buffer {
  // Not from Node's pool: one small message would keep a whole slab of it.
  return Buffer.allocUnsafeSlow(Math.min(limit, Math.max(LEAST_BYTES, 2 * wanted)));
}
