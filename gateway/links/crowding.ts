/**
 * Whether more is under way to a manager than it works off in a few milliseconds. How much that is shows in what it has
 * not acknowledged; but one that acknowledges seldom has much that it has long worked off, so what it acknowledges at once
 * is taken into account, and before its first acknowledgement nothing is said of it.
 */

/** With more than so many frames, or bytes, that are not acknowledged a link is crowded. */
const CROWDED_FRAMES = 4096;
const CROWDED_BYTES = 1024 * 1024;

/** Or with more than so many times what is acknowledged at once. */
const STEPS = 2;

/** What was acknowledged at once long ago counts the less, the more acknowledgements have come since. */
const FADING = 7 / 8;

/** What is under way. */
export interface UnderWay {
  readonly frames: number;
  readonly bytes: number;
}

export class Crowding {
  #mostFrames = Number.POSITIVE_INFINITY;
  #mostBytes = Number.POSITIVE_INFINITY;
  #stepFrames = 0;
  #stepBytes = 0;

  isCrowded(frames: number, bytes: number): boolean {
    return frames > this.#mostFrames || bytes > this.#mostBytes;
  }

  /** The manager has acknowledged so much at once. */
  acknowledged({ frames, bytes }: UnderWay): void {
    this.#stepFrames = Math.max(frames, this.#stepFrames * FADING);
    this.#stepBytes = Math.max(bytes, this.#stepBytes * FADING);
    this.#mostFrames = Math.max(CROWDED_FRAMES, STEPS * this.#stepFrames);
    this.#mostBytes = Math.max(CROWDED_BYTES, STEPS * this.#stepBytes);
  }

  /** A new epoch, and perhaps another manager. */
  reset(): void {
    this.#mostFrames = Number.POSITIVE_INFINITY;
    this.#mostBytes = Number.POSITIVE_INFINITY;
    this.#stepFrames = 0;
    this.#stepBytes = 0;
  }
}
