/**
 * A client that has very much to say takes turns with all others: it may say a share, and what is left of what was read
 * of it waits behind everybody else. While more is under way to a manager than that works off in a few milliseconds, whoever
 * has said more than a little waits, and the others do not.
 */

import type { Clock } from "../clock.ts";
import { Hold } from "./hold.ts";
import type { Slot } from "./slot.ts";

/** What a message costs beside its bytes: about as much work as so many. */
const MESSAGE_COST_BYTES = 1024;

/** What a client may say before it waits for a turn, and in each turn: so many empty messages, or one large one. */
const SHARE_BYTES = 128 * 1024;

/** And what it may say where its manager has enough to do, without waiting. */
const SMALL_SHARE_BYTES = 8 * 1024;

/** So many clients have their turn before the rest of the world has one. */
const MOST_IN_A_TURN = 32;

export interface TurnsOptions {
  readonly clock: Pick<Clock, "behindTurn">;
  /** A client waits for its turn. */
  readonly hold: (slot: Slot) => void;
  /** It has come. */
  readonly unhold: (slot: Slot) => void;
}

export class Turns {
  readonly #options: TurnsOptions;
  /** Who waits, in order; some of them may have ended. */
  #waiting: Slot[] = [];
  #isScheduled = false;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Charges a client for a message. One that has said its share waits for its next turn. */
  charge(slot: Slot, bytes: number): void {
    slot.saidBytes += bytes + MESSAGE_COST_BYTES;
    if (slot.saidBytes < SMALL_SHARE_BYTES) return;
    if (slot.saidBytes < SHARE_BYTES && slot.roster?.isCrowded !== true) return;
    if ((slot.holds & Hold.turn) !== 0) return;
    this.#options.hold(slot);
    this.#waiting.push(slot);
    this.#schedule();
  }

  /** A manager has worked something off. */
  wake(): void {
    if (this.#waiting.length > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.clock.behindTurn(() => {
      this.#isScheduled = false;
      this.#serve();
    });
  }

  #serve(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const passedOver: Slot[] = [];
    let served = 0;
    for (const slot of waiting) {
      // Its session has ended meanwhile, or it was in the list twice.
      if ((slot.holds & Hold.turn) === 0) continue;
      if (served === MOST_IN_A_TURN || slot.roster?.isCrowded === true) {
        passedOver.push(slot);
        continue;
      }
      served++;
      slot.saidBytes = 0;
      this.#options.unhold(slot);
    }
    // Where nobody could have a turn, `wake` tells when that changes.
    if (served > 0 && passedOver.length + this.#waiting.length > 0) this.#schedule();
    // Who had a turn comes behind those who had none.
    if (passedOver.length > 0) this.#waiting = [...passedOver, ...this.#waiting];
  }
}
