/** What a framing is, whichever it is: bytes to messages for one client, and a payload to bytes. */

import type { Encoder } from "./encoder.ts";

/**
 * Takes one whole message, `bytes[start..end)`. The memory is valid during the call only: it is used again
 * for the next read.
 *
 * @returns false to stop behind this message: what follows is taken another time, or never
 */
export type MessageSink = (bytes: Buffer, start: number, end: number) => boolean;

/** What a client did wrong: a frame that can't be, or a message over the limit. */
export type FramingFault = "bad-frame" | "too-big";

/** Finds one client's messages in what it sends, cut at any byte. */
export interface MessageDecoder {
  /**
   * Takes what was read, `bytes[start..end)`, and hands on every message that it completes, as long as `sink` wants
   * more. Keeps no reference to `bytes`.
   *
   * @returns the offset behind what was taken: `end`, or that behind the message at which `sink` stopped, where the
   *   next call is to go on; or a fault, after which nothing is delivered any more
   */
  push(bytes: Buffer, start: number, end: number, sink: MessageSink): number | FramingFault;
  /** Bytes of a message under way that is not yet whole, its prefix included; 0 when none is. */
  readonly pendingBytes: number;
}

/** One way of telling messages apart in a stream of bytes: `encode` throws a RangeError for a payload too long. */
export interface Framing extends Encoder {
  readonly name: "none" | "u16be" | "u16le" | "u32be" | "u32le" | "line";
  /**
   * A decoder for one client; undefined for `none`, where every read is a message.
   *
   * @param maxMessageBytes the longest message accepted, without prefix or line end
   */
  decoder(maxMessageBytes: number): MessageDecoder | undefined;
  /** The longest payload that can be encoded, in bytes; Infinity when nothing in the framing bounds it. */
  readonly maxPayloadBytes: number;
}
