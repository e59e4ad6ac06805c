/** What the codec's tests share: bytes written as hex, frames made by hand, and errors looked at closely. */

import assert from "node:assert/strict";
import type { BodyBounds } from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../proto/protocol-error.ts";

/** Bytes from hex digits; blanks are for people. */
export function hex(digits: string): Buffer {
  const bytes = Buffer.from(digits.replaceAll(/\s/g, ""), "hex");
  assert.equal(bytes.length * 2, digits.replaceAll(/\s/g, "").length, `'${digits}' is not hex`);
  return bytes;
}

/** A header, which may lie about its body. */
export function header(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(length, 4);
  return bytes;
}

/** A frame, written without the code under test. */
export function frame(type: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([header(type, body.length), body]);
}

/** A frame whose data begins with a session. */
export function sessionFrame(type: number, session: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const id = Buffer.alloc(4);
  id.writeUInt32LE(session);
  return frame(type, Buffer.concat([id, body]));
}

/** What a refusal must be: for `assert.throws`. */
export function refusal(code: ProtocolErrorCode, message = /./): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ProtocolError, `not a ProtocolError: ${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

export interface ReadFrame {
  readonly type: number;
  readonly data: Buffer;
}

/** A reader that keeps copies of the frames that it hands on. */
export function collectingReader(
  bounds: ReadonlyMap<number, BodyBounds>,
  maxFrame: number,
): { readonly reader: FrameReader; readonly frames: ReadFrame[] } {
  const frames: ReadFrame[] = [];
  const reader = new FrameReader(bounds, maxFrame, (type, bytes, start, end) => {
    frames.push({ type, data: Buffer.from(bytes.subarray(start, end)) });
  });
  return { reader, frames };
}

/** `bytes` in pieces, cut behind each of `cuts`, which are offsets in rising order. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

/** `bytes` in pieces, cut at random. */
export function cutAnywhere(bytes: Buffer, random: readonly number[]): Buffer[] {
  const cuts = random.map((number) => number % (bytes.length + 1)).sort((a, b) => a - b);
  return cutAt(bytes, cuts);
}
