/**
 * Who the client is, when HTTP proxies stand in front: each adds the address of whoever asked it to the right
 * of `X-Forwarded-For` or `Forwarded` (RFC 7239). Only what a trusted proxy has added is worth anything, so the
 * hops are gone through from the right, beginning with the peer itself, and the first that is not trusted is
 * the client. What stands left of it the client itself may have written, and is not looked at.
 */

import { canonicalAddress } from "../guard/address.ts";

/** The header that the proxies use. */
export type ForwardedKind = "x-forwarded-for" | "forwarded";

/** The client's address in canonical form, or why it can't be told. */
export type ForwardedClient = { readonly address: string } | { readonly fault: string };

/** More than any honest way has. */
const MAX_HOPS = 32;

/** `name=value`, where a value is quoted or has none of the characters that end one. */
const PAIR = /([!#$%&'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))/y;
/** What may stand between two pairs, or before the first, with blanks around it. */
const SEPARATOR = /[ \t]*([,;]?)[ \t]*/y;

/** An address with brackets, or one with a port or obfuscated port behind it (RFC 7239, section 6). */
const BRACKETED = /^\[([\da-f]*:[\da-f:.]*)\](?::(?:\d{1,5}|_[\w.-]+))?$/i;
const WITH_PORT = /^([\d.]+)(?::(?:\d{1,5}|_[\w.-]+))?$/;
const BARE_IPV6 = /^[\da-f]*:[\da-f:.]*$/i;

/**
 * The client's address.
 *
 * @param header the header's value; several of the same name are joined with commas, in order
 * @param peer the address of whoever connected
 * @param isTrusted whether an address, in canonical form, is one of our proxies'
 * @returns the rightmost hop that is not trusted, or the leftmost when all are; a fault when a hop that
 *   counts is not an address, or the header is malformed or has more than 32 hops
 */
export function forwardedClient(
  kind: ForwardedKind,
  header: string | undefined,
  peer: string,
  isTrusted: (address: string) => boolean,
): ForwardedClient {
  let client = canonicalAddress(peer);
  if (client === undefined) return { fault: "the peer has no address" };
  if (header === undefined || !isTrusted(client)) return { address: client };
  const hops = kind === "forwarded" ? forwardedHops(header) : listedHops(header);
  if (hops === undefined) return { fault: "a malformed header" };
  if (hops.length > MAX_HOPS) return { fault: "too many hops" };
  for (const hop of hops.reverse()) {
    client = addressOf(hop, kind);
    if (client === undefined) return { fault: "a hop that is no address" };
    if (!isTrusted(client)) break;
  }
  return { address: client };
}

/** The hops of `X-Forwarded-For`; empty elements of a list are nothing (RFC 9110, section 5.6.1). */
function listedHops(header: string): string[] {
  return header
    .split(",")
    .map((hop) => hop.trim())
    .filter((hop) => hop !== "");
}

/**
 * What each element of `Forwarded` says of `for`, "" when it says nothing; undefined for a header that breaks
 * the grammar. A quotation that a client leaves open thus never swallows what a proxy added behind it.
 */
function forwardedHops(header: string): string[] | undefined {
  const hops: string[] = [];
  let element = new Map<string, string>();
  const endElement = () => {
    if (element.size > 0) hops.push(element.get("for") ?? "");
    element = new Map();
  };
  let offset = 0;
  let separated = true;
  while (offset < header.length) {
    SEPARATOR.lastIndex = offset;
    const separator = SEPARATOR.exec(header);
    if (separator !== null && separator[0] !== "") {
      if (separator[1] === ",") endElement();
      separated ||= separator[1] !== "";
      offset = SEPARATOR.lastIndex;
      continue;
    }
    PAIR.lastIndex = offset;
    const pair = PAIR.exec(header);
    const name = pair?.[1]?.toLowerCase();
    if (pair === null || name === undefined || !separated || element.has(name)) return undefined;
    element.set(name, pair[2]?.replaceAll(/\\(.)/g, "$1") ?? pair[3] ?? "");
    separated = false;
    offset = PAIR.lastIndex;
  }
  endElement();
  return hops;
}

/** The address in a hop; undefined for `unknown`, an obfuscated name, or what is no address at all. */
function addressOf(hop: string, kind: ForwardedKind): string | undefined {
  const node = kind === "x-forwarded-for" ? hop.replace(/^"(.*)"$/, "$1") : hop;
  const address = BRACKETED.exec(node)?.[1] ?? WITH_PORT.exec(node)?.[1];
  if (address !== undefined) return canonicalAddress(address);
  // RFC 7239 wants brackets; in the older header an address without them has no port.
  return kind === "x-forwarded-for" && BARE_IPV6.test(node) ? canonicalAddress(node) : undefined;
}
