/**
 * The open manager that has the fewest sessions. Those that have as few take turns, so that the first one named does
 * not get every client of a quiet hour.
 */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { Turns } from "./turns.ts";

export class LeastSessions implements ManagerChoice {
  readonly needsOpening = false;
  readonly #turns = new Turns();

  choose<C extends Candidate>(_applicant: Applicant, open: readonly C[]): C | ChoiceRefusal {
    const fewest = open.reduce((least, { sessionCount }) => Math.min(least, sessionCount), Infinity);
    return this.#turns.next(open.filter(({ sessionCount }) => sessionCount === fewest)) ?? "no-manager";
  }
}
