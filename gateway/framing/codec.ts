/** What a framing is, whichever it is: bytes to messages for one client, and a payload to bytes. */

import type { Encoder } from "./encoder.ts";

/**
 * Takes one whole message, `bytes[start..end)`. The memory is valid during the call only: it is used again
 * for the next read.
 *
 * @returns false to stop: the session has ended, and what follows is not delivered
 */
export type MessageSink = (bytes: Buffer, start: number, end: number) => boolean;

/** What a client did wrong: a frame that can't be, or a message over the limit. */
export type FramingFault = "bad-frame" | "too-big";

/** Finds one client's messages in what it sends, cut at any byte. */
export interface MessageDecoder {
  /**
   * Takes what was read, `bytes[0..length)`, and hands on every message that it completes. Keeps no
   * reference to `bytes`.
   *
   * @returns the fault, after which nothing is delivered any more; undefined when all is well
   */
  push(bytes: Buffer, length: number, sink: MessageSink): FramingFault | undefined;
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
