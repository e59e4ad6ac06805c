/** Checks against lists of addresses, which may change at any time. */

import type { Check } from "./check.ts";

/** What says whether an address is on it. */
export interface AddressList {
  has(address: string): boolean;
}

/** Refuses who is on the deny list. */
export function deniedCheck(denied: AddressList): Check {
  return { refusal: "denied", refuses: (address) => address !== "" && denied.has(address) };
}

/**
 * Refuses who is not on the allow list.
 *
 * @param allowed undefined when there is no such list, and everybody may come
 */
export function notAllowedCheck(allowed: AddressList | undefined): Check {
  return {
    refusal: "not-allowed",
    refuses: (address) => allowed !== undefined && address !== "" && !allowed.has(address),
  };
}

/** Refuses who is banned. */
export function bannedCheck(bans: AddressList): Check {
  return { refusal: "banned", refuses: (address) => address !== "" && bans.has(address) };
}
