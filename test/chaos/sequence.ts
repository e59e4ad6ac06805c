/** Follows numbers that should come in a row, and says what is wrong when they do not. */

import type { Faults } from "./faults.ts";

export class Sequence {
  readonly #faults: Faults;
  readonly #what: string;
  /** Passed over, and perhaps to come yet. */
  readonly #missing = new Set<number>();
  /** The highest so far. */
  last: number;

  /** @param before the number before the first that should come */
  constructor(faults: Faults, what: string, before = 0) {
    this.#faults = faults;
    this.#what = what;
    this.last = before;
  }

  take(seq: number): void {
    if (seq === this.last + 1) {
      this.last = seq;
    } else if (seq > this.last) {
      for (let missing = this.last + 1; missing < seq; missing++) this.#missing.add(missing);
      this.#faults.add("lost", `${this.#what}: ${seq} came behind ${this.last}`, seq - this.last - 1);
      this.last = seq;
    } else if (this.#missing.delete(seq)) {
      this.#faults.counts.lost--;
      this.#faults.add("reordered", `${this.#what}: ${seq} came behind ${this.last}`);
    } else {
      this.#faults.add("doubled", `${this.#what}: ${seq} came again behind ${this.last}`);
    }
  }
}
