/**
 * What a peer can do wrong on the link. A protocol error is always the peer's fault and always fatal to the
 * link; a fault of our own is an ordinary Error. The codes are stable and listed in docs/errors.md.
 */

export type ProtocolErrorCode =
  | "unknown-type"
  | "frame-too-big"
  | "bad-length"
  | "bad-map"
  | "bad-body"
  | "unexpected-frame"
  | "bad-ack";

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;

  /**
   * @param code which rule was broken; stable, see docs/errors.md
   * @param message what was received and what was expected, for the log
   */
  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
