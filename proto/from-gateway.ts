/**
 * What a gateway says to its manager: each frame written, and each frame read by the manager
 * (docs/protocol.md, "Gateway to manager").
 */

import * as body from "./bodies.ts";
import { FromGateway, readCount, SESSION_BYTES } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { decodeMap, encodeMap } from "./map-body.ts";
import { readName } from "./names.ts";
import { ProtocolError } from "./protocol-error.ts";

/** Writes the frames that a gateway sends. */
export const toManager = {
  /** So many numbered frames of the epoch were handled. */
  ack(batch: FrameWriter, frames: number): void {
    const body = Buffer.allocUnsafe(8);
    body.writeBigUInt64LE(BigInt(frames));
    batch.frame(FromGateway.Ack, body);
  },
  join(batch: FrameWriter, session: number, join: body.Join): void {
    batch.sessionFrame(FromGateway.CLJoin, session, encodeMap(join));
  },
  disconnected(batch: FrameWriter, session: number, end: body.Disconnected): void {
    batch.sessionFrame(FromGateway.CLDisconnected, session, encodeMap(end));
  },
  /** The payload is `bytes[start..end)`; it is copied. */
  message(batch: FrameWriter, session: number, bytes: Buffer, start: number, end: number): void {
    batch.sessionFrame(FromGateway.Msg, session, bytes, start, end);
  },
  ping(batch: FrameWriter, ping: body.Ping): void {
    batch.frame(FromGateway.Ping, encodeMap(ping));
  },
  register(batch: FrameWriter, register: body.Register): void {
    batch.frame(FromGateway.Register, encodeMap(register));
  },
  proof(batch: FrameWriter, proof: body.Proof): void {
    batch.frame(FromGateway.Proof, encodeMap(proof));
  },
  listening(batch: FrameWriter, endpoints: readonly body.Endpoint[]): void {
    batch.frame(FromGateway.Listening, encodeMap({ endpoints }));
  },
  draining(batch: FrameWriter, draining: body.Draining): void {
    batch.frame(FromGateway.Draining, encodeMap(draining));
  },
  /** @param user 1 to `MAX_NAME_BYTES` of UTF-8 */
  bindRefused(batch: FrameWriter, session: number, user: string): void {
    batch.sessionFrame(FromGateway.BindRefused, session, Buffer.from(user));
  },
  handoffRefused(batch: FrameWriter, session: number, refused: body.HandoffRefused): void {
    batch.sessionFrame(FromGateway.HandoffRefused, session, encodeMap(refused));
  },
} as const;

/** Bytes of `data` that the `CLJoin` of a session takes. A receiver takes `MAX_MAP_BYTES` of map, and its `maxFrame` in all. */
export function joinBytes(join: body.Join): number {
  return SESSION_BYTES + encodeMap(join).length;
}

/** Reads the map of a `CLJoin`, whose data is `bytes[start..end)`. */
export function readJoin(bytes: Buffer, start: number, end: number): body.Join {
  return body.join(decodeMap(bytes, start + SESSION_BYTES, end), "CLJoin");
}

/** Takes what a gateway said. Payloads lie in the reader's buffer: see FrameSink. */
export interface FromGatewayHandler {
  /** The other side has handled so many numbered frames of the epoch. */
  ack(frames: number): void;
  join(session: number, join: body.Join): void;
  disconnected(session: number, end: body.Disconnected): void;
  message(session: number, bytes: Buffer, start: number, end: number): void;
  ping(ping: body.Ping): void;
  register(register: body.Register): void;
  proof(proof: body.Proof): void;
  listening(listening: body.Listening): void;
  draining(draining: body.Draining): void;
  /** The session was not bound to this user, and is bound to nobody. */
  bindRefused(session: number, user: string): void;
  /** The session was not handed over, and stays where it is. */
  handoffRefused(session: number, refused: body.HandoffRefused): void;
}

/**
 * Reads one frame, its header checked already, and hands what it says to `handler`.
 *
 * @throws ProtocolError `bad-map` or `bad-body`; `unexpected-frame` for a type that has no place here
 */
export function readFromGateway(
  handler: FromGatewayHandler,
  type: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (type) {
    case FromGateway.Msg:
      handler.message(bytes.readUInt32LE(start), bytes, start + SESSION_BYTES, end);
      return;
    case FromGateway.CLJoin:
      handler.join(bytes.readUInt32LE(start), readJoin(bytes, start, end));
      return;
    case FromGateway.CLDisconnected: {
      const ended = body.disconnected(decodeMap(bytes, start + SESSION_BYTES, end), "CLDisconnected");
      handler.disconnected(bytes.readUInt32LE(start), ended);
      return;
    }
    case FromGateway.Ping:
      handler.ping(body.ping(decodeMap(bytes, start, end), "Ping"));
      return;
    case FromGateway.Register:
      handler.register(body.register(decodeMap(bytes, start, end), "Register"));
      return;
    case FromGateway.Proof:
      handler.proof(body.proof(decodeMap(bytes, start, end), "Proof"));
      return;
    case FromGateway.Listening:
      handler.listening(body.listening(decodeMap(bytes, start, end), "Listening"));
      return;
    case FromGateway.Draining:
      handler.draining(body.draining(decodeMap(bytes, start, end), "Draining"));
      return;
    case FromGateway.BindRefused: {
      const user = readName(bytes, start + SESSION_BYTES, end, "BindRefused's name");
      handler.bindRefused(bytes.readUInt32LE(start), user);
      return;
    }
    case FromGateway.HandoffRefused: {
      const at = start + SESSION_BYTES;
      const refused = body.handoffRefused(decodeMap(bytes, at, end), "HandoffRefused");
      handler.handoffRefused(bytes.readUInt32LE(start), refused);
      return;
    }
    case FromGateway.Ack:
      handler.ack(readCount(bytes, start));
      return;
    default:
      throw new ProtocolError("unexpected-frame", `frame type ${type} was not asked for`);
  }
}
