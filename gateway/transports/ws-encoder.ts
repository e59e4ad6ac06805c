/**
 * How messages are written as WebSocket frames (RFC 6455, section 5). A server's frames are the same for every client,
 * so that a broadcast is encoded once; compressed ones too, because each message is compressed on its own
 * (RFC 7692, `server_no_context_takeover`).
 */

import { isUtf8 } from "node:buffer";
import { constants, deflateRawSync } from "node:zlib";
import type { Encoder } from "../framing/encoder.ts";

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Messages shorter than this are not worth compressing. */
const COMPRESS_FROM_BYTES = 1024;

/** What ends a flushed deflate stream, and is left out of a message (RFC 7692, section 7.2.1). */
const FLUSH_TAIL_BYTES = 4;

const FIN = 0x80;
const RSV1 = 0x40;
/** In place of a length: it follows, in two bytes or in eight. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** One frame, whole. */
export function frame(opcode: number, payload: Buffer, rsv1 = false): Buffer {
  const { length } = payload;
  const kind = length < LENGTH_16 ? length : length <= 0xffff ? LENGTH_16 : LENGTH_64;
  const start = kind === LENGTH_64 ? 10 : kind === LENGTH_16 ? 4 : 2;
  const bytes = Buffer.allocUnsafe(start + length);
  bytes[0] = FIN | (rsv1 ? RSV1 : 0) | opcode;
  bytes[1] = kind;
  if (kind === LENGTH_16) bytes.writeUInt16BE(length, 2);
  else if (kind === LENGTH_64) bytes.writeBigUInt64BE(BigInt(length), 2);
  payload.copy(bytes, start);
  return bytes;
}

function encoderOf(encode: (payload: Buffer) => Buffer): Encoder {
  return { maxPayloadBytes: Number.POSITIVE_INFINITY, encode };
}

/** What a client takes for text must be UTF-8: what is not goes as binary. */
function textOpcode(payload: Buffer): number {
  return isUtf8(payload) ? Opcode.text : Opcode.binary;
}

export const binaryEncoder = encoderOf((payload) => frame(Opcode.binary, payload));
export const textEncoder = encoderOf((payload) => frame(textOpcode(payload), payload));

function deflating(opcodeOf: (payload: Buffer) => number, windowBits: number): Encoder {
  return encoderOf((payload) => {
    if (payload.length < COMPRESS_FROM_BYTES) return frame(opcodeOf(payload), payload);
    const deflated = deflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH });
    return frame(opcodeOf(payload), deflated.subarray(0, -FLUSH_TAIL_BYTES), true);
  });
}

/** The two ways of writing to a client. */
export interface EncoderPair {
  readonly binary: Encoder;
  readonly text: Encoder;
}

export const plainEncoders: EncoderPair = { binary: binaryEncoder, text: textEncoder };

const deflatingByWindow = new Map<number, EncoderPair>();

/**
 * Encoders that compress. Clients with the same window share them, and with them what was compressed.
 *
 * @param windowBits 8 to 15, as agreed with the client
 */
export function deflatingEncoders(windowBits: number): EncoderPair {
  const known = deflatingByWindow.get(windowBits);
  if (known !== undefined) return known;
  const made = {
    binary: deflating(() => Opcode.binary, windowBits),
    text: deflating(textOpcode, windowBits),
  };
  deflatingByWindow.set(windowBits, made);
  return made;
}
