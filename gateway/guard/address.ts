/** The text of an address, in the one form in which the gateway keeps, counts and compares it. */

import { formatAddress, parseAddress } from "./address-bits.ts";

/**
 * The one text of an IP address, so that equal addresses are equal strings: IPv4 dotted; IPv6 in lower case and
 * shortened, without its zone; a v4-mapped IPv6 address as the IPv4 address that it stands for.
 *
 * @returns undefined for what is no IP address
 */
export function canonicalAddress(text: string): string | undefined {
  const bits = parseAddress(text);
  if (bits === undefined) return undefined;
  // There is one way to write an IPv4 address.
  return bits.family === 4 && !text.includes(":") ? text : formatAddress(bits);
}

/**
 * What counts as one place in the network: of an IPv6 address its /64, as `2001:db8::/64`, because whoever has
 * one address of it has them all; an IPv4 address itself.
 *
 * @param address canonical
 */
export function prefixOf(address: string): string {
  if (!address.includes(":")) return address;
  const bits = parseAddress(address);
  if (bits === undefined) return address;
  const [first, second] = bits.words;
  return bits.family === 4
    ? formatAddress(bits)
    : `${formatAddress({ family: 6, words: [first, second, 0, 0] })}/64`;
}
