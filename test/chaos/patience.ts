/** Waits as long as something goes on, however slowly, and gives up by name once nothing does. */

import { setImmediate as turn } from "node:timers/promises";

/** Nothing takes this long unless it is broken. */
const STANDSTILL_MS = 20_000;

export class Patience {
  readonly #progress: () => string;
  #last = "";
  #since = performance.now();

  /** @param progress something that changes as long as something goes on */
  constructor(progress: () => string) {
    this.#progress = progress;
  }

  /**
   * Lets the event loop turn once.
   *
   * @throws Error that says what is waited for in vain
   */
  async turn(until: () => string): Promise<void> {
    const now = performance.now();
    const progress = this.#progress();
    if (progress !== this.#last) {
      this.#last = progress;
      this.#since = now;
    }
    if (now - this.#since > STANDSTILL_MS) throw new Error(`waited in vain until ${until()}`);
    await turn();
  }
}
