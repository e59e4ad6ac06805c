/** What a WebSocket client can say that is not true, or not allowed (RFC 6455, sections 5 and 8.1). */

/** The request, which is in order. */
export const UPGRADE = Buffer.from(
  [
    "GET / HTTP/1.1",
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "",
    "",
  ].join("\r\n"),
);

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9 } as const;

export interface FrameOptions {
  readonly opcode: number;
  readonly payload?: Buffer | string;
  /** Default true. */
  readonly fin?: boolean;
  /** The reserved bits, 0 to 7. */
  readonly reserved?: number;
  /** Default true, as a client must. */
  readonly masked?: boolean;
  /** What is announced as the payload's length; by default the truth. */
  readonly announced?: bigint;
}

const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);
const TWO_BYTES_FROM = 126n;
const EIGHT_BYTES_FROM = 65_536n;
/** The least that a flood is repeated from. */
const FLOOD_BYTES = 16_384;

/** One frame, true or not. */
export function frame({ opcode, payload = "", fin = true, reserved = 0, ...rest }: FrameOptions): Buffer {
  const { masked = true, announced } = rest;
  const bytes = Buffer.from(payload);
  const header = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode]);
  const length = lengthBytes(announced ?? BigInt(bytes.length), masked);
  if (!masked) return Buffer.concat([header, length, bytes]);
  const hidden = bytes.map((byte, i) => byte ^ (MASK[i % MASK.length] ?? 0));
  return Buffer.concat([header, length, MASK, hidden]);
}

function lengthBytes(length: bigint, masked: boolean): Buffer {
  const bit = masked ? 0x80 : 0;
  if (length < TWO_BYTES_FROM) return Buffer.from([bit | Number(length)]);
  if (length < EIGHT_BYTES_FROM) {
    const bytes = Buffer.from([bit | 126, 0, 0]);
    bytes.writeUInt16BE(Number(length), 1);
    return bytes;
  }
  const bytes = Buffer.alloc(9, bit | 127);
  bytes.writeBigUInt64BE(length, 1);
  return bytes;
}

/** Frames that end their client at once, by name. */
export const lies: Readonly<Record<string, Buffer>> = {
  unmasked: frame({ opcode: Opcode.binary, payload: "hello", masked: false }),
  "reserved-bits": frame({ opcode: Opcode.binary, payload: "hello", reserved: 7 }),
  "reserved-opcode": frame({ opcode: 3, payload: "hello" }),
  "reserved-control": frame({ opcode: 11, payload: "hello" }),
  "4-gib": frame({ opcode: Opcode.binary, payload: "hello", announced: 2n ** 32n }),
  "2-to-the-63": frame({ opcode: Opcode.binary, payload: "hello", announced: 2n ** 63n }),
  "fragmented-control": frame({ opcode: Opcode.ping, payload: "hello", fin: false }),
  "long-control": frame({ opcode: Opcode.ping, payload: Buffer.alloc(126) }),
  "not-utf-8": frame({ opcode: Opcode.text, payload: Buffer.from([0xc3, 0x28, 0xff]) }),
  "nothing-to-continue": frame({ opcode: Opcode.continuation, payload: "hello" }),
  "text-in-a-text": Buffer.concat([
    frame({ opcode: Opcode.text, payload: "hello", fin: false }),
    frame({ opcode: Opcode.text, payload: "hello" }),
  ]),
  "close-of-one-byte": frame({ opcode: Opcode.close, payload: Buffer.from([3]) }),
};

/** A frame that is longer than what comes of it. */
export const longerThanSent = frame({ opcode: Opcode.binary, payload: "hello", announced: 60_000n });

/** The first of fragments without end, and those that follow. */
export const firstFragment = frame({ opcode: Opcode.binary, payload: "hello", fin: false });
export const nextFragments = repeat(frame({ opcode: Opcode.continuation, payload: "h", fin: false }));
export const emptyFragments = repeat(frame({ opcode: Opcode.continuation, fin: false }));

export const pings = repeat(frame({ opcode: Opcode.ping, payload: "still there?" }));

/** The same again and again, whole, until it has so many bytes. */
export function repeat(bytes: Buffer, length = FLOOD_BYTES): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(length / bytes.length) }, () => bytes));
}
