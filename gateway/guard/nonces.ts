/**
 * Nonces that were used, until the tickets that bear them have expired. They lie in the order of the seconds
 * in which they may be forgotten, so that forgetting costs no search among the others.
 *
 * The wall clock says when a ticket expires, and may be set. So a nonce is forgotten when both clocks say that it may
 * be: one that was set ahead by mistake forgets nothing early. When it is set back, a ticket may be good again whose
 * nonce is forgotten already: so no ticket is taken that expires before one whose nonce was.
 */

/** What both clocks say, milliseconds: since 1970, and of one that is never set. */
export interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** The nonces that may be forgotten from the same second on. */
interface Bucket {
  readonly nonces: string[];
  /** By the clock that is never set. */
  untilSteadyMs: number;
}

export class Nonces {
  readonly #maxCount: number;
  readonly #used = new Set<string>();
  /** By the second since 1970 from which they may be forgotten. */
  readonly #bySecond = new Map<number, Bucket>();
  #sweptSecond = 0;
  /** The latest second whose nonces are forgotten. */
  #forgottenSecond = 0;

  /** @param maxCount how many are remembered at most */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** How many are remembered. */
  get count(): number {
    return this.#used.size;
  }

  /**
   * Uses a nonce up, until `untilMs` since 1970 at least and a second longer at most, if nobody sets the clock.
   *
   * @returns in other cases than "fresh" it must not be accepted. "full": there is no room to remember it; "forgotten":
   *   the clock was set back, and nobody knows any more whether it was used
   */
  use(nonce: string, untilMs: number, now: Moment): "fresh" | "used" | "full" | "forgotten" {
    this.#forget(now);
    if (this.#used.has(nonce)) return "used";
    const second = Math.ceil(untilMs / 1000);
    if (second <= this.#forgottenSecond) return "forgotten";
    if (this.#used.size >= this.#maxCount) return "full";
    this.#used.add(nonce);
    this.#remember(nonce, second, now.steadyMs + untilMs - now.wallMs);
    return "fresh";
  }

  #remember(nonce: string, second: number, untilSteadyMs: number): void {
    const others = this.#bySecond.get(second);
    if (others === undefined) {
      this.#bySecond.set(second, { nonces: [nonce], untilSteadyMs });
      return;
    }
    others.nonces.push(nonce);
    others.untilSteadyMs = Math.max(others.untilSteadyMs, untilSteadyMs);
  }

  /** Looks at the seconds, of which there are as many as a ticket's life has, and only when one has passed. */
  #forget({ wallMs, steadyMs }: Moment): void {
    const now = Math.floor(wallMs / 1000);
    if (now === this.#sweptSecond) return;
    this.#sweptSecond = now;
    for (const [second, { nonces, untilSteadyMs }] of this.#bySecond) {
      if (second > now || untilSteadyMs > steadyMs) continue;
      for (const nonce of nonces) this.#used.delete(nonce);
      this.#bySecond.delete(second);
      this.#forgottenSecond = Math.max(this.#forgottenSecond, second);
    }
  }
}
