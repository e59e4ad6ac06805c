/**
 * The numbered frames of one direction of an epoch, kept until the other side has acknowledged them, so that they can be
 * sent again on another link (docs/protocol.md, "Nothing lost when the link is cut"). What is written out is what is
 * kept: the same chunks, filled one turn after the other, and filled again once all in them is acknowledged. Keeping
 * costs no copy.
 */

import { HEADER_BYTES, SESSION_BYTES } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";

const EMPTY = Buffer.alloc(0);

interface Chunk {
  readonly bytes: Buffer;
  /** Bytes that hold frames, and of those the bytes that were taken to be sent. */
  used: number;
  sent: number;
  /** Frames of the epoch before this chunk, those in it, and of these the ones that were taken. */
  readonly framesBefore: number;
  frames: number;
  sentFrames: number;
}

/** Stands in for a chunk where there is none: nothing fits into it. */
const NOTHING: Chunk = { bytes: EMPTY, used: 0, sent: 0, framesBefore: 0, frames: 0, sentFrames: 0 };

/** Takes one frame that was not acknowledged: `data` is `bytes[start..end)`. */
export type FrameVisitor = (type: number, bytes: Buffer, start: number, end: number) => void;

export class FrameLog implements FrameWriter {
  readonly #chunkBytes: number;
  readonly #maxSpare: number;
  readonly #spare: Buffer[] = [];
  /** Oldest first. The last one is being filled. */
  #chunks: Chunk[] = [];
  #appended = 0;
  #everSent = 0;
  #acknowledged = 0;
  #retainedBytes = 0;
  #unsentBytes = 0;
  /** The last of them, or one that holds nothing. */
  #current: Chunk = NOTHING;

  /**
   * @param chunkBytes the size of a chunk; a frame that is larger gets one of its own
   * @param maxSpare how many chunks are kept to be filled again
   */
  constructor(chunkBytes = 64 * 1024, maxSpare = 64) {
    this.#chunkBytes = chunkBytes;
    this.#maxSpare = maxSpare;
  }

  /** How many frames were appended in this epoch. */
  get appended(): number {
    return this.#appended;
  }

  /** How many of them the other side has acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** How many of them were taken to be sent at all, on this link or one before. */
  get everSent(): number {
    return this.#everSent;
  }

