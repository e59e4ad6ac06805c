/**
 * One end of a link's byte stream, the same for a gateway and for a manager: bytes in are frames, frames out
 * are batched so that everything sent in one turn of the event loop leaves in one write. Knows nothing of
 * what the frames mean, nor of how the stream came about.
 */

import type { Duplex } from "node:stream";
import { type BodyBounds, MIN_MAX_FRAME } from "../proto/frame.ts";
import { FrameBatch } from "../proto/frame-batch.ts";
import type { FrameLog } from "../proto/frame-log.ts";
import { FrameReader, type FrameSink } from "../proto/frame-reader.ts";
import { ProtocolError } from "../proto/protocol-error.ts";

/**
 * Takes what was read, `bytes[0..length)`.
 *
 * @returns whether the memory may be used for the next read
 */
export type StreamReader = (bytes: Buffer, length: number) => boolean;

/**
 * Opens the stream and has what comes in given to `read`. If it is yet to be connected, it emits `connect`
 * then; one over TLS emits `secureConnect`, once who answers has shown who it is.
 */
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
  /** More than `congestedBytes` wait to be sent (true), or all of them have been taken since (false). */
  congested(congested: boolean): void;
  /** The stream is gone, by its own or because of `error`. Called once, last. */
  closed(error: Error | undefined): void;
}

/** A turn's frames leave early once they are this many bytes, so that a busy turn holds no more. */
const EARLY_FLUSH_BYTES = 256 * 1024;

export class FramedStream {
  /** Frames that are not numbered are appended here, followed by `scheduleFlush`. */
  readonly batch = new FrameBatch();
  /**
   * Numbered frames are appended here, likewise. It outlives the stream, and joins it once the other side has said
   * where to go on.
   */
  numbered: FrameLog | undefined;

  readonly #events: FramedStreamEvents;
  readonly #stream: Duplex;
  readonly #reader: FrameReader;
  readonly #congestedBytes: number;
  /** What leaves with the next write, in order. */
  #outgoing: Buffer[] = [];
  #outgoingBytes = 0;
  /** The batch's chunks among them. */
  #outgoingLent: Buffer[] = [];
  /** Chunks of the batch that the stream was given and may still be reading. */
  #lent: Buffer[] = [];
  #flushScheduled = false;
  /** The batch is to be written as soon as the write under way is through. */
  #writeNext = false;
  #congested = false;
  #closed = false;
  #error: Error | undefined;
  receivedBytes = 0;

  constructor({ open, bounds, congestedBytes, events }: FramedStreamOptions) {
    this.#events = events;
    this.#congestedBytes = congestedBytes;
    this.#reader = new FrameReader(bounds, MIN_MAX_FRAME, events.frame);
    this.#stream = open((bytes, length) => this.#read(bytes, length));
    this.#stream.on(openedEvent(this.#stream), () => this.#events.connected());
    this.#stream.on("error", (error) => {
      this.#error ??= error;
    });
    this.#stream.on("close", () => this.#ended());
  }

  /** Bytes that are to be sent and that the stream has not taken. */
  get queuedBytes(): number {
    return this.#stream.writableLength + this.#outgoingBytes + this.#appendedBytes;
  }

  /** The largest frame accepted from now on, in bytes of data. */
  set maxFrame(bytes: number) {
    this.#reader.maxFrame = bytes;
  }

  /** What was appended to the batch leaves at the end of this turn of the event loop. */
  scheduleFlush(): void {
    if (this.#appendedBytes >= EARLY_FLUSH_BYTES) {
      this.flush();
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.flush();
      });
    }
  }

  /**
   * Writes what was appended, numbered frames first. While a write is under way it waits for that one where it was
   * appended, where many turns fill one chunk; given to the stream, each turn would pin a chunk of its own.
   */
  flush(): void {
    if (!this.#stream.writable) {
      this.batch.clear();
      return;
    }
    if (this.#stream.writableLength === 0) this.#write();
    else this.#writeNext = true;
    if (this.queuedBytes > this.#congestedBytes) this.#setCongested(true);
  }

  /** What was appended so far leaves before anything that is appended from here on, numbered or not. */
  sequence(): void {
    const control = this.batch.take();
    this.#outgoingLent.push(...control);
    for (const chunk of [...(this.numbered?.takeUnsent() ?? []), ...control]) {
      this.#outgoing.push(chunk);
      this.#outgoingBytes += chunk.length;
    }
  }

  /** Sends what was appended, then ends the stream; what is appended later is not sent. */
  finish(): void {
    if (this.#stream.writable) this.#write();
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
      this.destroy(error as Error);
      if (!(error instanceof ProtocolError)) throw error;
    }
    const released = this.#events.readDone();
    if (released) this.#reader.reuse();
    return released;
  }

  get #appendedBytes(): number {
    return this.batch.byteLength + (this.numbered?.unsentBytes ?? 0);
  }

  #write(): void {
    this.sequence();
    const chunks = this.#outgoing;
    if (chunks.length === 0) return;
    this.#lent.push(...this.#outgoingLent);
    this.#outgoing = [];
    this.#outgoingLent = [];
    this.#outgoingBytes = 0;
    const last = chunks.at(-1);
    this.#stream.cork();
    for (const chunk of chunks) this.#stream.write(chunk, chunk === last ? this.#taken : undefined);
    this.#stream.uncork();
    this.#taken();
  }

  /** Goes on once the stream has taken everything that it was given, which may be at once. */
  readonly #taken = (error?: Error | null): void => {
    if (error || this.#stream.destroyed || this.#stream.writableLength > 0) return;
    this.batch.recycle(this.#lent);
    this.#lent = [];
    if (this.#writeNext) {
      this.#writeNext = false;
      this.flush();
    }
    if (this.#stream.writableLength === 0) this.#setCongested(false);
  };

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

/** What a stream emits once it may be written to: nothing is told to a peer that is yet to show who it is. */
function openedEvent(stream: Duplex): "connect" | "secureConnect" {
  return "encrypted" in stream ? "secureConnect" : "connect";
}
