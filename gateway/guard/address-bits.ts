/**
 * IP addresses, text to bits and back. Both families are 128 bits in four words, an IPv4 address the v4-mapped
 * one, so that what is done with bits is written once. Written by hand because a node:net SocketAddress takes
 * several times as long to make, and this is done more than once for each client that arrives.
 */

export interface AddressBits {
  readonly family: 4 | 6;
  /** The address, 32 bits in each word, the highest first. */
  readonly words: readonly [number, number, number, number];
}

const DOT = 46;
const COLON = 58;
const NONE = -1;
const GROUPS = 8;
/** The third word of a v4-mapped address; the first two are 0. */
const MAPPED_WORD = 0xffff;

/** The groups of the IPv6 address that is being read. */
const groups = new Uint16Array(GROUPS);

/** Reads an IPv4 address, or an IPv6 one with or without a zone; undefined for any other text. */
export function parseAddress(text: string): AddressBits | undefined {
  if (!text.includes(":")) {
    const value = readIPv4(text, 0, text.length);
    return value === NONE ? undefined : { family: 4, words: [0, 0, MAPPED_WORD, value] };
  }
  const zone = text.indexOf("%");
  if (zone === text.length - 1) return undefined;
  if (!readGroups(text, zone === -1 ? text.length : zone)) return undefined;
  const words = [word(0), word(2), word(4), word(6)] as const;
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === MAPPED_WORD;
  return { family: mapped ? 4 : 6, words };
}

/** The one text of an address: dotted, or as RFC 5952 (section 4) has it. */
export function formatAddress({ family, words }: AddressBits): string {
  if (family === 4) {
    const value = words[3];
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const { start, length } = longestZeroRun(words);
  let text = "";
  for (let i = 0; i < GROUPS; i++) {
    if (i === start && length > 1) {
      text += "::";
      i += length - 1;
      continue;
    }
    if (text !== "" && !text.endsWith("::")) text += ":";
    text += groupOf(words, i).toString(16);
  }
  return text;
}

function word(group: number): number {
  return (((groups[group] ?? 0) << 16) | (groups[group + 1] ?? 0)) >>> 0;
}

/** The value of the dotted address `text[from..end)`, or NONE. */
function readIPv4(text: string, from: number, end: number): number {
  let value = 0;
  let dots = 0;
  let part = NONE;
  for (let i = from; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (part === NONE || dots === 3) return NONE;
      value = value * 256 + part;
      dots++;
      part = NONE;
      continue;
    }
    const digit = code - 48;
    // A leading zero means octal to some and nothing to others.
    if (digit < 0 || digit > 9 || part === 0) return NONE;
    part = part === NONE ? digit : part * 10 + digit;
    if (part > 255) return NONE;
  }
  return dots === 3 && part !== NONE ? value * 256 + part : NONE;
}

/** Reads the IPv6 address `text[0..end)` into `groups`; gives whether it is one. */
function readGroups(text: string, end: number): boolean {
  let count = 0;
  /** How many groups stand before the `::`. */
  let gap = NONE;
  let i = 0;
  if (text.startsWith("::")) {
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count === GROUPS) return false;
    const start = i;
    let value = 0;
    for (let digit = hexDigit(text, i, end); digit !== NONE; digit = hexDigit(text, ++i, end)) {
      if (i - start === 4) return false;
      value = value * 16 + digit;
    }
    if (i < end && text.charCodeAt(i) === DOT) {
      const last = readIPv4(text, start, end);
      if (last === NONE || count > GROUPS - 2) return false;
      groups[count++] = last >>> 16;
      groups[count++] = last & 0xffff;
      break;
    }
    if (i === start) return false;
    groups[count++] = value;
    if (i === end) break;
    if (text.charCodeAt(i++) !== COLON || i === end) return false;
    if (text.charCodeAt(i) === COLON) {
      if (gap !== NONE) return false;
      gap = count;
      i++;
    }
  }
  if (gap === NONE) return count === GROUPS;
  if (count === GROUPS) return false;
  groups.copyWithin(gap + GROUPS - count, gap, count);
  groups.fill(0, gap, gap + GROUPS - count);
  return true;
}

function hexDigit(text: string, i: number, end: number): number {
  if (i >= end) return NONE;
  const code = text.charCodeAt(i);
  if (code >= 48 && code <= 57) return code - 48;
  const letter = (code | 32) - 97;
  return letter >= 0 && letter < 6 ? letter + 10 : NONE;
}

function groupOf(words: AddressBits["words"], group: number): number {
  const value = words[group >>> 1] ?? 0;
  return group % 2 === 0 ? value >>> 16 : value & 0xffff;
}

/** The first of the longest runs of groups that are 0. */
function longestZeroRun(words: AddressBits["words"]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i < GROUPS; i++) {
    if (groupOf(words, i) !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  }
  return best;
}
