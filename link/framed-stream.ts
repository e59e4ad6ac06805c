/**
 * One end of a link's byte stream, the same for a gateway and for a manager: bytes in are frames, frames out
 * are batched so that everything sent in one turn of the event loop leaves in one write. Knows nothing of
 * what the frames mean, nor of how the stream came about.
 */

import type { Duplex } from "node:stream";
import { type BodyBounds, MIN_MAX_FRAME } from "../proto/frame.ts";
import { FrameBatch } from "../proto/frame-batch.ts";
import { FrameReader, type FrameSink } from "../proto/frame-reader.ts";
import { ProtocolError } from "../proto/protocol-error.ts";

/**
 * Takes what was read, `bytes[0..length)`.
 *
 * @returns whether the memory may be used for the next read
 */
export type StreamReader = (bytes: Buffer, length: number) => boolean;

/** Opens the stream and has what comes in given to `read`. It emits `connect` if it is yet to be connected. */
export type OpenStream = (read: StreamReader) => Duplex;

export interface FramedStreamOptions {
  readonly open: OpenStream;
  /** What the peer may send, by type. */
  readonly bounds: ReadonlyMap<number, BodyBounds>;
  /** With more than this waiting to be sent the stream is congested. */
  readonly congestedBytes: number;
  readonly events: FramedStreamEvents;
}

export interface FramedStreamEvents {
  /** The stream is open. */
  connected(): void;
  frame: FrameSink;
  /**
   * Every frame of one read was told.
   *
   * @returns whether the memory of their payloads may be used again
   */
  readDone(): boolean;
  /** The stream took less than it was given (true), or has taken all of it since (false). */
  congested(congested: boolean): void;
  /** The stream is gone, by its own or because of `error`. Called once, last. */
  closed(error: Error | undefined): void;
}

/** A turn's frames leave early once they are this many bytes, so that a busy turn holds no more. */
const EARLY_FLUSH_BYTES = 256 * 1024;

export class FramedStream {
  /** Frames to send are appended here, followed by `scheduleFlush`. */
  readonly batch = new FrameBatch();

  readonly #events: FramedStreamEvents;
  readonly #stream: Duplex;
  readonly #reader: FrameReader;
  readonly #congestedBytes: number;
  /** Chunks that the stream was given and may still be reading. */
  #written: Buffer[] = [];
  #flushScheduled = false;
  #congested = false;
  #closed = false;
  #error: Error | undefined;
  receivedBytes = 0;

  constructor({ open, bounds, congestedBytes, events }: FramedStreamOptions) {
    this.#events = events;
    this.#congestedBytes = congestedBytes;
    this.#reader = new FrameReader(bounds, MIN_MAX_FRAME, events.frame);
    this.#stream = open((bytes, length) => this.#read(bytes, length));
    this.#stream.on("connect", () => this.#events.connected());
    this.#stream.on("drain", () => this.#drained());
    this.#stream.on("error", (error) => {
      this.#error ??= error;
    });
    this.#stream.on("close", () => this.#ended());
  }

  /** Bytes that were given to the stream and that it has not sent. */
  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  /** The largest frame accepted from now on, in bytes of data. */
  set maxFrame(bytes: number) {
    this.#reader.maxFrame = bytes;
  }

  /** What was appended to the batch leaves at the end of this turn of the event loop. */
  scheduleFlush(): void {
    if (this.batch.byteLength >= EARLY_FLUSH_BYTES) {
      this.flush();
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.flush();
      });
    }
  }

  /** Writes what was appended to the batch. */
  flush(): void {
    if (this.#closed || this.batch.byteLength === 0) return;
    const chunks = this.batch.take();
    this.#stream.cork();
    for (const chunk of chunks) this.#stream.write(chunk);
    this.#stream.uncork();
    this.#written.push(...chunks);
    if (this.#stream.writableLength === 0) this.#recycle();
    else if (this.#stream.writableLength > this.#congestedBytes) this.#setCongested(true);
  }

  /** Sends what was appended, then ends the stream. */
  finish(): void {
    this.flush();
    this.#stream.end(() => this.#stream.destroy());
  }

  /** Ends the stream at once; `closed` is told `error`. */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#reader.stop();
    this.#stream.destroy();
  }

  #read(bytes: Buffer, length: number): boolean {
    this.receivedBytes += length;
    try {
      this.#reader.push(bytes, length);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.destroy(error);
    }
    return this.#events.readDone();
  }

  #drained(): void {
    this.#recycle();
    this.#setCongested(false);
  }

  #recycle(): void {
    this.batch.recycle(this.#written);
    this.#written = [];
  }

  #setCongested(congested: boolean): void {
    if (congested === this.#congested) return;
    this.#congested = congested;
    this.#events.congested(congested);
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.stop();
    this.#events.closed(this.#error);
  }
}
