/**
 * Bytes to frames. The reader is fed whatever the stream delivers, cut at any byte, and hands each whole
 * frame on as a place in a buffer: a frame that lies whole in the input is not copied, one that does not is
 * gathered in a buffer of its own, made only after its header was found to be within bounds.
 */

import { type BodyBounds, checkHeader, HEADER_BYTES } from "./frame.ts";

/**
 * Takes one frame: `data` is `bytes[start..end)`. The bytes may lie in the caller's input; a sink that keeps
 * them beyond the call must know whether that input is used again.
 */
export type FrameSink = (type: number, bytes: Buffer, start: number, end: number) => void;

/** Frames that fit into this are gathered in memory that is used again. */
const GATHER_BYTES = 64 * 1024;

export class FrameReader {
  /** The largest `data` accepted, in bytes. May be raised between frames, when registration tells it. */
  maxFrame: number;

  readonly #bounds: ReadonlyMap<number, BodyBounds>;
  readonly #sink: FrameSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  /** Bytes of the header, or of the whole frame, gathered so far. */
  #gathered = 0;
  /** The frame being gathered, header included; undefined while its header is not complete. */
  #frame: Buffer | undefined;
  /** The memory of the frame that was gathered last, as long as the input that completed it is the latest. */
  #lent: Buffer | undefined;
  /** Memory that the next frame can be gathered in. */
  #spare: Buffer | undefined;
  /** Somebody says when what was handed on is not needed any more. */
  #reuses = false;
  #stopped = false;

  /**
   * @param bounds what the peer may send, by type
   * @param maxFrame the largest `data` accepted, in bytes
   * @param sink takes each frame
   */
  constructor(bounds: ReadonlyMap<number, BodyBounds>, maxFrame: number, sink: FrameSink) {
    this.#bounds = bounds;
    this.maxFrame = maxFrame;
    this.#sink = sink;
  }

  /** Bytes of an unfinished frame that are held. */
  get heldBytes(): number {
    return this.#gathered;
  }

  /** No frame is handed on after this, also not the rest of the input under way. */
  stop(): void {
    this.#stopped = true;
    this.#frame = undefined;
    this.#gathered = 0;
  }

  /**
   * Reads `input[0..length)` and hands on every frame that it completes.
   *
   * @throws ProtocolError from a header out of bounds, or from the sink; the reader is then stopped
   */
  push(input: Buffer, length = input.length): void {
    this.#lent = undefined;
    try {
      let offset = this.#gathered > 0 ? this.#finish(input, length) : 0;
      while (!this.#stopped && length - offset >= HEADER_BYTES) {
        const type = input.readUInt32LE(offset);
        const bodyBytes = input.readUInt32LE(offset + 4);
        checkHeader(this.#bounds, type, bodyBytes, this.maxFrame);
        const start = offset + HEADER_BYTES;
        if (length - start < bodyBytes) break;
        offset = start + bodyBytes;
        this.#sink(type, input, start, offset);
      }
      if (!this.#stopped && offset < length) this.#gather(input, offset, length);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Nobody needs any more what the last `push` has handed on: memory of the reader's own is used again. */
  reuse(): void {
    this.#reuses = true;
    this.#spare = this.#lent ?? this.#spare;
    this.#lent = undefined;
  }

  /** Completes the frame begun in earlier input; gives the offset behind what it took. */
  #finish(input: Buffer, length: number): number {
    const offset = this.#gather(input, 0, length);
    const frame = this.#frame;
    if (frame !== undefined && this.#gathered === frame.length) {
      this.#frame = undefined;
      this.#gathered = 0;
      if (frame.buffer.byteLength === GATHER_BYTES) this.#lent = frame;
      this.#sink(frame.readUInt32LE(0), frame, HEADER_BYTES, frame.length);
    }
    return offset;
  }

  /** Takes input for one frame, at most to its end; gives the offset behind what it took. */
  #gather(input: Buffer, from: number, length: number): number {
    let offset = from;
    if (this.#frame === undefined) {
      const take = Math.min(HEADER_BYTES - this.#gathered, length - offset);
      input.copy(this.#header, this.#gathered, offset, offset + take);
      this.#gathered += take;
      offset += take;
      if (this.#gathered < HEADER_BYTES) return offset;
      const bodyBytes = this.#header.readUInt32LE(4);
      checkHeader(this.#bounds, this.#header.readUInt32LE(0), bodyBytes, this.maxFrame);
      this.#frame = this.#place(HEADER_BYTES + bodyBytes);
      this.#header.copy(this.#frame);
    }
    const take = Math.min(this.#frame.length - this.#gathered, length - offset);
    input.copy(this.#frame, this.#gathered, offset, offset + take);
    this.#gathered += take;
    return offset + take;
  }

  #place(bytes: number): Buffer {
    if (!this.#reuses || bytes > GATHER_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const { buffer } = this.#spare ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
    this.#spare = undefined;
    return Buffer.from(buffer, 0, bytes);
  }
}
