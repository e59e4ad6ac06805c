/**
 * What honest clients say and hear. A message of a client's own is numbered, so that an echo that is lost, doubled or
 * somebody else's is seen; a broadcast begins otherwise, so that a stream can be told apart without a framing.
 */

/** The length of a client's message, bytes. */
export const MESSAGE_BYTES = 64;
/** The length of a broadcast: the longest that a frame with a length of 16 bits can say. */
export const BROADCAST_BYTES = 65_535;

const OWN = 1;
const BROADCAST = 2;

/** The message of a client with this number. */
export function makeMessage(client: number, count: number): Buffer {
  const message = Buffer.alloc(MESSAGE_BYTES, client & 0xff);
  message.writeUInt8(OWN, 0);
  message.writeUInt32BE(client, 1);
  message.writeUInt32BE(count, 5);
  return message;
}

export function makeBroadcast(): Buffer {
  return Buffer.alloc(BROADCAST_BYTES, BROADCAST);
}

/** Whether a whole message is a broadcast. */
export function isBroadcast(message: Buffer): boolean {
  return message.length === BROADCAST_BYTES && message[0] === BROADCAST;
}

/** Cuts a stream into messages, with or without a length of 16 bits before each. */
export class MessageReader {
  readonly #prefixBytes: 0 | 2;
  #kept: Buffer = Buffer.alloc(0);

  constructor(prefixBytes: 0 | 2) {
    this.#prefixBytes = prefixBytes;
  }

  /** @throws Error for bytes that nobody has sent */
  read(bytes: Buffer, take: (message: Buffer) => void): void {
    let rest = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    while (rest.length > this.#prefixBytes) {
      const end = this.#prefixBytes + this.#lengthOf(rest);
      if (rest.length < end) break;
      take(rest.subarray(this.#prefixBytes, end));
      rest = rest.subarray(end);
    }
    this.#kept = Buffer.from(rest);
  }

  #lengthOf(bytes: Buffer): number {
    if (this.#prefixBytes === 2) return bytes.readUInt16BE();
    if (bytes[0] === OWN) return MESSAGE_BYTES;
    if (bytes[0] === BROADCAST) return BROADCAST_BYTES;
    throw new Error("a client has received what nobody has sent");
  }
}

/** A message with a length of 16 bits before it. */
export function withLength(message: Buffer): Buffer {
  const framed = Buffer.alloc(2 + message.length);
  framed.writeUInt16BE(message.length);
  message.copy(framed, 2);
  return framed;
}
