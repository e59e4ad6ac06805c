/** The manager that the client's listener names. */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { findNamed } from "./named.ts";

export class ByListener implements ManagerChoice {
  readonly needsOpening = false;
  readonly #known: ReadonlySet<string>;

  /** @param known the names of all managers */
  constructor(known: ReadonlySet<string>) {
    this.#known = known;
  }

  choose<C extends Candidate>({ listenerManager }: Applicant, open: readonly C[]): C | ChoiceRefusal {
    return findNamed(listenerManager, this.#known, open);
  }
}
