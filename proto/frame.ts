/**
 * The frame that everything on the link travels in, and the numbers of its types
 * (docs/protocol.md, "Frame"). Types are numbered per direction.
 */

import { ProtocolError } from "./protocol-error.ts";

/** Bytes before `data`: u32 type, u32 data_len, both little-endian. */
export const HEADER_BYTES = 8;

/** Bytes of the session id that session frames begin with. */
export const SESSION_BYTES = 4;

/** Bytes of the count that a `MsgMany` begins with. */
export const COUNT_BYTES = 4;

/** Bytes of the length before the name that a `MsgGroup` or `MsgUser` begins with. */
export const NAME_LENGTH_BYTES = 1;

/** The longest map body, whatever `maxFrame` is. */
export const MAX_MAP_BYTES = 64 * 1024;

/** `maxFrame` before registration has told the receiver's own, and the least it may be set to. */
export const MIN_MAX_FRAME = 64 * 1024;

/** `maxFrame` unless it is set. */
export const DEFAULT_MAX_FRAME = 1024 * 1024;

/** The most that `maxFrame` may be set to. */
export const MAX_MAX_FRAME = 256 * 1024 * 1024;

/** The version of the protocol, stated in `Register`. */
export const PROTOCOL_VERSION = 1;

/** Frame types that a gateway sends. */
export const FromGateway = {
  CLJoin: 0,
  CLDisconnected: 1,
  Msg: 2,
  Ping: 3,
  Register: 16,
  Proof: 17,
  Listening: 18,
  Ack: 19,
  Draining: 20,
  BindRefused: 32,
  HandoffRefused: 33,
} as const;

/** Frame types that a manager sends. */
export const FromManager = {
  Msg: 0,
  MsgAll: 1,
  Drop: 2,
  DropDiscard: 3,
  Shutdown: 4,
  Registered: 16,
  Rejected: 17,
  Challenge: 18,
  Ack: 19,
  Pong: 20,
  MsgMany: 32,
  Bind: 33,
  GroupAdd: 34,
  GroupRemove: 35,
  MsgGroup: 36,
  MsgUser: 37,
  Handoff: 38,
  Admit: 39,
} as const;

/** Whether a gateway's frame is numbered: kept until the manager acknowledges it. */
export function isNumberedFromGateway(type: number): boolean {
  return type <= FromGateway.Msg || type >= FIRST_LATER_TYPE;
}

/** Whether a manager's frame is numbered: kept until the gateway acknowledges it. */
export function isNumberedFromManager(type: number): boolean {
  return type <= FromManager.Shutdown || type >= FIRST_LATER_TYPE;
}

/** The frames that came with later versions of the original system are all numbered, both ways. */
const FIRST_LATER_TYPE = 32;

/**
 * A count of frames, u64.
 *
 * @throws ProtocolError `bad-ack` for more than there can be
 */
export function readCount(bytes: Buffer, at: number): number {
  const count = bytes.readBigUInt64LE(at);
  if (count > BigInt(Number.MAX_SAFE_INTEGER))
    throw new ProtocolError("bad-ack", `an Ack for ${count} frames`);
  return Number(count);
}

/** The least and the most bytes of `data` that a frame type may have. */
export interface BodyBounds {
  readonly name: string;
  readonly min: number;
  /** `Infinity`: bounded by `maxFrame` alone. */
  readonly max: number;
}

/** A frame whose body is one map, after `before` bytes. */
function map(name: string, before = 0): BodyBounds {
  return { name, min: before + 1, max: before + MAX_MAP_BYTES };
}

/** A frame whose body is one map, or nothing, after `before` bytes. */
function optionalMap(name: string, before = 0): BodyBounds {
  return { name, min: before, max: before + MAX_MAP_BYTES };
}

function payload(name: string, before = 0): BodyBounds {
  return { name, min: before, max: Number.POSITIVE_INFINITY };
}

/** The bounds of what a gateway sends, by type. */
export const fromGatewayBounds: ReadonlyMap<number, BodyBounds> = new Map([
  [FromGateway.CLJoin, map("CLJoin", SESSION_BYTES)],
  [FromGateway.CLDisconnected, map("CLDisconnected", SESSION_BYTES)],
  [FromGateway.Msg, payload("Msg", SESSION_BYTES)],
  [FromGateway.Ping, map("Ping")],
  [FromGateway.Register, map("Register")],
  [FromGateway.Proof, map("Proof")],
  [FromGateway.Listening, map("Listening")],
  [FromGateway.Ack, { name: "Ack", min: 8, max: 8 }],
  [FromGateway.Draining, map("Draining")],
  [FromGateway.BindRefused, payload("BindRefused", SESSION_BYTES)],
  [FromGateway.HandoffRefused, map("HandoffRefused", SESSION_BYTES)],
]);

/** The bounds of what a manager sends, by type. */
export const fromManagerBounds: ReadonlyMap<number, BodyBounds> = new Map([
  [FromManager.Msg, payload("Msg", SESSION_BYTES)],
  [FromManager.MsgAll, payload("MsgAll")],
  [FromManager.Drop, optionalMap("Drop", SESSION_BYTES)],
  [FromManager.DropDiscard, optionalMap("DropDiscard", SESSION_BYTES)],
  [FromManager.Shutdown, optionalMap("Shutdown")],
  [FromManager.Registered, map("Registered")],
  [FromManager.Rejected, map("Rejected")],
  [FromManager.Challenge, map("Challenge")],
  [FromManager.Ack, { name: "Ack", min: 8, max: 8 }],
  [FromManager.Pong, map("Pong")],
  [FromManager.MsgMany, payload("MsgMany", COUNT_BYTES)],
  [FromManager.Bind, payload("Bind", SESSION_BYTES)],
  [FromManager.GroupAdd, payload("GroupAdd", SESSION_BYTES)],
  [FromManager.GroupRemove, payload("GroupRemove", SESSION_BYTES)],
  [FromManager.MsgGroup, payload("MsgGroup", NAME_LENGTH_BYTES)],
  [FromManager.MsgUser, payload("MsgUser", NAME_LENGTH_BYTES)],
  [FromManager.Handoff, map("Handoff", SESSION_BYTES)],
  [FromManager.Admit, { name: "Admit", min: SESSION_BYTES, max: SESSION_BYTES }],
]);

/**
 * Checks a header against the bounds of its type, before any of the body is kept.
 *
 * @param bounds the types that the peer may send
 * @param type the frame's type
 * @param length `data_len`, bytes
 * @param maxFrame the receiver's own bound, bytes of `data`
 * @throws ProtocolError `unknown-type`, `frame-too-big` or `bad-length`
 */
export function checkHeader(
  bounds: ReadonlyMap<number, BodyBounds>,
  type: number,
  length: number,
  maxFrame: number,
): void {
  const bound = bounds.get(type);
  if (bound === undefined) {
    throw new ProtocolError("unknown-type", `frame type ${type} is not one that this side may be sent`);
  }
  if (bound.min === bound.max && length !== bound.min) {
    throw new ProtocolError("bad-length", `${bound.name} of ${length} bytes must have ${bound.min}`);
  }
  if (length > maxFrame || length > bound.max) {
    const limit = Math.min(maxFrame, bound.max);
    throw new ProtocolError(
      "frame-too-big",
      `${bound.name} of ${length} bytes is over the limit of ${limit}`,
    );
  }
  if (length < bound.min) {
    throw new ProtocolError(
      "bad-length",
      `${bound.name} of ${length} bytes is under its least length of ${bound.min}`,
    );
  }
}
