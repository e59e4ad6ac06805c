/** One reason to turn a client away. */

import type { Refusal } from "../refusal.ts";

export interface Check {
  /** What is told when it refuses. */
  readonly refusal: Refusal;
  /**
   * Whether a client from this address is turned away. An address is canonical; `""` is that of a client that
   * has none, and passes every check on addresses.
   *
   * @param now milliseconds of a clock that never goes back
   */
  refuses(address: string, now: number): boolean;
}
