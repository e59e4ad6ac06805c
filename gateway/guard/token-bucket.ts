/** A rate limit that allows bursts: tokens come in at a steady rate, up to so many, and each event takes some. */

export class TokenBucket {
  readonly #tokensPerMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;

  /**
   * A full bucket.
   *
   * @param ratePerSecond how many tokens come in
   * @param burst how many it holds
   * @param now milliseconds of a clock that never goes back
   */
  constructor(ratePerSecond: number, burst: number, now: number) {
    this.#tokensPerMs = ratePerSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Takes so many tokens; takes none, and gives false, when there are fewer. */
  take(now: number, tokens = 1): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#tokensPerMs);
    this.#filledAt = now;
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
