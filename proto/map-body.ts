/**
 * Map bodies: one MessagePack map with string keys (docs/protocol.md, "Maps"). What is written is plain
 * MessagePack that any language reads. What is read is walked first, by this file, so that nothing but plain
 * values, bounded in depth, ever reaches the library: no extension, no record, no key that is not a string.
 */

import { Packr, Unpackr } from "msgpackr/pack";
import { ProtocolError } from "./protocol-error.ts";

/** How deep arrays and maps may lie in each other, the body itself included. */
export const MAX_MAP_DEPTH = 8;

const packr = new Packr({ useRecords: false, moreTypes: false, variableMapSize: true });
const unpackr = new Unpackr({
  useRecords: false,
  moreTypes: false,
  mapsAsObjects: false,
  int64AsType: "number",
  // What is kept of a map, such as the data of a handoff, must not keep the whole of it, nor what of Node's pool lies around it.
  copyBuffers: true,
});

/** What a map may hold when it is written. A key whose value is undefined is left out. */
export type MapValue =
  | string
  | number
  | boolean
  | Uint8Array
  | readonly MapValue[]
  | { readonly [key: string]: MapValue | undefined };

/** The MessagePack of a map. */
export function encodeMap(map: { readonly [key: string]: MapValue | undefined }): Buffer {
  return packr.pack(withoutUndefined(map));
}

function withoutUndefined(value: MapValue): MapValue {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).filter(
    (entry): entry is [string, MapValue] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutUndefined(inner)]));
}

/**
 * Reads `bytes[start..end)` as one map. Its values are Maps, arrays, strings, numbers, booleans, null, and
 * Uint8Arrays of their own.
 *
 * @throws ProtocolError `bad-map`: not exactly one map with string keys, or something that is not plain
 */
export function decodeMap(bytes: Buffer, start: number, end: number): ReadonlyMap<string, unknown> {
  const body = Buffer.from(bytes.subarray(start, end));
  if (!isMapTag(body[0])) throw new ProtocolError("bad-map", "a body is not a map");
  const after = skipValue(body, 0, MAX_MAP_DEPTH);
  if (after !== body.length) {
    throw new ProtocolError("bad-map", `${body.length - after} bytes follow the map`);
  }
  return unpackr.unpack(body);
}

function isMapTag(tag: number | undefined): boolean {
  return tag !== undefined && ((tag >= 0x80 && tag <= 0x8f) || tag === 0xde || tag === 0xdf);
}

function isTextTag(tag: number | undefined): boolean {
  return tag !== undefined && ((tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb));
}

/** Bytes behind the tag of values of fixed length, by tag. */
const FIXED: ReadonlyMap<number, number> = new Map([
  [0xc0, 0], // nil
  [0xc2, 0], // false
  [0xc3, 0], // true
  [0xca, 4], // float32
  [0xcb, 8], // float64
  [0xcc, 1], // uint8
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1], // int8
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
]);

/** Bytes of the length behind the tag of strings and binaries, by tag. */
const COUNTED: ReadonlyMap<number, number> = new Map([
  [0xc4, 1], // bin8
  [0xc5, 2],
  [0xc6, 4],
  [0xd9, 1], // str8
  [0xda, 2],
  [0xdb, 4],
]);

/** The offset behind the value at `at`; throws when there is no plain value within the depth. */
function skipValue(body: Buffer, at: number, depth: number): number {
  const tag = body[at];
  if (tag === undefined) throw truncated();
  if (tag <= 0x7f || tag >= 0xe0) return at + 1;
  if (tag <= 0x8f) return skipMap(body, at + 1, tag & 0x0f, depth);
  if (tag <= 0x9f) return skipArray(body, at + 1, tag & 0x0f, depth);
  if (tag <= 0xbf) return bounded(body, at + 1 + (tag & 0x1f));
  const fixed = FIXED.get(tag);
  if (fixed !== undefined) return bounded(body, at + 1 + fixed);
  const lengthBytes = COUNTED.get(tag);
  if (lengthBytes !== undefined) {
    const from = bounded(body, at + 1 + lengthBytes);
    return bounded(body, from + body.readUIntBE(at + 1, lengthBytes));
  }
  if (tag === 0xdc || tag === 0xde) {
    const from = bounded(body, at + 3);
    const count = body.readUInt16BE(at + 1);
    return tag === 0xdc ? skipArray(body, from, count, depth) : skipMap(body, from, count, depth);
  }
  if (tag === 0xdd || tag === 0xdf) {
    const from = bounded(body, at + 5);
    const count = body.readUInt32BE(at + 1);
    return tag === 0xdd ? skipArray(body, from, count, depth) : skipMap(body, from, count, depth);
  }
  throw new ProtocolError("bad-map", `a map holds 0x${tag.toString(16)}, which is not plain MessagePack`);
}

function skipArray(body: Buffer, at: number, count: number, depth: number): number {
  if (depth === 0) throw tooDeep();
  let offset = at;
  for (let i = 0; i < count; i++) offset = skipValue(body, offset, depth - 1);
  return offset;
}

function skipMap(body: Buffer, at: number, count: number, depth: number): number {
  if (depth === 0) throw tooDeep();
  let offset = at;
  for (let i = 0; i < count; i++) {
    if (offset >= body.length) throw truncated();
    if (!isTextTag(body[offset])) throw new ProtocolError("bad-map", "a map has a key that is not a string");
    offset = skipValue(body, skipValue(body, offset, depth - 1), depth - 1);
  }
  return offset;
}

function bounded(body: Buffer, offset: number): number {
  if (offset > body.length) throw truncated();
  return offset;
}

function truncated(): ProtocolError {
  return new ProtocolError("bad-map", "a map ends before it is complete");
}

function tooDeep(): ProtocolError {
  return new ProtocolError("bad-map", `a map is deeper than ${MAX_MAP_DEPTH} levels`);
}
