/**
 * Checks of how fast clients arrive. Each takes a token from who passes it, so they come last. A rate of 0 is no
 * limit; a burst below 1 would let nobody in and is 1.
 */

import { AddressRates } from "../address-rates.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { Check } from "./check.ts";

/** How many addresses' rates are kept in mind: 1 MiB. Beyond, those that come least often are forgotten. */
const RATE_ENTRIES = 65_536;

/** Refuses who arrives too often from one address, or one /64 of IPv6. */
export function addressRateCheck(ratePerSecond: number, burst: number): Check {
  const refusal = "address-rate";
  if (ratePerSecond === 0) return { refusal, refuses: () => false };
  const rates = new AddressRates({ ratePerSecond, burst: Math.max(1, burst), entries: RATE_ENTRIES });
  return { refusal, refuses: (address, now) => address !== "" && !rates.take(address, now) };
}

/** Refuses when too many arrive, from wherever. */
export function totalRateCheck(ratePerSecond: number, burst: number, now: number): Check {
  const refusal = "connection-rate";
  if (ratePerSecond === 0) return { refusal, refuses: () => false };
  const bucket = new TokenBucket(ratePerSecond, Math.max(1, burst), now);
  return { refusal, refuses: (_address, at) => !bucket.take(at) };
}
