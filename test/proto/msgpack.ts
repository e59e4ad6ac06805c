/**
 * A second MessagePack encoder, written from the specification: what other languages may send, which the
 * codec's own encoder never would. Each value is written in its shortest form unless it says its own.
 */

/** MessagePack that is there already, such as a number in a form that is not its shortest. */
export class Raw {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

export type Packable =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Raw
  | readonly Packable[]
  | ReadonlyMap<string, Packable>
  | { readonly [key: string]: Packable };

/** The MessagePack of `value`. */
export function pack(value: Packable): Buffer {
  if (value instanceof Raw) return value.bytes;
  if (value === null) return Buffer.of(0xc0);
  if (typeof value === "boolean") return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === "number") return packNumber(value);
  if (typeof value === "string") return packText(value);
  if (value instanceof Uint8Array) return Buffer.concat([sized([0xc4, 0xc5, 0xc6], value.length), value]);
  if (Array.isArray(value)) {
    const items: readonly Packable[] = value;
    return Buffer.concat([sized([0x90, 0xdc, 0xdd], items.length, 15), ...items.map(pack)]);
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value as Record<string, Packable>);
  return packEntries(entries);
}

/** A map from its entries, which may repeat a key or have one that no object can have. */
export function packEntries(entries: readonly (readonly [Packable, Packable])[]): Buffer {
  const packed = entries.flatMap(([key, inner]) => [pack(key), pack(inner)]);
  return Buffer.concat([sized([0x80, 0xde, 0xdf], entries.length, 15), ...packed]);
}

function packText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 32) return Buffer.concat([Buffer.of(0xa0 | bytes.length), bytes]);
  return Buffer.concat([sized([0xd9, 0xda, 0xdb], bytes.length), bytes]);
}

function packNumber(value: number): Buffer {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) return float64(value);
  if (value >= 0 && value <= 0x7f) return Buffer.of(value);
  if (value < 0 && value >= -32) return Buffer.of(0x100 + value);
  if (value >= 0 && value <= 0xffffffff) return sized([0xcc, 0xcd, 0xce], value);
  const bytes = Buffer.alloc(9);
  bytes[0] = value >= 0 ? 0xcf : 0xd3;
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
}

/** A number as float64, whatever it is. */
export function float64(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0xcb;
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

/** A tag with its size: in the tag when it is at most `inTag`, else in 1, 2 or 4 bytes behind it. */
function sized(tags: readonly [number, number, number], size: number, inTag = -1): Buffer {
  const [small, medium, large] = tags;
  if (size <= inTag) return Buffer.of(small | size);
  if (size <= 0xff && inTag < 0) return Buffer.of(small, size);
  if (size <= 0xffff) return Buffer.of(medium, size >>> 8, size & 0xff);
  return Buffer.of(large, size >>> 24, (size >>> 16) & 0xff, (size >>> 8) & 0xff, size & 0xff);
}
