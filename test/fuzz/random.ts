/**
 * Random numbers that come again with their seed (mulberry32), and what a fuzzer takes from its environment:
 * `FUZZ_SEED`, and `FUZZ_FRAMES`, the frames of all fuzzers together.
 */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to `limit`, which it is not. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A whole number from `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  u32(): number {
    return this.below(2 ** 32);
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < length; index++) bytes[index] = this.below(256);
    return bytes;
  }
}

export const fuzzSeed = Number(process.env.FUZZ_SEED ?? 20_260_101);

export const fuzzFrames = Number(process.env.FUZZ_FRAMES ?? 1_000_000);

/** A run of this many frames has seen everything at least once that a fuzzer is to bring about. */
export const WORTHWHILE_FRAMES = 100_000;
