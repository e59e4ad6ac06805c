/** Close codes of WebSocket (RFC 6455, section 7.4), for each reason that a session or a handshake can end with. */

import { isUtf8 } from "node:buffer";
import type { EndReason } from "../../proto/bodies.ts";
import { isPassing } from "../guard/refusal.ts";
import type { Farewell } from "./connection.ts";
import type { FrameFault } from "./ws-frame-gathering.ts";

const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  invalidText: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
} as const;

/** What a close frame may say beside its code, bytes. */
const MAX_TEXT_BYTES = 123;

/** The code for each reason; docs/protocol.md, "Close codes". */
export const closeCodes: Readonly<Record<EndReason, number>> = {
  "client-closed": CloseCode.normal,
  "client-reset": CloseCode.normal,
  dropped: CloseCode.normal,
  "drop-discarded": CloseCode.normal,
  handoff: CloseCode.normal,
  shutdown: CloseCode.goingAway,
  idle: CloseCode.goingAway,
  "bad-frame": CloseCode.protocolError,
  "slow-consumer": CloseCode.policyViolation,
  "rate-limited": CloseCode.policyViolation,
  denied: CloseCode.policyViolation,
  replaced: CloseCode.policyViolation,
  "not-admitted": CloseCode.tryAgainLater,
  "too-big": CloseCode.tooBig,
  error: CloseCode.internalError,
  "manager-lost": CloseCode.serviceRestart,
};

/** Codes that a close frame must not bear, or that mean something that only an endpoint itself can know. */
function maySay(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999)
  );
}

/** The payload of the close frame that says `farewell`. */
export function closePayload({ reason, code, text }: Farewell): Buffer {
  const refused = isPassing(reason) ? CloseCode.tryAgainLater : CloseCode.policyViolation;
  const known = closeCodes[reason as EndReason] ?? refused;
  const words = Buffer.from(cutText(text ?? (known === CloseCode.normal ? "" : reason)));
  const payload = Buffer.alloc(2 + words.length);
  payload.writeUInt16BE(code !== undefined && maySay(code) ? code : known);
  words.copy(payload, 2);
  return payload;
}

/** What a client did wrong. */
export type WebSocketFault = FrameFault | "bad-text";

const faultCodes: Readonly<Record<WebSocketFault, number>> = {
  "bad-frame": CloseCode.protocolError,
  "bad-text": CloseCode.invalidText,
  "too-many-frames": CloseCode.policyViolation,
  "too-big": CloseCode.tooBig,
};

/** The code of what a client did wrong. */
export function faultCode(fault: WebSocketFault): number {
  return faultCodes[fault];
}

/** What the payload of a client's close frame says: its code, none, or something that it must not. */
export function readClosePayload(payload: Buffer): number | "none" | WebSocketFault {
  if (payload.length === 0) return "none";
  if (payload.length < 2) return "bad-frame";
  const code = payload.readUInt16BE();
  if (!maySay(code)) return "bad-frame";
  return isUtf8(payload.subarray(2)) ? code : "bad-text";
}

/** A text's longest beginning that fits and splits no character. */
function cutText(text: string): string {
  let bytes = 0;
  let end = 0;
  for (const character of text.toWellFormed()) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_TEXT_BYTES) break;
    end += character.length;
  }
  return text.toWellFormed().slice(0, end);
}
