/**
 * The PROXY header of version 2: a signature, sixteen bytes in all that tell a length, then addresses and
 * type-length-values. The first sixteen are judged byte by byte as they come; the rest when it is whole.
 */

import { canonicalAddress } from "../guard/address.ts";
import { crc32c } from "./crc32c.ts";
import { localHeader, type ProxyFault, type ProxyReading, type ProxyTls } from "./proxy-header.ts";
import { readTlvs, TlvFault } from "./proxy-tlv.ts";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const FIXED_BYTES = 16;
/** Ours: the specification lets a header announce 64 KiB, and none that is of use needs them. */
const MAX_ANNOUNCED_BYTES = 2048;
export const MAX_V2_BYTES = FIXED_BYTES + MAX_ANNOUNCED_BYTES;

const VERSION = 2;
const LOCAL = 0;
const PROXY = 1;

/** Family and protocol of what is accepted, datagrams not among it, and how many bytes its addresses take. */
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;
const addressBytes: Readonly<Record<number, number>> = {
  [UNSPECIFIED]: 0,
  [TCP4]: 12,
  [TCP6]: 36,
  [UNIX_STREAM]: 216,
};

/** Four zero bytes stand for the checksum while it is computed. */
const NO_CHECKSUM = Buffer.alloc(4);

/** Reads a header of version 2 from the connection's first bytes. */
export function readV2(bytes: Buffer): ProxyReading {
  const fault = faultOfFixed(bytes);
  if (fault !== undefined) return { fault };
  if (bytes.length < FIXED_BYTES) return "more";
  const headerBytes = FIXED_BYTES + bytes.readUInt16BE(14);
  if (bytes.length < headerBytes) return "more";
  // The specification has the whole block ignored, its family too, when the proxy speaks for itself.
  if (commandOf(bytes) === LOCAL || bytes[13] === UNSPECIFIED) return localHeader(headerBytes);
  return readProxied(bytes.subarray(0, headerBytes));
}

function commandOf(bytes: Buffer): number {
  return (bytes[12] ?? 0) & 0x0f;
}

/** What is wrong with the first sixteen bytes, as far as they are there. */
function faultOfFixed(bytes: Buffer): string | undefined {
  const signed = Math.min(bytes.length, SIGNATURE.length);
  if (bytes.compare(SIGNATURE, 0, signed, 0, signed) !== 0) return "no PROXY header";
  const [version, kind, high, low] = bytes.subarray(12, FIXED_BYTES);
  if (version === undefined) return undefined;
  if (version >> 4 !== VERSION) return "an unknown version";
  if (commandOf(bytes) > PROXY) return "an unknown command";
  const proxied = commandOf(bytes) === PROXY;
  if (kind === undefined) return undefined;
  const least = proxied ? addressBytes[kind] : 0;
  if (least === undefined) return "a family or protocol that is not accepted";
  if (high === undefined) return undefined;
  // The low byte that has not come is the one that would suit best.
  if (high * 256 + (low ?? 0) > MAX_ANNOUNCED_BYTES) return "a header that is too long";
  if (high * 256 + (low ?? 255) < least) return "no room for the addresses";
  return undefined;
}

/** Reads a whole header that tells of a client. */
function readProxied(header: Buffer): ProxyReading {
  const tlvStart = FIXED_BYTES + (addressBytes[header[13] ?? 0] ?? 0);
  const source = readSource(header);
  if (source === undefined) return { fault: "an address that is none" };
  const tls = readTls(header, tlvStart);
  if (tls !== undefined && "fault" in tls) return tls;
  return { local: false, ...source, tls, headerBytes: header.length };
}

function readSource(header: Buffer): { address: string; port: number } | undefined {
  const family = header[13];
  if (family === UNIX_STREAM) return { address: "", port: 0 };
  const bytes = family === TCP4 ? 4 : 16;
  const text =
    family === TCP4
      ? header.subarray(FIXED_BYTES, FIXED_BYTES + bytes).join(".")
      : header.toString("hex", FIXED_BYTES, FIXED_BYTES + bytes).replaceAll(/(.{4})(?!$)/g, "$1:");
  const address = canonicalAddress(text);
  if (address === undefined) return undefined;
  return { address, port: header.readUInt16BE(FIXED_BYTES + 2 * bytes) };
}

function readTls(header: Buffer, tlvStart: number): ProxyTls | undefined | ProxyFault {
  try {
    const { checksumAt, tls } = readTlvs(header, tlvStart);
    if (checksumAt !== undefined && !checksumHolds(header, checksumAt)) return { fault: "a wrong checksum" };
    return tls;
  } catch (error) {
    if (error instanceof TlvFault) return { fault: error.message };
    throw error;
  }
}

function checksumHolds(header: Buffer, at: number): boolean {
  const before = crc32c(header.subarray(0, at));
  const computed = crc32c(header.subarray(at + 4), crc32c(NO_CHECKSUM, before));
  return computed === header.readUInt32BE(at);
}
