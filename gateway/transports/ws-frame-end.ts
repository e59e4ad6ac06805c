/**
 * Where the frames of a WebSocket end (RFC 6455, section 5.2), whatever is in them and wherever they are cut: so that they
 * can be given one at a time to who reads them.
 */

const MASK_BIT = 0x80;
const LENGTH_BITS = 0x7f;
/** In place of a length: two, or eight, bytes of length follow. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;

export class FrameEnd {
  /** Bytes of the header that have come; none between frames. */
  #headerBytes = 0;
  /** How many it has in all, as far as that is known. */
  #headerLength = 2;
  /** Where in it the length ends. */
  #lengthEnd = 2;
  #payloadBytes = 0;
  /** The header is whole: so much of the payload is still to come. */
  #left = 0;

  /** Whether a frame is under way. */
  get isInFrame(): boolean {
    return this.#headerBytes > 0;
  }

  /** @returns the offset behind the frame that is under way, or begins at `start`; `end` where that has not come yet */
  find(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#headerBytes < this.#headerLength) this.#takeHeader(bytes[at++] ?? 0);
    if (this.#headerBytes < this.#headerLength) return end;
    const taken = Math.min(this.#left, end - at);
    this.#left -= taken;
    if (this.#left === 0) this.#reset();
    return at + taken;
  }

  #takeHeader(byte: number): void {
    const place = this.#headerBytes++;
    if (place === 1) {
      const length = byte & LENGTH_BITS;
      const more = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0;
      this.#headerLength = 2 + more + ((byte & MASK_BIT) === 0 ? 0 : MASK_BYTES);
      this.#payloadBytes = more === 0 ? length : 0;
      this.#lengthEnd = 2 + more;
    } else if (place > 1 && place < this.#lengthEnd) {
      this.#payloadBytes = this.#payloadBytes * 256 + byte;
    }
    if (this.#headerBytes === this.#headerLength) this.#left = this.#payloadBytes;
  }

  #reset(): void {
    this.#headerBytes = 0;
    this.#headerLength = 2;
  }
}
