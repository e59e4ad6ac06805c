/**
 * Frames to bytes. Everything that one side sends in one turn of its event loop is appended to a batch, and
 * the batch leaves in one write. Frames are written straight into chunks that are used again once they were
 * written out, so a hot frame costs one copy of its payload and no allocation.
 */

import { HEADER_BYTES, SESSION_BYTES } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";

const EMPTY = Buffer.alloc(0);

export class FrameBatch implements FrameWriter {
  readonly #chunkBytes: number;
  readonly #spare: Buffer[] = [];
  readonly #maxSpare: number;
  #full: Buffer[] = [];
  #fullBytes = 0;
  #chunk: Buffer;
  #used = 0;

  /**
   * @param chunkBytes the size of a chunk; a frame that is larger gets one of its own
   * @param maxSpare how many written-out chunks are kept to be used again
   */
  constructor(chunkBytes = 64 * 1024, maxSpare = 16) {
    this.#chunkBytes = chunkBytes;
    this.#maxSpare = maxSpare;
    this.#chunk = Buffer.allocUnsafeSlow(chunkBytes);
  }

  /** Bytes appended since the last `take`. */
  get byteLength(): number {
    return this.#fullBytes + this.#used;
  }

  /** Appends a frame whose data is `body` and `tail`. */
  frame(type: number, body: Uint8Array, tail: Uint8Array = EMPTY): void {
    const at = this.#reserve(type, body.length + tail.length);
    this.#chunk.set(body, at);
    this.#chunk.set(tail, at + body.length);
  }

  /** Appends a frame whose data is a session id and `bytes[start..end)`. */
  sessionFrame(type: number, session: number, bytes: Buffer = EMPTY, start = 0, end = bytes.length): void {
    const at = this.#reserve(type, SESSION_BYTES + end - start);
    this.#chunk.writeUInt32LE(session, at);
    bytes.copy(this.#chunk, at + SESSION_BYTES, start, end);
  }

  /** The bytes appended since the last `take`, in order; the batch is then empty. */
  take(): Buffer[] {
    const taken = this.#full;
    if (this.#used > 0) {
      taken.push(this.#chunk.subarray(0, this.#used));
      this.#chunk = this.#freshChunk();
    }
    this.#full = [];
    this.#fullBytes = 0;
    this.#used = 0;
    return taken;
  }

  /** Gives back chunks from `take` that nobody reads any more, to be written again. */
  recycle(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      if (this.#spare.length >= this.#maxSpare) return;
      if (chunk.buffer.byteLength === this.#chunkBytes) {
        this.#spare.push(Buffer.from(chunk.buffer, 0, this.#chunkBytes));
      }
    }
  }

  /** Forgets what was appended and not taken. */
  clear(): void {
    this.recycle(this.take());
  }

  /** Makes place for a frame, writes its header, and gives the offset of its data in the current chunk. */
  #reserve(type: number, bodyBytes: number): number {
    const frameBytes = HEADER_BYTES + bodyBytes;
    if (this.#chunk.length - this.#used < frameBytes) this.#nextChunk(frameBytes);
    const at = this.#used;
    this.#chunk.writeUInt32LE(type, at);
    this.#chunk.writeUInt32LE(bodyBytes, at + 4);
    this.#used = at + frameBytes;
    return at + HEADER_BYTES;
  }

  #nextChunk(leastBytes: number): void {
    if (this.#used > 0) {
      this.#full.push(this.#chunk.subarray(0, this.#used));
      this.#fullBytes += this.#used;
    } else {
      this.recycle([this.#chunk]);
    }
    this.#used = 0;
    this.#chunk = leastBytes > this.#chunkBytes ? Buffer.allocUnsafeSlow(leastBytes) : this.#freshChunk();
  }

  #freshChunk(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#chunkBytes);
  }
}
