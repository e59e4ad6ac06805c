/** How a message is written for a client: with what prefix, terminator or frame header. */

export interface Encoder {
  /** The longest payload that can be written. */
  readonly maxPayloadBytes: number;
  /** The payload as it goes to a client: memory of its own, or the payload's where nothing is to be added. */
  encode(payload: Buffer): Buffer;
}
