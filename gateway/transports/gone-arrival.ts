/** A client that was gone before it was accepted: there is nothing to open or to end, but it was there, and is counted. */

import type { Refusal } from "../guard/refusal.ts";
import type { Arrival } from "./connection.ts";

export class GoneArrival implements Arrival {
  /** Whoever is gone can't be asked. */
  readonly address = undefined;
  readonly port = 0;
  readonly descriptor = undefined;
  readonly goneAs: Refusal;

  /** @param why what it is counted as */
  constructor(why: Refusal) {
    this.goneAs = why;
  }

  open(): void {}

  reset(): void {}

  close(): void {}
}
