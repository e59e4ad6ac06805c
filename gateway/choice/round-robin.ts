/** Every open manager in turn. */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { Turns } from "./turns.ts";

export class RoundRobin implements ManagerChoice {
  readonly needsOpening = false;
  readonly #turns = new Turns();

  choose<C extends Candidate>(_applicant: Applicant, open: readonly C[]): C | ChoiceRefusal {
    return this.#turns.next(open) ?? "no-manager";
  }
}
