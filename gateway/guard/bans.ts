/**
 * Addresses that are banned for a while. Their number is bounded: of more, those that end soonest are let go.
 * They lie in a heap by their ends. A ban that is lengthened stays at its place there and is put right when it
 * comes to the top, so that neither one ban nor a flood of them costs more than a few steps.
 */

import type { Clock } from "../clock.ts";
import { prefixOf } from "./address.ts";

interface Ban {
  readonly prefix: string;
  endsAt: number;
  /** `endsAt`, or what it was before the ban was lengthened. The heap is in this order. */
  rank: number;
}

export class Bans {
  readonly #clock: Clock;
  readonly #maxBans: number;
  readonly #byPrefix = new Map<string, Ban>();
  /** A binary heap: the children of `i` are at `2i + 1` and `2i + 2`, and rank no lower than it. */
  readonly #heap: Ban[] = [];

  constructor(clock: Clock, maxBans: number) {
    this.#clock = clock;
    this.#maxBans = maxBans;
  }

  /** How many bans there are. */
  get size(): number {
    this.#forgetEnded();
    return this.#heap.length;
  }

  /**
   * Bans an address, and with an IPv6 address its /64. A ban that ends later already stays as it is; so do as
   * many as there may be that all end later.
   *
   * @param address canonical
   * @param ms how long, in milliseconds
   */
  ban(address: string, ms: number): void {
    const prefix = prefixOf(address);
    const endsAt = this.#clock.now() + ms;
    const present = this.#byPrefix.get(prefix);
    if (present !== undefined) {
      present.endsAt = Math.max(present.endsAt, endsAt);
      return;
    }
    if (this.#heap.length >= this.#maxBans) {
      // One that has ended comes first in this order.
      const soonest = this.#soonest();
      if (soonest === undefined || soonest.endsAt > endsAt) return;
      this.#removeTop();
    }
    this.#add({ prefix, endsAt, rank: endsAt });
  }

  /** Whether an address, which is canonical, is banned now. */
  has(address: string): boolean {
    if (this.#byPrefix.size === 0) return false;
    const ban = this.#byPrefix.get(prefixOf(address));
    return ban !== undefined && ban.endsAt > this.#clock.now();
  }

  #forgetEnded(): void {
    const now = this.#clock.now();
    for (let top = this.#soonest(); top !== undefined && top.endsAt <= now; top = this.#soonest()) {
      this.#removeTop();
    }
  }

  /** The ban that ends soonest, which is on top then. */
  #soonest(): Ban | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.rank === top.endsAt) return top;
      top.rank = top.endsAt;
      this.#sink(top);
    }
  }

  #add(ban: Ban): void {
    this.#byPrefix.set(ban.prefix, ban);
    let place = this.#heap.length;
    while (place > 0) {
      const parentPlace = (place - 1) >>> 1;
      const parent = this.#heap[parentPlace];
      if (parent === undefined || parent.rank <= ban.rank) break;
      this.#heap[place] = parent;
      place = parentPlace;
    }
    this.#heap[place] = ban;
  }

  #removeTop(): void {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (top !== undefined) this.#byPrefix.delete(top.prefix);
    if (last !== undefined && last !== top) this.#sink(last);
  }

  /** Puts a ban in on top and moves it down to where it belongs. */
  #sink(ban: Ban): void {
    const heap = this.#heap;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      const childPlace = a !== undefined && b !== undefined && b.rank < a.rank ? left + 1 : left;
      const child = heap[childPlace];
      if (child === undefined || child.rank >= ban.rank) break;
      heap[place] = child;
      place = childPlace;
    }
    heap[place] = ban;
  }
}