  /** How many of them the other side has, or was sent since the last `rewind`. */
  get sent(): number {
    const { framesBefore, sentFrames } = this.#chunks[this.#firstUnsent()] ?? this.#current;
    return Math.max(this.#acknowledged, framesBefore + sentFrames);
  }

  /** Bytes that are kept: those of a chunk until the last frame in it is acknowledged. */
  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  /** Bytes that were not taken yet. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  frame(type: number, body: Uint8Array, tail: Uint8Array = EMPTY): void {
    const at = this.#reserve(type, body.length + tail.length);
    this.#current.bytes.set(body, at);
    this.#current.bytes.set(tail, at + body.length);
  }

  sessionFrame(type: number, session: number, bytes: Buffer = EMPTY, start = 0, end = bytes.length): void {
    const at = this.#reserve(type, SESSION_BYTES + end - start);
    const { bytes: memory } = this.#current;
    memory.writeUInt32LE(session, at);
    bytes.copy(memory, at + SESSION_BYTES, start, end);
  }

  /** The bytes that were not taken yet, in order. They stay as they are until they are acknowledged. */
  takeUnsent(): Buffer[] {
    const taken: Buffer[] = [];
    for (let i = this.#firstUnsent(); i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i];
      if (chunk === undefined || chunk.sent === chunk.used) continue;
      taken.push(chunk.bytes.subarray(chunk.sent, chunk.used));
      chunk.sent = chunk.used;
      chunk.sentFrames = chunk.frames;
    }
    this.#unsentBytes = 0;
    this.#everSent = this.#appended;
    return taken;
  }

  /**
   * The other side has handled so many frames of this epoch. Fewer than it said before change nothing.
   *
   * @returns whether as many were sent at all
   */
  acknowledge(frames: number): boolean {
    if (frames > this.sent) return false;
    if (frames <= this.#acknowledged) return true;
    this.#acknowledged = frames;
    this.#release();
    return true;
  }

  /**
   * There is another link, and the other side has handled so many frames of this epoch: what is behind them is to be
   * sent again, from its first byte.
   *
   * @returns whether all of that is still here, and as many were sent at all
   */
  rewind(frames: number): boolean {
    if (frames < this.#acknowledged || frames > this.#everSent) return false;
    this.#acknowledged = frames;
    this.#release();
    this.#unsentBytes = 0;
    for (const chunk of this.#chunks) {
      const handled = frames - chunk.framesBefore;
      chunk.sent = offsetBehind(chunk, handled);
      chunk.sentFrames = Math.max(0, Math.min(chunk.frames, handled));
      this.#unsentBytes += chunk.used - chunk.sent;
    }
    return true;
  }

  /** Hands every frame that was not acknowledged to `visit`, in order. */
  forEachUnacknowledged(visit: FrameVisitor): void {
    this.forEachBehind(this.#acknowledged, visit);
  }

  /** Hands every frame behind the first `frames` of the epoch to `visit`, in order; none that was acknowledged. */
  forEachBehind(frames: number, visit: FrameVisitor): void {
    const first = Math.max(frames, this.#acknowledged);
    for (const chunk of this.#chunks) {
      if (chunk.framesBefore + chunk.frames <= first) continue;
      let at = offsetBehind(chunk, first - chunk.framesBefore);
      while (at < chunk.used) {
        const start = at + HEADER_BYTES;
        const end = start + chunk.bytes.readUInt32LE(at + 4);
        visit(chunk.bytes.readUInt32LE(at), chunk.bytes, start, end);
        at = end;
      }
    }
  }

  /** Begins a new epoch: everything is forgotten. */
  reset(): void {
    for (const chunk of this.#chunks) this.#recycle(chunk);
    this.#chunks = [];
    this.#current = NOTHING;
    this.#appended = 0;
    this.#everSent = 0;
    this.#acknowledged = 0;
    this.#retainedBytes = 0;
    this.#unsentBytes = 0;
  }

  /** Makes place for a frame, writes its header, and gives the offset of its data in the current chunk. */
  #reserve(type: number, bodyBytes: number): number {
    const frameBytes = HEADER_BYTES + bodyBytes;
    if (this.#current.bytes.length - this.#current.used < frameBytes) this.#nextChunk(frameBytes);
    const chunk = this.#current;
    const at = chunk.used;
    chunk.bytes.writeUInt32LE(type, at);
    chunk.bytes.writeUInt32LE(bodyBytes, at + 4);
    chunk.used += frameBytes;
    chunk.frames++;
    this.#appended++;
    this.#retainedBytes += frameBytes;
    this.#unsentBytes += frameBytes;
    return at + HEADER_BYTES;
  }

  #nextChunk(leastBytes: number): void {
    const bytes =
      leastBytes > this.#chunkBytes
        ? Buffer.allocUnsafeSlow(leastBytes)
        : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#chunkBytes));
    this.#current = { bytes, used: 0, sent: 0, framesBefore: this.#appended, frames: 0, sentFrames: 0 };
    this.#chunks.push(this.#current);
  }

  /** Unsent bytes lie at the end, so they are looked for from there. */
  #firstUnsent(): number {
    let first = this.#chunks.length;
    while (first > 0) {
      const before = this.#chunks[first - 1];
      if (before === undefined || before.sent === before.used) break;
      first--;
    }
    return first;
  }

  /** Lets go of the chunks in which all is acknowledged. */
  #release(): void {
    let released = 0;
    for (const chunk of this.#chunks) {
      if (chunk.framesBefore + chunk.frames > this.#acknowledged) break;
      this.#retainedBytes -= chunk.used;
      this.#recycle(chunk);
      released++;
    }
    if (released === 0) return;
    this.#chunks.splice(0, released);
    this.#current = this.#chunks.at(-1) ?? NOTHING;
  }

  #recycle({ bytes }: Chunk): void {
    if (bytes.length === this.#chunkBytes && this.#spare.length < this.#maxSpare) this.#spare.push(bytes);
  }
}

/** Where the frame begins that has `frames` others before it in its chunk. */
function offsetBehind(chunk: Chunk, frames: number): number {
  if (frames >= chunk.frames) return chunk.used;
  let at = 0;
  for (let left = frames; left > 0; left--) at += HEADER_BYTES + chunk.bytes.readUInt32LE(at + 4);
  return at;
}
