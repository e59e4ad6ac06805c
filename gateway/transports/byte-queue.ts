/**
 * Bytes that wait behind a write under way. They are copied into blocks, so that a thousand small messages
 * to a client that does not read cost what they weigh, and pin nobody else's memory.
 */

const BLOCK_BYTES = 16 * 1024;

export class ByteQueue {
  #blocks: Buffer[] = [];
  #tail: Buffer | undefined;
  #tailUsed = 0;
  #byteLength = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  /** Appends a copy of `bytes`. */
  append(bytes: Buffer): void {
    let from = 0;
    this.#byteLength += bytes.length;
    while (from < bytes.length) {
      const tail = this.#roomyTail(bytes.length - from);
      const copied = bytes.copy(tail, this.#tailUsed, from);
      this.#tailUsed += copied;
      from += copied;
    }
  }

  /** Appends `bytes` themselves, which must stay as they are until they were taken. */
  lend(bytes: Buffer): void {
    this.#closeTail();
    this.#blocks.push(bytes);
    this.#byteLength += bytes.length;
  }

  /** All the bytes, in order; the queue is then empty. */
  take(): Buffer[] {
    this.#closeTail();
    const taken = this.#blocks;
    this.#blocks = [];
    this.#byteLength = 0;
    return taken;
  }

  /**
   * Has the bytes taken from the front, block by block, for as long as they are.
   *
   * @param some takes the beginning of a block, and gives how many bytes that were
   * @returns whether the queue is empty
   */
  drainTo(some: (block: Buffer) => number): boolean {
    this.#closeTail();
    let whole = 0;
    for (const block of this.#blocks) {
      const taken = some(block);
      this.#byteLength -= taken;
      if (taken < block.length) {
        this.#blocks[whole] = block.subarray(taken);
        break;
      }
      whole++;
    }
    this.#blocks.splice(0, whole);
    return this.#blocks.length === 0;
  }

  #roomyTail(wanted: number): Buffer {
    if (this.#tail !== undefined && this.#tailUsed < this.#tail.length) return this.#tail;
    this.#closeTail();
    this.#tail = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, wanted));
    return this.#tail;
  }

  #closeTail(): void {
    if (this.#tail !== undefined) this.#blocks.push(this.#tail.subarray(0, this.#tailUsed));
    this.#tail = undefined;
    this.#tailUsed = 0;
  }
}
