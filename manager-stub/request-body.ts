/**
 * The body of a request as it comes, in one memory: in pieces of a byte each, as whoever calls may send it, the pieces kept as
 * they are would be hundreds of times as much.
 */

const FIRST_BYTES = 1024;

export class RequestBody {
  readonly #maxBytes: number;
  #memory = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  /** @param maxBytes a longer one is not kept */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How long it is so far, bytes. */
  get length(): number {
    return this.#length;
  }

  /** How much memory it takes, bytes. */
  get memoryBytes(): number {
    return this.#memory.length;
  }

  get isTooLong(): boolean {
    return this.#length > this.#maxBytes;
  }

  append(part: Buffer): void {
    const length = this.#length + part.length;
    if (length <= this.#maxBytes) {
      this.#reserve(length);
      part.copy(this.#memory, this.#length);
    }
    this.#length = length;
  }

  /** All of it; only while it is not too long. */
  toString(): string {
    return this.#memory.toString("utf8", 0, this.#length);
  }

  /** Twice what is wanted, so that what comes byte by byte is moved only a few times. */
  #reserve(length: number): void {
    if (length <= this.#memory.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, 2 * length));
    this.#memory.copy(larger, 0, 0, this.#length);
    this.#memory = larger;
  }
}
