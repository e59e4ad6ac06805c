/** A block of addresses, as a CIDR or a single address names it. */

import { type AddressBits, parseAddress } from "./address-bits.ts";

export interface Network {
  readonly family: 4 | 6;
  /** Its lowest address. */
  readonly first: AddressBits["words"];
  /** Its highest address. */
  readonly last: AddressBits["words"];
}

/** An entry that is quoted in an error is cut to so many characters. */
const MAX_QUOTED = 60;
const ADDRESS_BITS = 128;
const BITS_BEFORE_IPV4 = 96;

/**
 * Reads an IP address or a CIDR. Bits behind the prefix may be set; they do not count. A v4-mapped IPv6 block is
 * the IPv4 block that it stands for.
 *
 * @throws Error whose message names the text and says what is wanted
 */
export function parseNetwork(text: string): Network {
  const slash = text.indexOf("/");
  const bits = parseAddress(slash === -1 ? text : text.slice(0, slash));
  const length = slash === -1 ? ADDRESS_BITS : prefixLength(text, text.slice(slash + 1), bits);
  if (bits === undefined || length === undefined) {
    const quoted = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text;
    throw new Error(
      `'${quoted}' is not an address; use an IP address, or a CIDR such as 192.0.2.0/24 or 2001:db8::/32`,
    );
  }
  const [a, b, c, d] = bits.words;
  const [maskA, maskB, maskC, maskD] = [
    maskOf(length),
    maskOf(length - 32),
    maskOf(length - 64),
    maskOf(length - 96),
  ];
  return {
    family: bits.family,
    first: [(a & maskA) >>> 0, (b & maskB) >>> 0, (c & maskC) >>> 0, (d & maskD) >>> 0],
    last: [(a | ~maskA) >>> 0, (b | ~maskB) >>> 0, (c | ~maskC) >>> 0, (d | ~maskD) >>> 0],
  };
}

/** How many of the 128 bits the prefix has; undefined when it fits no such address. */
function prefixLength(text: string, length: string, bits: AddressBits | undefined): number | undefined {
  if (bits === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const written = text.includes(":") ? Number(length) : Number(length) + BITS_BEFORE_IPV4;
  const least = bits.family === 4 ? BITS_BEFORE_IPV4 : 0;
  return written >= least && written <= ADDRESS_BITS ? written : undefined;
}

/** A word whose highest `bits` bits are set. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}
