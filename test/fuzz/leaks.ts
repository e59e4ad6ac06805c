/** What a link leaves behind: input that a reader still holds, and memory. */

import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { FrameReader } from "../../proto/frame-reader.ts";

/** Keeps sight of every frame reader that is fed, until it is closed. */
export class ReaderWatch {
  readonly #push = FrameReader.prototype.push;
  readonly #readers = new Set<FrameReader>();

  constructor() {
    const { readers, push } = { readers: this.#readers, push: this.#push };
    FrameReader.prototype.push = function (input, length) {
      readers.add(this);
      push.call(this, input, length);
    };
  }

  /** Asserts that no reader that was fed holds anything, and forgets them. */
  assertEmpty(): void {
    for (const reader of this.#readers) assert.equal(reader.heldBytes, 0, "a reader holds input");
    this.#readers.clear();
  }

  close(): void {
    FrameReader.prototype.push = this.#push;
  }
}

/** Watches the memory that is in use between the first quarter of a run and its end. */
export class MemoryWatch {
  readonly #collect: () => void;
  #atQuarter: number | undefined;

  constructor() {
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("gc") as () => void;
  }

  /** To be called all the time; takes note once when a quarter is done. */
  note(done: number, total: number): void {
    if (this.#atQuarter === undefined && done >= total / 4) this.#atQuarter = this.#usedBytes();
  }

  /** Asserts that no more is in use than after the first quarter, give or take `slackBytes`. */
  assertSteady(slackBytes: number): number {
    assert.ok(this.#atQuarter !== undefined, "the run had no first quarter");
    const grownBytes = this.#usedBytes() - this.#atQuarter;
    assert.ok(grownBytes < slackBytes, `${grownBytes} bytes more are in use than after the first quarter`);
    return grownBytes;
  }

  #usedBytes(): number {
    this.#collect();
    this.#collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  }
}
