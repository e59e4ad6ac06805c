/**
 * What a manager says to a gateway: each frame written, and each frame read by the gateway
 * (docs/protocol.md, "Manager to gateway").
 */

import * as body from "./bodies.ts";
import { COUNT_BYTES, FromManager, NAME_LENGTH_BYTES, readCount, SESSION_BYTES } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { decodeMap, encodeMap } from "./map-body.ts";
import { namePrefix, readName } from "./names.ts";
import { ProtocolError } from "./protocol-error.ts";

const NOTHING = Buffer.alloc(0);

/** Writes the frames that a manager sends. */
export const toGateway = {
  /** So many numbered frames of the epoch were handled. */
  ack(batch: FrameWriter, frames: number): void {
    const body = Buffer.allocUnsafe(8);
    body.writeBigUInt64LE(BigInt(frames));
    batch.frame(FromManager.Ack, body);
  },
  message(batch: FrameWriter, session: number, payload: Buffer): void {
    batch.sessionFrame(FromManager.Msg, session, payload);
  },
  messageAll(batch: FrameWriter, payload: Uint8Array): void {
    batch.frame(FromManager.MsgAll, payload);
  },
  /** To each of `sessions`; so many and the payload must fit in one frame. */
  messageMany(batch: FrameWriter, sessions: ArrayLike<number>, payload: Uint8Array): void {
    batch.frame(FromManager.MsgMany, sessionList(sessions), payload);
  },
  /** @param user at most `MAX_NAME_BYTES` of UTF-8; empty: nobody any more */
  bind(batch: FrameWriter, session: number, user: string): void {
    batch.sessionFrame(FromManager.Bind, session, Buffer.from(user));
  },
  /** @param group 1 to `MAX_NAME_BYTES` of UTF-8 */
  addToGroup(batch: FrameWriter, session: number, group: string): void {
    batch.sessionFrame(FromManager.GroupAdd, session, Buffer.from(group));
  },
  /** @param group 1 to `MAX_NAME_BYTES` of UTF-8 */
  removeFromGroup(batch: FrameWriter, session: number, group: string): void {
    batch.sessionFrame(FromManager.GroupRemove, session, Buffer.from(group));
  },
  /** @param group 1 to `MAX_NAME_BYTES` of UTF-8 */
  messageGroup(batch: FrameWriter, group: string, payload: Uint8Array): void {
    batch.frame(FromManager.MsgGroup, namePrefix(group), payload);
  },
  /** @param user 1 to `MAX_NAME_BYTES` of UTF-8 */
  messageUser(batch: FrameWriter, user: string, payload: Uint8Array): void {
    batch.frame(FromManager.MsgUser, namePrefix(user), payload);
  },
  /** Without a body when `drop` has neither a reason nor a code. */
  drop(batch: FrameWriter, session: number, drop: body.Drop = {}): void {
    batch.sessionFrame(FromManager.Drop, session, optionalMap(drop));
  },
  dropDiscard(batch: FrameWriter, session: number, drop: body.Drop = {}): void {
    batch.sessionFrame(FromManager.DropDiscard, session, optionalMap(drop));
  },
  shutdown(batch: FrameWriter, shutdown: body.Shutdown = {}): void {
    batch.frame(FromManager.Shutdown, optionalMap(shutdown));
  },
  registered(batch: FrameWriter, registered: body.Registered): void {
    batch.frame(FromManager.Registered, encodeMap(registered));
  },
  rejected(batch: FrameWriter, rejected: body.Rejected): void {
    batch.frame(FromManager.Rejected, encodeMap(rejected));
  },
  challenge(batch: FrameWriter, challenge: body.Challenge): void {
    batch.frame(FromManager.Challenge, encodeMap(challenge));
  },
  pong(batch: FrameWriter, pong: body.Pong): void {
    batch.frame(FromManager.Pong, encodeMap(pong));
  },
  handoff(batch: FrameWriter, session: number, handoff: body.Handoff): void {
    batch.sessionFrame(FromManager.Handoff, session, encodeMap(handoff));
  },
  admit(batch: FrameWriter, session: number): void {
    batch.sessionFrame(FromManager.Admit, session, NOTHING);
  },
} as const;

function optionalMap(map: body.Drop | body.Shutdown): Buffer {
  return Object.values(map).some((value) => value !== undefined) ? encodeMap({ ...map }) : NOTHING;
}

/** How many sessions, and which. */
function sessionList(sessions: ArrayLike<number>): Buffer {
  const list = Buffer.allocUnsafe(COUNT_BYTES + SESSION_BYTES * sessions.length);
  list.writeUInt32LE(sessions.length);
  for (let i = 0; i < sessions.length; i++)
    list.writeUInt32LE(sessions[i] ?? 0, COUNT_BYTES + SESSION_BYTES * i);
  return list;
}

