/**
 * A stream in memory. A test feeds it what the peer sends, sees what was written, and says when that is
 * taken: until then the stream holds the very buffers that it was given, as a socket does whose kernel is full.
 */

import { Duplex } from "node:stream";
import type { StreamReader } from "../../link/framed-stream.ts";

type WriteDone = (error?: Error | null) => void;

export class FakeStream extends Duplex {
  /** While true nothing that is written is taken, until `takeHeld`. */
  holding = false;
  /** What was taken, one entry for each write, as it read when it was taken. */
  readonly writes: Buffer[] = [];
  /** The chunks of the write that is held. */
  held: readonly Buffer[] = [];
  #reader: StreamReader = (bytes, length) => this.emit("data", bytes.subarray(0, length));
  #done: WriteDone | undefined;

  constructor() {
    super({ allowHalfOpen: false });
  }

  /** Opens the stream for a reader of its own; without one, what is fed is `data` as with any stream. */
  readonly open = (read: StreamReader): this => {
    this.#reader = read;
    this.resume();
    return this;
  };

  /** The peer sent `bytes[0..length)`; what the reader answers. */
  feed(bytes: Buffer, length = bytes.length): boolean {
    return this.#reader(bytes, length);
  }

  /** The peer ended its side. */
  feedEnd(): void {
    this.push(null);
  }

  /** Takes what is held. */
  takeHeld(): void {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.writes.push(Buffer.concat(this.held));
    this.held = [];
    done();
  }

  /** Takes what is held, and at once whatever comes then. */
  release(): void {
    this.holding = false;
    this.takeHeld();
  }

  get written(): Buffer {
    return Buffer.concat(this.writes);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: WriteDone): void {
    this.#hold([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: WriteDone): void {
    this.#hold(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  #hold(chunks: readonly Buffer[], done: WriteDone): void {
    this.held = chunks;
    this.#done = done;
    if (!this.holding) this.takeHeld();
  }
}
