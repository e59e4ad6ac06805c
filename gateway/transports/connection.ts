/**
 * One client, whatever carries it: at first an arrival, accepted and nothing more; once its handshake is
 * through, a connection. The gateway's core knows clients only as these: bytes or messages in, bytes out, and
 * ways to end.
 */

import type { Encoder } from "../framing/encoder.ts";
import type { Refusal } from "../guard/refusal.ts";
import type { ClientDetails } from "./details.ts";

/** What a transport finds wrong in what a client sends. */
export type TransportFault = "bad-frame" | "too-big";

/** Hears what comes of a client. */
export interface ConnectionSink {
  /**
   * The handshake has told the client's real address. Only for an arrival that had none.
   *
   * @returns why the client is not let in; the transport then turns it away
   */
  identified(address: string, port: number): Refusal | undefined;
  /**
   * The handshake brought a ticket.
   *
   * @returns why the client is not let in; the transport then turns it away
   */
  presented(ticket: string): Refusal | undefined;
  /** The handshake has failed, and the client is being turned away; `closed` follows. */
  failed(refusal: Refusal): void;
  /** The handshake is through. Nothing was received before; reading begins afterwards, unless it was paused. */
  established(connection: Connection): void;
  /**
   * The client sent `bytes[start..end)`: a whole message where the transport has messages, whatever was read
   * where it has none. The memory is the transport's and is used again after the call.
   */
  received(bytes: Buffer, start: number, end: number): void;
  /** The client sent something that is no message, such as a ping, of so many bytes. */
  control(bytes: number): void;
  /** What the client sends breaks the transport's rules; nothing more of it will be received. */
  faulted(fault: TransportFault): void;
  /**
   * The client has shut down its sending side, or is gone, while this side has paused it: what it said before is yet to be
   * received, and then `finished`, or `closed`, is told. May be told several times.
   */
  leaving(gone: boolean): void;
  /** The client has shut down its sending side; it may still be sent to. */
  finished(): void;
  /** The client has said that it goes: nothing more is received, and what is queued is sent when it is finished. */
  left(): void;
  /** The client is gone. Called once, last, whoever ended it. */
  closed(error: NodeJS.ErrnoException | undefined): void;
}

/** What can be ended at once; what is queued is discarded. */
export interface Endable {
  /** With a reset, where the transport has one. */
  reset(): void;
  /** Without a reset, where the client lets it. */
  close(): void;
}

/** A client that was accepted; nothing was read from it. */
export interface Arrival extends Endable {
  /** The client's address; undefined while only the handshake can tell it, and empty where there is none. */
  readonly address: string | undefined;
  readonly port: number;
  /** The number of its file descriptor, the lowest that was free; undefined where it is not known. */
  readonly descriptor: number | undefined;
  /** It was gone before it was accepted, and is counted as this; it is not opened. */
  readonly goneAs?: Refusal;
  /** Begins the handshake, if the transport has one, and from here on tells `sink`. */
  open(sink: ConnectionSink): void;
}

/** How a connection is ended in good order: for transports that can say why. */
export interface Farewell {
  /** Why, as docs/protocol.md names it, or a refusal's name. */
  readonly reason: string;
  /** The close code and text that the manager wants said. */
  readonly code?: number | undefined;
  readonly text?: string | undefined;
}

export interface Connection extends Endable {
  readonly details: ClientDetails;
  /** How messages are written for this client at the moment; undefined: as they are. */
  readonly encoder: Encoder | undefined;
  /** Bytes written and not yet given to the kernel. */
  readonly queuedBytes: number;
  /**
   * Bytes that were written and never given to the kernel, known once the connection is gone. A write that
   * the kernel took in part counts whole.
   */
  readonly unsentBytes: number;
  /** Bytes received of a message that is not whole yet. */
  readonly pendingBytes: number;

  /**
   * Writes what `encoder` made. Nothing is refused: who writes watches `queuedBytes`.
   *
   * @returns whether the caller may use the memory of `bytes` again; false while a write is under way
   */
  write(bytes: Buffer): boolean;
  /** Asks the client for a sign of life, where the transport can. */
  ping(): void;
  /**
   * Receives nothing, until `resume`: not even the next of many messages of one read.
   *
   * @param watched its end is told of all the same, as `leaving`: where only reading shows that, a little is read
   */
  pause(watched?: boolean): void;
  resume(): void;
  /** Finds out whether a client that is paused is gone, where nothing tells of that; `leaving` or `closed` follows. */
  lookForEnd(): void;
  /** Sends what is queued, says farewell, then shuts down the sending side. Reading goes on. */
  finish(farewell: Farewell): void;
}
