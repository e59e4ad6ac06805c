/**
 * A rate limit for each address, in memory that is allocated once. A bucket is one number: the time at which it will be
 * full again, which each token that is taken puts off. What a table of many forgets first is the fullest bucket.
 */

import { AddressTable } from "./address-table.ts";

export interface AddressRatesOptions {
  readonly ratePerSecond: number;
  /** How many may come at once; at least 1. */
  readonly burst: number;
  /** How many addresses are kept in mind at least. Each takes 16 bytes. */
  readonly entries: number;
}

/** By how much of a token a bucket may fall short, so that rounding refuses nobody. */
const TOLERANCE = 1 / 1000;

export class AddressRates {
  readonly #tokenMs: number;
  readonly #mostMs: number;
  /** When each bucket will be full. */
  readonly #fullAt: AddressTable;

  constructor({ ratePerSecond, burst, entries }: AddressRatesOptions) {
    this.#tokenMs = 1000 / ratePerSecond;
    this.#mostMs = (burst + TOLERANCE) * this.#tokenMs;
    this.#fullAt = new AddressTable(entries);
  }

  /**
   * Takes a token of an address's bucket, with an IPv6 address of its /64's. Gives false when there is none.
   *
   * @param address canonical
   * @param now milliseconds of a clock that never goes back
   */
  take(address: string, now: number): boolean {
    const { times } = this.#fullAt;
    const place = this.#fullAt.placeOf(address);
    const fullAt = Math.max(times[place] ?? 0, now) + this.#tokenMs;
    if (fullAt - now > this.#mostMs) return false;
    times[place] = fullAt;
    return true;
  }
}
