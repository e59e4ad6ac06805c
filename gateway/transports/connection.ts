/**
 * One client's connection, whatever carries it. The gateway's core knows clients only as this: bytes in,
 * bytes out, and ways to end.
 */

/** Hears what comes of a connection. */
export interface ConnectionSink {
  /** The client sent `bytes[0..length)`. The buffer is the transport's and is used again after the call. */
  received(bytes: Buffer, length: number): void;
  /** The client has shut down its sending side; it may still be sent to. */
  finished(): void;
  /** The connection is gone. Called once, last, whoever ended it. */
  closed(error: NodeJS.ErrnoException | undefined): void;
}

export interface Connection {
  /** The client's address and port; empty and 0 where the transport has none. */
  readonly address: string;
  readonly port: number;
  /** Bytes written and not yet given to the kernel. */
  readonly queuedBytes: number;
  /**
   * Bytes that were written and never given to the kernel, known once the connection is gone. A write that
   * the kernel took in part counts whole.
   */
  readonly unsentBytes: number;

  /** Starts telling `sink`. Until then nothing is read. */
  open(sink: ConnectionSink): void;
  /**
   * Writes. Nothing is refused: who writes watches `queuedBytes`.
   *
   * @returns whether the caller may use the memory of `bytes` again; false while a write is under way
   */
  write(bytes: Buffer): boolean;
  /** Stops reading, until `resume`. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then shuts down the sending side. Reading goes on. */
  finish(): void;
  /** Ends the connection at once with a reset; what is queued is discarded. */
  reset(): void;
  /** Ends the connection at once without a reset where the client lets it; what is queued is discarded. */
  close(): void;
}
