/**
 * How long to wait before dialling again: twice as long after each failure, up to a bound, and anywhere in
 * the upper half of that, so that a hundred gateways that lost one manager do not all come back at once.
 */

export interface BackoffLimits {
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #failures = 0;

  /** @param random gives numbers from 0 up to 1 */
  constructor(limits: BackoffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
  }

  /** Milliseconds to wait after one more failure. */
  next(): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#limits;
    const ceiling = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 31);
    return ceiling / 2 + (ceiling / 2) * this.#random();
  }

  /** The next wait is the shortest again. */
  reset(): void {
    this.#failures = 0;
  }
}
