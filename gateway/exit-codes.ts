/** What the process says by its exit code (docs/errors.md, "Exit codes"). */

export const ExitCode = {
  /** Ended as it was asked to. */
  ok: 0,
  /** A fault of the gateway's own. */
  fault: 1,
  /** A flag, environment variable or configuration key is wrong. */
  config: 2,
  /** A listener's address can't be bound. */
  listen: 3,
  /** The manager refused this gateway for good. */
  rejected: 4,
} as const;

/** An exit code, and for a bad one the line that explains it. */
export interface Ending {
  /** An `ExitCode`, or what `shutdownExitCode` says. */
  readonly code: number;
  readonly message?: string;
}
