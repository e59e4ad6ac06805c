/**
 * The manager whose prefix the client's first message begins with; of several prefixes the longest. What has come so far
 * is not decided upon while more of it could still make a longer prefix.
 */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { findNamed } from "./named.ts";
import type { ManagerPrefix } from "./prefix.ts";

const NOTHING = Buffer.alloc(0);

export class ByFirstMessage implements ManagerChoice {
  readonly needsOpening = true;
  readonly #known: ReadonlySet<string>;
  /** The longest first. */
  readonly #prefixes: readonly ManagerPrefix[];

  /** @param known the names of all managers */
  constructor(known: ReadonlySet<string>, prefixes: readonly ManagerPrefix[]) {
    this.#known = known;
    this.#prefixes = prefixes.toSorted((a, b) => b.prefix.length - a.prefix.length);
  }

  choose<C extends Candidate>(
    { opening = NOTHING, openingWhole }: Applicant,
    open: readonly C[],
  ): C | ChoiceRefusal | "undecided" {
    for (const { prefix, manager } of this.#prefixes) {
      const shared = Math.min(prefix.length, opening.length);
      if (opening.compare(prefix, 0, shared, 0, shared) !== 0) continue;
      if (shared === prefix.length) return findNamed(manager, this.#known, open);
      if (!openingWhole) return "undecided";
    }
    return "unknown-manager";
  }
}
