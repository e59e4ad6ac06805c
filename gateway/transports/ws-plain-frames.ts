/**
 * The frames that clients nearly always send: whole, masked, not compressed, of up to 64 KiB (RFC 6455, section 5.2). They
 * are read where they lie, so that a message costs no copy and an idle client no receiver. Whatever else there is, and
 * whatever breaks a rule, is left as it came to who reads all frames.
 */

import { isUtf8 } from "node:buffer";

/** FIN is set, RSV1 to RSV3 are not. */
const TEXT = 0x81;
const BINARY = 0x82;
const PING = 0x89;
const PONG = 0x8a;

const MASKED = 0x80;
const LENGTH_BITS = 0x7f;
/** In place of a length: two bytes of length follow. */
const LENGTH_16 = 126;
const MAX_CONTROL_BYTES = 125;
const MASK_BYTES = 4;

/** Hears what was read: `bytes[start..end)`, unmasked, valid during the call. */
export interface PlainFrameSink {
  /** @returns whether to go on */
  plainMessage(bytes: Buffer, start: number, end: number, isBinary: boolean): boolean;
  /** @returns whether to go on */
  plainControl(bytes: Buffer, start: number, end: number, isPing: boolean): boolean;
}

/**
 * Reads plain frames from the beginning of `bytes[start..end)`, which are unmasked in place, as long as `sink` wants more.
 *
 * @param maxPayloadBytes the longest message that is taken
 * @returns the offset behind the last frame that was read
 */
export function readPlainFrames(
  bytes: Buffer,
  start: number,
  end: number,
  maxPayloadBytes: number,
  sink: PlainFrameSink,
): number {
  let at = start;
  // The shortest frame is a header of two bytes and a mask.
  while (end - at >= 2 + MASK_BYTES) {
    const kind = bytes[at] ?? 0;
    const isControl = kind === PING || kind === PONG;
    if (!isControl && kind !== BINARY && kind !== TEXT) return at;
    const second = bytes[at + 1] ?? 0;
    let payloadBytes = second & LENGTH_BITS;
    let mask = at + 2;
    if (second < MASKED || payloadBytes > LENGTH_16) return at;
    if (payloadBytes === LENGTH_16) {
      payloadBytes = bytes.readUInt16BE(mask);
      mask += 2;
    }
    const payload = mask + MASK_BYTES;
    const frameEnd = payload + payloadBytes;
    if (frameEnd > end || payloadBytes > maxPayloadBytes) return at;
    if (isControl && payloadBytes > MAX_CONTROL_BYTES) return at;
    unmask(bytes, mask, payload, frameEnd);
    if (kind === TEXT && !isUtf8(bytes.subarray(payload, frameEnd))) {
      unmask(bytes, mask, payload, frameEnd);
      return at;
    }
    at = frameEnd;
    const goesOn = isControl
      ? sink.plainControl(bytes, payload, frameEnd, kind === PING)
      : sink.plainMessage(bytes, payload, frameEnd, kind === BINARY);
    if (!goesOn) return at;
  }
  return at;
}

/** Twice is as if never. */
function unmask(bytes: Buffer, mask: number, start: number, end: number): void {
  for (let i = start; i < end; i++) bytes[i] = (bytes[i] ?? 0) ^ (bytes[mask + ((i - start) & 3)] ?? 0);
}
