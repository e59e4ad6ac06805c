/**
 * Which manager gets a session whose own one is lost. Choices that are free to take any manager choose among those that
 * are left. Where a listener, a ticket or a first message had fixed it, there is nobody else whom it names, and what the
 * client said first is long gone: whoever has the fewest sessions gets it.
 */

import type { Applicant, Candidate, ManagerChoice, ManagerChoiceName } from "./choice.ts";
import { HashOfAddress } from "./hash.ts";
import { LeastSessions } from "./least-sessions.ts";
import { RoundRobin } from "./round-robin.ts";

export class Failover {
  readonly #choice: ManagerChoice;

  /** @param name how new sessions' managers are chosen */
  constructor(name: ManagerChoiceName) {
    this.#choice = freeChoice(name);
  }

  /**
   * @param open the managers that take sessions now, without the one that is lost
   * @returns undefined when there are none
   */
  chooseAnother<C extends Candidate>(applicant: Applicant, open: readonly C[]): C | undefined {
    const chosen = this.#choice.choose(applicant, open);
    return typeof chosen === "string" ? undefined : chosen;
  }
}

function freeChoice(name: ManagerChoiceName): ManagerChoice {
  if (name === "round-robin") return new RoundRobin();
  return name === "hash" ? new HashOfAddress() : new LeastSessions();
}
