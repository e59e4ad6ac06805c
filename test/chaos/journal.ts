/**
 * What a manager of a chaos run has done and heard, in order, for whoever checks it: told at once, or by way of a file
 * that outlives the manager's process, however that ends. (What was written to a file stays when its process is killed.)
 */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";

export interface Journal {
  joined(session: Session): void;
  message(session: number, payload: Buffer): void;
  left(session: number, end: SessionEnd): void;
  /** The gateway listens: it has told all that it holds. */
  up(): void;
  /** A record is about to be sent to a session, or to all. */
  sends(session: number, seq: number): void;
  sendsAll(seq: number): void;
  /** A session is about to be dropped. */
  drops(session: number): void;
}

const entryKinds = ["joined", "message", "left", "up", "sends", "sendsAll", "drops"] as const;

/** An entry's kind, how long it is behind this head, and the session. */
const HEAD_BYTES = 9;
const NO_BYTES = Buffer.alloc(0);

/** Writes a journal to a file; each entry is there when the call returns. */
export class FileJournal implements Journal {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  joined(session: Session): void {
    this.#write("joined", session.id, Buffer.from(JSON.stringify(session)));
  }

  message(session: number, payload: Buffer): void {
    this.#write("message", session, payload);
  }

  left(session: number, end: SessionEnd): void {
    this.#write("left", session, Buffer.from(JSON.stringify(end)));
  }

  up(): void {
    this.#write("up", 0, NO_BYTES);
  }

  sends(session: number, seq: number): void {
    this.#write("sends", session, number(seq));
  }

  sendsAll(seq: number): void {
    this.#write("sendsAll", 0, number(seq));
  }

  drops(session: number): void {
    this.#write("drops", session, NO_BYTES);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(kind: (typeof entryKinds)[number], session: number, bytes: Buffer): void {
    const entry = Buffer.allocUnsafe(HEAD_BYTES + bytes.length);
    entry.writeUInt8(entryKinds.indexOf(kind), 0);
    entry.writeUInt32LE(session, 1);
    entry.writeUInt32LE(bytes.length, 5);
    bytes.copy(entry, HEAD_BYTES);
    for (let at = 0; at < entry.length; ) at += writeSync(this.#file, entry, at);
  }
}

/** Tells `journal` what stands in a file. An entry that was cut off by the writer's end is none. */
export function replayJournal(path: string, journal: Journal): void {
  const bytes = readFileSync(path);
  let at = 0;
  while (bytes.length - at >= HEAD_BYTES) {
    const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 5);
    if (end > bytes.length) return;
    const session = bytes.readUInt32LE(at + 1);
    tell(journal, entryKinds[bytes.readUInt8(at)], session, bytes.subarray(at + HEAD_BYTES, end));
    at = end;
  }
}

function tell(
  journal: Journal,
  kind: (typeof entryKinds)[number] | undefined,
  session: number,
  bytes: Buffer,
): void {
  if (kind === "joined") journal.joined(JSON.parse(bytes.toString()));
  else if (kind === "message") journal.message(session, bytes);
  else if (kind === "left") journal.left(session, JSON.parse(bytes.toString()));
  else if (kind === "up") journal.up();
  else if (kind === "sends") journal.sends(session, bytes.readUInt32LE());
  else if (kind === "sendsAll") journal.sendsAll(bytes.readUInt32LE());
  else if (kind === "drops") journal.drops(session);
}

function number(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
