/** Checks of how many connections are open already. A most of 0 is no limit. */

import type { ConnectionCounts } from "../connection-counts.ts";
import type { Check } from "./check.ts";

/** Refuses when `most` connections are open. */
export function totalCheck(counts: ConnectionCounts, most: number): Check {
  return { refusal: "too-many-connections", refuses: () => most > 0 && counts.total >= most };
}

/** Refuses when `most` connections are open from the address. */
export function addressCountCheck(counts: ConnectionCounts, most: number): Check {
  return {
    refusal: "too-many-from-address",
    refuses: (address) => most > 0 && counts.ofAddress(address) >= most,
  };
}

/** Refuses when `most` connections are open from the address's IPv6 /64. */
export function prefixCountCheck(counts: ConnectionCounts, most: number): Check {
  return {
    refusal: "too-many-from-prefix",
    refuses: (address) => most > 0 && counts.ofPrefix(address) >= most,
  };
}