/** Takes what a manager said. Payloads lie in the reader's buffer: see FrameSink. */
export interface FromManagerHandler {
  /** The other side has handled so many numbered frames of the epoch. */
  ack(frames: number): void;
  message(session: number, bytes: Buffer, start: number, end: number): void;
  messageAll(bytes: Buffer, start: number, end: number): void;
  /** The sessions are the receiver's to keep. */
  messageMany(sessions: Uint32Array, bytes: Buffer, start: number, end: number): void;
  /** An empty name: the session is nobody's any more. */
  bind(session: number, user: string): void;
  addToGroup(session: number, group: string): void;
  removeFromGroup(session: number, group: string): void;
  messageGroup(group: string, bytes: Buffer, start: number, end: number): void;
  messageUser(user: string, bytes: Buffer, start: number, end: number): void;
  drop(session: number, drop: body.Drop): void;
  dropDiscard(session: number, drop: body.Drop): void;
  shutdown(shutdown: body.Shutdown): void;
  registered(registered: body.Registered): void;
  rejected(rejected: body.Rejected): void;
  challenge(challenge: body.Challenge): void;
  pong(pong: body.Pong): void;
  admit(session: number): void;
  handoff(session: number, handoff: body.Handoff): void;
}

/**
 * Reads one frame, its header checked already, and hands what it says to `handler`.
 *
 * @throws ProtocolError `bad-map` or `bad-body`; `unexpected-frame` for a type that has no place here
 */
export function readFromManager(
  handler: FromManagerHandler,
  type: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (type) {
    case FromManager.Msg:
      handler.message(bytes.readUInt32LE(start), bytes, start + SESSION_BYTES, end);
      return;
    case FromManager.MsgAll:
      handler.messageAll(bytes, start, end);
      return;
    case FromManager.MsgMany: {
      const sessions = readSessions(bytes, start, end);
      handler.messageMany(sessions, bytes, start + COUNT_BYTES + sessions.byteLength, end);
      return;
    }
    case FromManager.Bind:
      handler.bind(bytes.readUInt32LE(start), readUser(bytes, start + SESSION_BYTES, end));
      return;
    case FromManager.GroupAdd: {
      const group = readName(bytes, start + SESSION_BYTES, end, "GroupAdd's name");
      handler.addToGroup(bytes.readUInt32LE(start), group);
      return;
    }
    case FromManager.GroupRemove: {
      const group = readName(bytes, start + SESSION_BYTES, end, "GroupRemove's name");
      handler.removeFromGroup(bytes.readUInt32LE(start), group);
      return;
    }
    case FromManager.MsgGroup: {
      const at = nameEnd(bytes, start, end, "MsgGroup");
      handler.messageGroup(readName(bytes, start + NAME_LENGTH_BYTES, at, "MsgGroup's name"), bytes, at, end);
      return;
    }
    case FromManager.MsgUser: {
      const at = nameEnd(bytes, start, end, "MsgUser");
      handler.messageUser(readName(bytes, start + NAME_LENGTH_BYTES, at, "MsgUser's name"), bytes, at, end);
      return;
    }
    case FromManager.Drop:
      handler.drop(bytes.readUInt32LE(start), readDrop(bytes, start, end, "Drop"));
      return;
    case FromManager.DropDiscard:
      handler.dropDiscard(bytes.readUInt32LE(start), readDrop(bytes, start, end, "DropDiscard"));
      return;
    case FromManager.Shutdown:
      handler.shutdown(start === end ? {} : body.shutdown(decodeMap(bytes, start, end), "Shutdown"));
      return;
    case FromManager.Registered:
      handler.registered(body.registered(decodeMap(bytes, start, end), "Registered"));
      return;
    case FromManager.Rejected:
      handler.rejected(body.rejected(decodeMap(bytes, start, end), "Rejected"));
      return;
    case FromManager.Challenge:
      handler.challenge(body.challenge(decodeMap(bytes, start, end), "Challenge"));
      return;
    case FromManager.Pong:
      handler.pong(body.pong(decodeMap(bytes, start, end), "Pong"));
      return;
    case FromManager.Admit:
      handler.admit(bytes.readUInt32LE(start));
      return;
    case FromManager.Handoff: {
      const handoff = body.handoff(decodeMap(bytes, start + SESSION_BYTES, end), "Handoff");
      handler.handoff(bytes.readUInt32LE(start), handoff);
      return;
    }
    case FromManager.Ack:
      handler.ack(readCount(bytes, start));
      return;
    default:
      throw new ProtocolError("unexpected-frame", `frame type ${type} was not asked for`);
  }
}

function readDrop(bytes: Buffer, start: number, end: number, name: string): body.Drop {
  const at = start + SESSION_BYTES;
  return at === end ? {} : body.drop(decodeMap(bytes, at, end), name);
}

/** The sessions of a `MsgMany`: no more than there are in it. */
function readSessions(bytes: Buffer, start: number, end: number): Uint32Array {
  const first = start + COUNT_BYTES;
  const count = bytes.readUInt32LE(start);
  if (count * SESSION_BYTES > end - first) {
    const message = `MsgMany is for ${count} sessions, and ${end - first} bytes follow`;
    throw new ProtocolError("bad-body", message);
  }
  const sessions = new Uint32Array(count);
  for (let i = 0; i < count; i++) sessions[i] = bytes.readUInt32LE(first + SESSION_BYTES * i);
  return sessions;
}

function readUser(bytes: Buffer, start: number, end: number): string {
  return start === end ? "" : readName(bytes, start, end, "Bind's name");
}

/** The offset behind the name that a frame begins with. */
function nameEnd(bytes: Buffer, start: number, end: number, frame: string): number {
  const at = start + NAME_LENGTH_BYTES + bytes.readUInt8(start);
  if (at <= end) return at;
  throw new ProtocolError("bad-body", `${frame}'s name ends ${at - end} bytes behind the frame`);
}
