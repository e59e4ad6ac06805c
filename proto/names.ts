/**
 * Names of users and groups on the link: UTF-8 of 1 to 128 bytes (docs/protocol.md, "Names"). They are compared byte by
 * byte, so that bytes which are no text, and would all be read as the same, are refused.
 */

import { ProtocolError } from "./protocol-error.ts";

/** The longest name, bytes of UTF-8. */
export const MAX_NAME_BYTES = 128;

/** A byte order mark is a part of the name like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads `bytes[start..end)` as a name.
 *
 * @param what names it in the message, as in `GroupAdd's name`
 * @throws ProtocolError `bad-body`: it is empty, too long, or not UTF-8
 */
export function readName(bytes: Buffer, start: number, end: number, what: string): string {
  if (start === end) throw new ProtocolError("bad-body", `${what} is empty`);
  if (end - start > MAX_NAME_BYTES) {
    throw new ProtocolError("bad-body", `${what} of ${end - start} bytes is over ${MAX_NAME_BYTES}`);
  }
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ProtocolError("bad-body", `${what} is not UTF-8`);
  }
}

/** A name behind its length in one byte: what a message to a name begins with. */
export function namePrefix(name: string): Buffer {
  const length = Buffer.byteLength(name);
  const prefix = Buffer.allocUnsafe(1 + length);
  prefix.writeUInt8(length);
  prefix.write(name, 1);
  return prefix;
}
