/** What frames are appended to: the writers of both directions need no more of it. */

export interface FrameWriter {
  /** Appends a frame whose data is `body` and `tail`, which are copied. */
  frame(type: number, body: Uint8Array, tail?: Uint8Array): void;
  /** Appends a frame whose data is a session id and `bytes[start..end)`, which are copied. */
  sessionFrame(type: number, session: number, bytes?: Buffer, start?: number, end?: number): void;
}
