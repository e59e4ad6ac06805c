/**
 * The slots of a gateway, allocated when the manager says how many. The free list is a queue, so that a
 * freed slot rests as long as can be before its id comes near to repeating (docs/protocol.md, "Session
 * ids"). The deadlines lie in one array, which one timer sweeps.
 */

import { nextGeneration, sessionId, slotOf } from "../../proto/session-id.ts";
import { Slot, type SlotOwner } from "./slot.ts";

const NEVER = Number.POSITIVE_INFINITY;

export class SlotTable {
  readonly #owner: SlotOwner;
  readonly #slots: Slot[] = [];
  /** A ring of the freed slots' indices, oldest first. */
  #free = new Uint32Array(0);
  #freeHead = 0;
  #freeCount = 0;
  #capacity = 0;
  #deadlines = new Float64Array(0);
  /** No deadline is earlier than this. */
  #earliest = NEVER;

  constructor(owner: SlotOwner) {
    this.#owner = owner;
  }

  /** How many sessions there may be at once, as the manager said last. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Slots that are not freed. */
  get usedCount(): number {
    return this.#slots.length - this.#freeCount;
  }

  /** All slots, freed ones too. More than `capacity` after the manager has lowered it. */
  get slots(): readonly Slot[] {
    return this.#slots;
  }

  /** The freed slots' indices, in the order in which they will be taken. */
  get freeList(): readonly number[] {
    return Array.from({ length: this.#freeCount }, (_, i) => this.#free[this.#ringPlace(i)] ?? -1);
  }

  /**
   * Sets the capacity. A larger one is allocated; under a smaller one the slots in use live on, and nobody
   * new takes one until fewer are used than it allows.
   *
   * @param capacity 1..2^20
   */
  resize(capacity: number): void {
    this.#capacity = capacity;
    const before = this.#slots.length;
    if (capacity <= before) return;
    this.#growArrays(capacity);
    for (let index = before; index < capacity; index++) {
      this.#slots.push(new Slot(index, this.#owner));
      this.#pushFree(index);
    }
  }

  /** Takes the slot that has been free the longest and gives it its next id; undefined when all are used. */
  take(): Slot | undefined {
    if (this.usedCount >= this.#capacity) return undefined;
    const slot = this.#slots[this.#free[this.#freeHead] ?? -1];
    if (slot === undefined) return undefined;
    this.#freeHead = (this.#freeHead + 1) % this.#free.length;
    this.#freeCount--;
    this.rename(slot);
    return slot;
  }

  /** Gives a taken slot its next id: what is still said to the one before finds nobody. */
  rename(slot: Slot): void {
    slot.generation = nextGeneration(slot.generation);
    slot.session = sessionId(slot.generation, slot.index);
  }

  /** Puts a taken slot back on the free list. */
  free(slot: Slot): void {
    slot.clear();
    this.disarm(slot);
    this.#pushFree(slot.index);
  }

  /** The slot whose session has exactly this id now; undefined for a stale or invented one. */
  find(session: number): Slot | undefined {
    const slot = this.#slots[slotOf(session)];
    return slot !== undefined && slot.session === session && session !== 0 ? slot : undefined;
  }

  /** Sets the slot's one deadline, on the monotonic clock in milliseconds. */
  arm(slot: Slot, deadline: number): void {
    this.#deadlines[slot.index] = deadline;
    if (deadline < this.#earliest) this.#earliest = deadline;
  }

  disarm(slot: Slot): void {
    this.#deadlines[slot.index] = NEVER;
  }

  /** Disarms every slot whose deadline has come and hands it to `expired`. */
  sweep(now: number, expired: (slot: Slot) => void): void {
    if (now < this.#earliest) return;
    const due: Slot[] = [];
    let earliest = NEVER;
    for (let index = 0; index < this.#slots.length; index++) {
      const deadline = this.#deadlines[index] ?? NEVER;
      const slot = this.#slots[index];
      if (deadline > now || slot === undefined) {
        if (deadline < earliest) earliest = deadline;
        continue;
      }
      this.#deadlines[index] = NEVER;
      due.push(slot);
    }
    this.#earliest = earliest;
    for (const slot of due) expired(slot);
  }

  #growArrays(capacity: number): void {
    const free = new Uint32Array(capacity);
    free.set(this.freeList);
    this.#free = free;
    this.#freeHead = 0;
    const deadlines = new Float64Array(capacity).fill(NEVER);
    deadlines.set(this.#deadlines);
    this.#deadlines = deadlines;
  }

  #pushFree(index: number): void {
    this.#free[this.#ringPlace(this.#freeCount)] = index;
    this.#freeCount++;
  }

  #ringPlace(offset: number): number {
    return (this.#freeHead + offset) % this.#free.length;
  }
}
