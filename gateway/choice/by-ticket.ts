/** The manager that the client's ticket names: whoever signs tickets decides. */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { findNamed } from "./named.ts";

export class ByTicket implements ManagerChoice {
  readonly needsOpening = false;
  readonly #known: ReadonlySet<string>;

  /** @param known the names of all managers */
  constructor(known: ReadonlySet<string>) {
    this.#known = known;
  }

  choose<C extends Candidate>({ ticketManager }: Applicant, open: readonly C[]): C | ChoiceRefusal {
    return findNamed(ticketManager, this.#known, open);
  }
}
