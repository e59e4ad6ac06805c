/**
 * Nonces that were used, until the tickets that bear them have expired. They lie in the order of the seconds
 * in which they may be forgotten, so that forgetting costs no search among the others.
 */

export class Nonces {
  readonly #maxCount: number;
  readonly #used = new Set<string>();
  /** The nonces to forget, by the second since 1970 from which they may be. */
  readonly #bySecond = new Map<number, string[]>();
  #sweptSecond = 0;

  /** @param maxCount how many are remembered at most */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** How many are remembered. */
  get count(): number {
    return this.#used.size;
  }

  /**
   * Uses a nonce up, until `untilMs` since 1970 at least and a second longer at most.
   *
   * @returns "full" when there is no room to remember it: it then must not be accepted
   */
  use(nonce: string, untilMs: number, nowMs: number): "fresh" | "used" | "full" {
    this.#forget(Math.floor(nowMs / 1000));
    if (this.#used.has(nonce)) return "used";
    if (this.#used.size >= this.#maxCount) return "full";
    this.#used.add(nonce);
    const second = Math.ceil(untilMs / 1000);
    const others = this.#bySecond.get(second);
    if (others === undefined) this.#bySecond.set(second, [nonce]);
    else others.push(nonce);
    return "fresh";
  }

  /** Looks at the seconds, of which there are as many as a ticket's life has, and only when one has passed. */
  #forget(second: number): void {
    if (second === this.#sweptSecond) return;
    this.#sweptSecond = second;
    for (const [until, nonces] of this.#bySecond) {
      if (until > second) continue;
      for (const nonce of nonces) this.#used.delete(nonce);
      this.#bySecond.delete(until);
    }
  }
}
