/**
 * Whose turn it is: of those that there are now, the one whose last turn is longest ago. Unlike a counter it stays
 * even while managers come and go: one that is back has its turn at once, and then waits like the others.
 */

import type { Candidate } from "./choice.ts";

export class Turns {
  /** When each had its last turn, counted in turns. Names are a configuration's, so there are few. */
  readonly #last = new Map<string, number>();
  #count = 0;

  /** Gives one of them its turn: of those that have waited as long, the first. Undefined when there are none. */
  next<C extends Candidate>(candidates: readonly C[]): C | undefined {
    let chosen: C | undefined;
    let longest = Number.POSITIVE_INFINITY;
    for (const candidate of candidates) {
      const last = this.#last.get(candidate.name) ?? 0;
      if (last < longest) {
        chosen = candidate;
        longest = last;
      }
    }
    if (chosen !== undefined) this.#last.set(chosen.name, ++this.#count);
    return chosen;
  }
}
