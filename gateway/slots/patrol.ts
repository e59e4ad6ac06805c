/**
 * Looks at each session in use about once a second, a share of them at a time, for what no event tells: a client that
 * says nothing, has never said anything, lets its message drip, or is no longer there.
 */

import { Hold } from "./hold.ts";
import type { Slot } from "./slot.ts";

export interface PatrolLimits {
  /** A client that has said nothing for this long is ended; 0: never. */
  readonly idleTimeoutMs: number;
  /** So is one whose first message does not come; 0: never. */
  readonly firstMessageTimeoutMs: number;
  /** Bytes a second that a message under way must grow by; 0: none. */
  readonly minMessageRate: number;
  /** Over how long that is measured. */
  readonly messageGraceMs: number;
}

/** How long a round over all slots takes. */
const ROUND_MS = 1000;

export class Patrol {
  readonly #limits: PatrolLimits;
  readonly #ended: (slot: Slot) => void;
  /** The slot that is next to be looked at. */
  #next = 0;
  /** Slots that are due and were not looked at, less than one. */
  #share = 0;

  /** @param ended takes a session that is to be ended as idle */
  constructor(limits: PatrolLimits, ended: (slot: Slot) => void) {
    this.#limits = limits;
    this.#ended = ended;
  }

  /**
   * Looks at the slots whose turn it is.
   *
   * @param now the clock of the sweeps
   * @param elapsedMs since the last walk
   */
  walk(slots: readonly Slot[], now: number, elapsedMs: number): void {
    this.#share += slots.length * Math.min(1, elapsedMs / ROUND_MS);
    const count = Math.min(slots.length, Math.floor(this.#share));
    this.#share -= count;
    for (let i = 0; i < count; i++) {
      if (this.#next >= slots.length) this.#next = 0;
      const slot = slots[this.#next++];
      if (slot?.phase === "inUse") this.#look(slot, now);
    }
  }

  #look(slot: Slot, now: number): void {
    if (slot.holds === 0) {
      if (this.#isSilent(slot, now) || this.#drips(slot, now) || this.#isDead(slot, now)) this.#ended(slot);
      return;
    }
    // Who is not read can't be heard, and is idle only where it is not read by its own doing.
    slot.connection?.lookForEnd();
    if (slot.holds === Hold.throttle && this.#isIdle(slot, now)) this.#ended(slot);
  }

  #isSilent(slot: Slot, now: number): boolean {
    return this.#isIdle(slot, now) || this.#isMute(slot, now);
  }

  #isIdle(slot: Slot, now: number): boolean {
    const { idleTimeoutMs } = this.#limits;
    return idleTimeoutMs > 0 && now - silentSince(slot) >= idleTimeoutMs;
  }

  /** Whether its first message does not come. */
  #isMute(slot: Slot, now: number): boolean {
    const { firstMessageTimeoutMs } = this.#limits;
    return firstMessageTimeoutMs > 0 && slot.inMsgs === 0 && now - slot.readSince >= firstMessageTimeoutMs;
  }

  /** Whether a message under way has grown too slowly since it was first seen, or last found quick enough. */
  #drips(slot: Slot, now: number): boolean {
    const { minMessageRate, messageGraceMs } = this.#limits;
    const pending = slot.connection?.pendingBytes ?? 0;
    if (minMessageRate === 0 || pending === 0) {
      slot.underWayAt = 0;
      return false;
    }
    if (slot.underWayAt === 0 || slot.underWayAfter !== slot.inMsgs) {
      this.#note(slot, pending, now);
      return false;
    }
    const elapsed = now - slot.underWayAt;
    if (elapsed < messageGraceMs) return false;
    const drips = pending - slot.underWayBytes < (minMessageRate * elapsed) / 1000;
    this.#note(slot, pending, now);
    return drips;
  }

  #note(slot: Slot, pending: number, now: number): void {
    slot.underWayAfter = slot.inMsgs;
    slot.underWayBytes = pending;
    slot.underWayAt = now;
  }

  /** Asks a client that says nothing for a sign of life, and finds out whether one that was asked has answered. */
  #isDead(slot: Slot, now: number): boolean {
    const { pingMs } = slot.origin;
    const { connection } = slot;
    // A client that is in the middle of a message can't answer.
    if (pingMs === 0 || connection === undefined || connection.pendingBytes > 0) return false;
    const silent = silentSince(slot);
    if (now - Math.max(silent, slot.pingedAt) < pingMs) return false;
    if (slot.pingedAt > silent) return true;
    slot.pingedAt = now;
    connection.ping();
    return false;
  }
}

/** Since when a client could have said something, and has not. */
function silentSince({ heardAt, readSince }: Slot): number {
  return Math.max(heardAt, readSince);
}
