/**
 * The PROXY header of version 1: one line of text, `PROXY TCP4 source destination port port`. It is read
 * strictly, and a line that can't become a header is refused before its end has come.
 */

import { isIPv4, isIPv6 } from "node:net";
import { canonicalAddress } from "../guard/address.ts";
import { localHeader, type ProxyHeader, type ProxyReading } from "./proxy-header.ts";

/** The specification's longest line, its CRLF counted. */
export const MAX_V1_BYTES = 107;

/** What stands in one place of a line: whether it is whole, and whether it can still become so. */
interface Field {
  readonly whole: (text: string) => boolean;
  readonly begun: (text: string) => boolean;
  readonly fault: string;
}

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
/** An octet cut short is an octet, so this is the beginning of every IPv4 address and of nothing else. */
const BEGUN_IPV4 = new RegExp(`^(?:${OCTET}\\.){0,3}${OCTET}?$`);
/** One of these completes whatever is the beginning of an IPv6 address. */
const IPV6_ENDINGS = ["", ":", "::", "0", "0.0", "0.0.0", ".0", ".0.0", ".0.0.0"];

const ipv4: Field = {
  whole: isIPv4,
  begun: (text) => BEGUN_IPV4.test(text),
  fault: "an address that is not IPv4",
};
const ipv6: Field = {
  whole: (text) => isIPv6(text) && !text.includes("%"),
  begun: (text) => !text.includes("%") && IPV6_ENDINGS.some((ending) => isIPv6(text + ending)),
  fault: "an address that is not IPv6",
};
const port: Field = {
  whole: (text) => /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535,
  begun: (text) => text === "" || port.whole(text),
  fault: "a bad port",
};

const families: ReadonlyMap<string, readonly Field[]> = new Map([
  ["TCP4", [ipv4, ipv4, port, port]],
  ["TCP6", [ipv6, ipv6, port, port]],
]);
const protocols = ["TCP4", "TCP6", "UNKNOWN"];

/** Reads a header of version 1 from the connection's first bytes. */
export function readV1(bytes: Buffer): ProxyReading {
  const text = bytes.toString("latin1", 0, MAX_V1_BYTES);
  const end = text.indexOf("\r");
  const line = end === -1 ? text : text.slice(0, end);
  if (line.length > MAX_V1_BYTES - 2) return { fault: "a line without an end" };
  if (end === -1) return readBegun(line);
  const header = readWhole(line);
  if ("fault" in header) return header;
  const after = text[end + 1];
  if (after === undefined) return "more";
  return after === "\n" ? header : { fault: "a carriage return that no line feed follows" };
}

/** Reads a line whose end has not come. */
function readBegun(line: string): ProxyReading {
  const [greeting = "", protocol, ...rest] = line.split(" ");
  if (protocol === undefined) return "PROXY".startsWith(greeting) ? "more" : { fault: "no PROXY header" };
  if (greeting !== "PROXY") return { fault: "no PROXY header" };
  const last = rest.pop();
  if (last === undefined) {
    return protocols.some((one) => one.startsWith(protocol)) ? "more" : { fault: "an unknown protocol" };
  }
  if (protocol === "UNKNOWN") return isPrintable(line) ? "more" : { fault: "a line that is not text" };
  const fields = families.get(protocol);
  if (fields === undefined) return { fault: "an unknown protocol" };
  const wrong = firstWrong(fields, rest);
  if (wrong !== undefined) return { fault: wrong };
  const field = fields[rest.length];
  if (field === undefined) return { fault: "too many fields" };
  return field.begun(last) ? "more" : { fault: field.fault };
}

/** Reads a line without its end. */
function readWhole(line: string): ProxyHeader | { readonly fault: string } {
  const headerBytes = line.length + 2;
  const [greeting, protocol = "", ...rest] = line.split(" ");
  if (greeting !== "PROXY") return { fault: "no PROXY header" };
  if (protocol === "UNKNOWN") {
    return isPrintable(line) ? localHeader(headerBytes) : { fault: "a line that is not text" };
  }
  const fields = families.get(protocol);
  if (fields === undefined) return { fault: "an unknown protocol" };
  const wrong = firstWrong(fields, rest);
  if (wrong !== undefined) return { fault: wrong };
  const [source = "", , sourcePort] = rest;
  const address = canonicalAddress(source);
  if (rest.length !== fields.length || address === undefined) return { fault: "not the fields of a header" };
  return { local: false, address, port: Number(sourcePort), tls: undefined, headerBytes };
}

/** What is wrong with the first field that is; undefined when none is. */
function firstWrong(fields: readonly Field[], given: readonly string[]): string | undefined {
  for (const [index, text] of given.entries()) {
    const field = fields[index];
    if (field === undefined) return "too many fields";
    if (!field.whole(text)) return field.fault;
  }
  return undefined;
}

function isPrintable(text: string): boolean {
  return /^[ -~]*$/.test(text);
}
