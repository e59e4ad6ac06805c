/**
 * A number for each address, in memory that is allocated once: a time, before which something of the address is
 * remembered. They lie in sets; an address has its place somewhere in the set that a hash chooses, and a new address takes
 * that of the earliest time there, which is the one that forgets the least. So those who come often stay known through a
 * flood of others. The hash comes from random tables, so that nobody can look for addresses that fall into one set.
 */

import { randomFillSync } from "node:crypto";
import { parseAddress } from "./address-bits.ts";

/** How many places a set has. */
const WAYS = 8;
/** The first word of the key of an IPv4 address; no IPv6 client has an address that begins so. */
const IPV4_KEY = 0xffffffff;

export class AddressTable {
  readonly #setMask: number;
  readonly #highKeys: Uint32Array;
  readonly #lowKeys: Uint32Array;
  /** The time of each place, milliseconds. */
  readonly times: Float64Array;
  /** A random word for each value of each byte of a key. */
  readonly #tables = randomFillSync(new Uint32Array(8 * 256));

  /** @param entries how many addresses are kept in mind at least. Each takes 16 bytes */
  constructor(entries: number) {
    const sets = 2 ** Math.ceil(Math.log2(Math.max(1, entries / WAYS)));
    this.#setMask = sets - 1;
    this.#highKeys = new Uint32Array(sets * WAYS);
    this.#lowKeys = new Uint32Array(sets * WAYS);
    this.times = new Float64Array(sets * WAYS);
  }

  /**
   * Where the time of an address is, with an IPv6 address that of its /64. One that isn't known takes over the earliest
   * place of its set, whose time is then 0.
   *
   * @param address canonical
   */
  placeOf(address: string): number {
    const [high, low] = keyOf(address);
    const known = this.#find(high, low);
    if (known !== undefined) return known;
    const earliest = this.#earliest(this.#firstOf(high, low));
    this.#highKeys[earliest] = high;
    this.#lowKeys[earliest] = low;
    this.times[earliest] = 0;
    return earliest;
  }

  /** The time of an address; 0 where it isn't known. Takes nobody's place. */
  timeOf(address: string): number {
    const place = this.#find(...keyOf(address));
    return place === undefined ? 0 : (this.times[place] ?? 0);
  }

  #firstOf(high: number, low: number): number {
    return (this.#hash(high, low) & this.#setMask) * WAYS;
  }

  #find(high: number, low: number): number | undefined {
    const first = this.#firstOf(high, low);
    for (let place = first; place < first + WAYS; place++) {
      if (this.#highKeys[place] === high && this.#lowKeys[place] === low) return place;
    }
    return undefined;
  }

  #earliest(first: number): number {
    let earliest = first;
    for (let place = first; place < first + WAYS; place++) {
      if ((this.times[place] ?? 0) < (this.times[earliest] ?? 0)) earliest = place;
    }
    return earliest;
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

function keyOf(address: string): [high: number, low: number] {
  const bits = parseAddress(address);
  const high = bits?.family === 6 ? bits.words[0] : IPV4_KEY;
  const low = bits?.family === 6 ? bits.words[1] : bits?.words[3];
  return [high ?? 0, low ?? 0];
}
