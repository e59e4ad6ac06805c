/** One client's bytes, in and out, whoever moves them: Node (socket-channel.ts), or the poller (polled-channel.ts). */

import type { Endable } from "./connection.ts";

/** Hears what comes of a channel. */
export interface ChannelSink {
  /** `bytes[start..end)` was read. The memory is used again after the call. */
  received(bytes: Buffer, start: number, end: number): void;
  /** The client has shut down its sending side. */
  peerFinished(): void;
  /** Likewise, while this side is paused: what it said before is yet to be read. May be told several times. */
  peerFinishing(): void;
  /** The channel is gone. Called once, last, in a turn of its own, whoever ended it. */
  gone(error: NodeJS.ErrnoException | undefined): void;
}

export interface Channel extends Endable {
  /** Set before anything is read. */
  sink: ChannelSink | undefined;
  /** The number of its file descriptor; undefined where it is not known. */
  readonly descriptor: number | undefined;
  /** Whether it tells of the client's end also while it is paused: `sink.leaving`, or `sink.gone`. */
  readonly tellsOfEnds: boolean;
  /** Whether a client that has shut down its sending side may still want to be sent something. */
  readonly halfCloses: boolean;
  /** Bytes written and not yet given to the kernel. */
  readonly queuedBytes: number;
  /** @returns whether the caller may use the memory of `bytes` again; false while a write is under way */
  write(bytes: Buffer): boolean;
  /** Stops reading. Nothing is read before the first `resume`. */
  pause(): void;
  resume(): void;
  /** Finds out, while it is paused, whether the client is gone, if nothing tells of that; `sink.gone` follows. */
  lookForEnd(): void;
  /**
   * Sends what is queued, then shuts down the sending side. Reading goes on.
   *
   * @param closes whether the client's end is not waited for: the channel is closed behind that
   */
  finish(closes?: boolean): void;
}
