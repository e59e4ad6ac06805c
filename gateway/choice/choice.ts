/**
 * Which manager gets a new session: one interface, a file for each kind. A choice knows what a client has shown and
 * which managers take new sessions now, and nothing else: no link, no slot, no timer. So whoever asks keeps the list
 * of managers, and waits for what a client says first where the choice needs it.
 */

export const managerChoices = [
  "round-robin",
  "least-sessions",
  "hash",
  "listener",
  "ticket",
  "first-message",
] as const;
export type ManagerChoiceName = (typeof managerChoices)[number];

/** What is known of a client when its manager is chosen. */
export interface Applicant {
  /** Canonical text of the client's address; empty where it has none. */
  readonly address: string;
  /** The manager that its listener names, if it names one. */
  readonly listenerManager: string | undefined;
  /** The manager that its ticket names, if it names one. */
  readonly ticketManager: string | undefined;
  /** What it said first, where that is waited for: as much of it as has come. */
  readonly opening: Buffer | undefined;
  /** The opening is a whole message: no more of it comes. */
  readonly openingWhole: boolean;
}

/** A manager that takes new sessions. */
export interface Candidate {
  readonly name: string;
  /** How many sessions it has, those included that were given to it and have not joined yet. */
  readonly sessionCount: number;
}

/**
 * Why a client gets no manager. `unknown-manager`: what the client shows names none that there is. `no-manager`: the
 * one that it must go to takes nobody now.
 */
export type ChoiceRefusal = "unknown-manager" | "no-manager";

export interface ManagerChoice {
  /** Whether what the client says first has to be awaited. */
  readonly needsOpening: boolean;
  /**
   * Chooses one client's manager. It is asked once for each client, or, where it needs the opening, each time that
   * more of it has come, until it is decided.
   *
   * @param open the managers that take new sessions now, in configured order; may be empty
   * @returns one of `open`, why there is none, or "undecided": more of the opening is needed
   */
  choose<C extends Candidate>(applicant: Applicant, open: readonly C[]): C | ChoiceRefusal | "undecided";
}
