/**
 * A rate limit for each address, in memory that is allocated once. A bucket is one number: the time at which it
 * will be full again, which each token that is taken puts off. Buckets lie in sets; an address has its bucket
 * somewhere in the set that a hash chooses, and a new address takes the place of the fullest one there, which
 * is the one that forgets the least. So those who come often stay known through a flood of others. The hash
 * comes from random tables, so that nobody can look for addresses that fall into one set.
 */

import { randomFillSync } from "node:crypto";
import { parseAddress } from "./address-bits.ts";

export interface AddressRatesOptions {
  readonly ratePerSecond: number;
  /** How many may come at once; at least 1. */
  readonly burst: number;
  /** How many addresses are kept in mind at least. Each takes 16 bytes. */
  readonly entries: number;
}

/** How many buckets a set has. */
const WAYS = 8;
/** The first word of the key of an IPv4 address; no IPv6 client has an address that begins so. */
const IPV4_KEY = 0xffffffff;
/** By how much of a token a bucket may fall short, so that rounding refuses nobody. */
const TOLERANCE = 1 / 1000;

export class AddressRates {
  readonly #tokenMs: number;
  readonly #mostMs: number;
  readonly #setMask: number;
  readonly #highKeys: Uint32Array;
  readonly #lowKeys: Uint32Array;
  /** When each bucket will be full. */
  readonly #fullAt: Float64Array;
  /** A random word for each value of each byte of a key. */
  readonly #tables = randomFillSync(new Uint32Array(8 * 256));

  constructor({ ratePerSecond, burst, entries }: AddressRatesOptions) {
    this.#tokenMs = 1000 / ratePerSecond;
    this.#mostMs = (burst + TOLERANCE) * this.#tokenMs;
    const sets = 2 ** Math.ceil(Math.log2(Math.max(1, entries / WAYS)));
    this.#setMask = sets - 1;
    this.#highKeys = new Uint32Array(sets * WAYS);
    this.#lowKeys = new Uint32Array(sets * WAYS);
    this.#fullAt = new Float64Array(sets * WAYS);
  }

  /**
   * Takes a token of an address's bucket, with an IPv6 address of its /64's. Gives false when there is none.
   *
   * @param address canonical
   * @param now milliseconds of a clock that never goes back
   */
  take(address: string, now: number): boolean {
    const bits = parseAddress(address);
    const high = bits?.family === 6 ? bits.words[0] : IPV4_KEY;
    const low = (bits?.family === 6 ? bits.words[1] : bits?.words[3]) ?? 0;
    const place = this.#find(high, low);
    const fullAt = Math.max(this.#fullAt[place] ?? 0, now) + this.#tokenMs;
    if (fullAt - now > this.#mostMs) return false;
    this.#fullAt[place] = fullAt;
    return true;
  }

  /** Where the key's bucket is. One that isn't known takes over the fullest of its set, as a full one. */
  #find(high: number, low: number): number {
    const first = (this.#hash(high, low) & this.#setMask) * WAYS;
    let fullest = first;
    for (let place = first; place < first + WAYS; place++) {
      if (this.#highKeys[place] === high && this.#lowKeys[place] === low) return place;
      if ((this.#fullAt[place] ?? 0) < (this.#fullAt[fullest] ?? 0)) fullest = place;
    }
    this.#highKeys[fullest] = high;
    this.#lowKeys[fullest] = low;
    this.#fullAt[fullest] = 0;
    return fullest;
  }

  /** Tabulation hashing: what is known of other keys' places says nothing of this one's. */
  #hash(high: number, low: number): number {
    let hash = 0;
    for (let byte = 0; byte < 4; byte++) {
      const shift = byte * 8;
      hash ^= this.#tables[byte * 256 + ((high >>> shift) & 255)] ?? 0;
      hash ^= this.#tables[(byte + 4) * 256 + ((low >>> shift) & 255)] ?? 0;
    }
    return hash;
  }
}
