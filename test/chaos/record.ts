/**
 * What clients and managers say in a chaos run: records that tell who sent them, to whom, as which in a row, and whether
 * they came through unharmed. A record says its own length, so that it is found again in a stream without framing.
 */

import { crc32 } from "node:zlib";

/** What a record is. */
export const Kind = {
  /** From a client to its manager. */
  toManager: 1,
  /** The client's last: the manager is to end the session. */
  bye: 2,
  /** From a manager to one client. */
  toClient: 3,
  /** From a manager to all, to a group, to a user, and to some that it names. */
  toAll: 4,
  toGroup: 5,
  toUser: 6,
  toMany: 7,
  /** From a manager to the one that it hands a client to. */
  handoff: 8,
} as const;

/** Where the parts of a record lie. The checksum covers all that is behind it. */
const LENGTH_AT = 0;
const CHECKSUM_AT = 4;
const KIND_AT = 8;
const SENDER_AT = 9;
const RECEIVER_AT = 13;
const SEQ_AT = 17;
const HEARD_FROM_AT = 21;
const HEARD_AT = 25;
const BODY_AT = 29;

/** Longer than any record: a length beyond it is none. */
const MAX_RECORD_BYTES = 1024 * 1024;

export interface RecordHead {
  readonly kind: number;
  /** A client's number, or that of the manager's incarnation. */
  readonly sender: number;
  /** The same, or a group's number or a user's; 0 in what goes to all or to many. */
  readonly receiver: number;
  /** Counts from 1 what the sender has sent to the receiver. */
  readonly seq: number;
  /** The `seq` that the sender had heard last, and from which incarnation: so nobody is sent more than it takes. */
  readonly heardFrom: number;
  readonly heard: number;
}

/** Bodies are cut from here: their bytes tell their places. */
const POOL = Buffer.alloc(2 * MAX_RECORD_BYTES);
for (let i = 0; i + 4 <= POOL.length; i += 4) POOL.writeUInt32LE(Math.imul(i + 1, 0x9e3779b1) >>> 0, i);

/** The bytes of a record with a body of `bodyBytes`. */
export function writeRecord(head: RecordHead, bodyBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(BODY_AT + bodyBytes);
  bytes.writeUInt32BE(bytes.length, LENGTH_AT);
  bytes.writeUInt8(head.kind, KIND_AT);
  bytes.writeUInt32BE(head.sender, SENDER_AT);
  bytes.writeUInt32BE(head.receiver, RECEIVER_AT);
  bytes.writeUInt32BE(head.seq, SEQ_AT);
  bytes.writeUInt32BE(head.heardFrom, HEARD_FROM_AT);
  bytes.writeUInt32BE(head.heard, HEARD_AT);
  const from = Math.imul(head.seq, 7919) & (MAX_RECORD_BYTES - 1);
  POOL.copy(bytes, BODY_AT, from, from + bodyBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(KIND_AT)), CHECKSUM_AT);
  return bytes;
}

/** Reads a record that is all of `bytes`; undefined when it is harmed. */
export function readRecord(bytes: Buffer): RecordHead | undefined {
  if (bytes.length < BODY_AT || bytes.readUInt32BE(LENGTH_AT) !== bytes.length) return undefined;
  if (crc32(bytes.subarray(KIND_AT)) !== bytes.readUInt32BE(CHECKSUM_AT)) return undefined;
  return {
    kind: bytes.readUInt8(KIND_AT),
    sender: bytes.readUInt32BE(SENDER_AT),
    receiver: bytes.readUInt32BE(RECEIVER_AT),
    seq: bytes.readUInt32BE(SEQ_AT),
    heardFrom: bytes.readUInt32BE(HEARD_FROM_AT),
    heard: bytes.readUInt32BE(HEARD_AT),
  };
}

/** Finds records in a stream, or messages that stand behind a prefix of their length. */
export class RecordSplitter {
  readonly #prefixBytes: number;
  readonly #found: (bytes: Buffer) => void;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** No record is whole with fewer bytes than this. */
  #needed: number;
  /** The stream makes no sense any more. */
  broken = false;

  /**
   * @param framed whether each record stands behind its length, u32be, which does not count itself
   * @param found takes each piece that should be a record
   */
  constructor(framed: boolean, found: (bytes: Buffer) => void) {
    this.#prefixBytes = framed ? 4 : 0;
    this.#found = found;
    this.#needed = 4;
  }

  /** Bytes of a record that is not whole. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The beginning of a record that is not whole. */
  get held(): Buffer {
    return Buffer.concat(this.#held);
  }

  /** Takes what was read; it is kept. */
  push(bytes: Buffer): void {
    if (this.broken) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes < this.#needed) return;
    let rest = this.#held.length === 1 ? bytes : Buffer.concat(this.#held);
    for (;;) {
      this.#needed = rest.length < 4 ? 4 : rest.readUInt32BE(0) + this.#prefixBytes;
      if (rest.length >= 4 && (this.#needed < BODY_AT || this.#needed > MAX_RECORD_BYTES)) {
        this.broken = true;
        this.#found(rest.subarray(0, BODY_AT));
        return;
      }
      if (rest.length < this.#needed || rest.length < 4) break;
      this.#found(rest.subarray(this.#prefixBytes, this.#needed));
      rest = rest.subarray(this.#needed);
    }
    this.#held = rest.length > 0 ? [rest] : [];
    this.#heldBytes = rest.length;
  }
}
