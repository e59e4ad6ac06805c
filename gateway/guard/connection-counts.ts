/** How many connections are open: in total, from each address, and from each /64 of IPv6. */

import { prefixOf } from "./address.ts";

export class ConnectionCounts {
  #total = 0;
  readonly #byAddress = new Map<string, number>();
  readonly #byPrefix = new Map<string, number>();

  get total(): number {
    return this.#total;
  }

  /** How many connections and prefixes are known, for the bound on memory. */
  get entryCount(): number {
    return this.#byAddress.size + this.#byPrefix.size;
  }

  /** Connections from an address, which is canonical. */
  ofAddress(address: string): number {
    return this.#byAddress.get(address) ?? 0;
  }

  /** Connections from the /64 of an IPv6 address; 0 for any other. */
  ofPrefix(address: string): number {
    return this.#byPrefix.get(prefixOf(address)) ?? 0;
  }

  /** Counts a connection. One without an address, a Unix socket's, is `""` and counts in total only. */
  add(address: string): void {
    this.#total++;
    if (address !== "") increase(this.#byAddress, address);
    if (isIPv6(address)) increase(this.#byPrefix, prefixOf(address));
  }

  /**
   * Counts a connection that was added no longer.
   *
   * @throws Error when none from this address is counted: a count that is wrong would stay so
   */
  remove(address: string): void {
    if (this.#total === 0 || (address !== "" && !this.#byAddress.has(address))) {
      throw new Error(`a connection from '${address}' has left that never entered`);
    }
    this.#total--;
    if (address !== "") decrease(this.#byAddress, address);
    if (isIPv6(address)) decrease(this.#byPrefix, prefixOf(address));
  }
}

function isIPv6(address: string): boolean {
  return address.includes(":");
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function decrease(counts: Map<string, number>, key: string): void {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
