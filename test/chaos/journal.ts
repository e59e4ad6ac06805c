/**
 * What a manager of a chaos run has done and heard, in order, for whoever checks it: told at once, or by way of a file
 * that outlives the manager's process, however that ends. (What was written to a file stays when its process is killed.)
 */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";

export interface Journal {
  /** @param data what the manager that had it before has said of it */
  joined(session: Session, data?: Buffer): void;
  message(session: number, payload: Buffer): void;
  left(session: number, end: SessionEnd): void;
  /** The gateway listens: it has told all that it holds. */
  up(): void;
  // What the manager is about to do, each of which is one frame.

  /** Sends a record to a session, to all, to a group or a user, or to some sessions. */
  sends(session: number, seq: number): void;
  sendsAll(seq: number): void;
  sendsGroup(group: number, seq: number): void;
  sendsUser(user: number, seq: number): void;
  sendsMany(sessions: readonly number[], seq: number): void;
  /** Puts a session into a group, takes it out, or binds it to a user; 0 is nobody. */
  adds(session: number, group: number): void;
  removes(session: number, group: number): void;
  binds(session: number, user: number): void;
  admits(session: number): void;
  drops(session: number): void;
  /** Hands a session to another manager, with something for that one. */
  handsOver(session: number, data: Buffer): void;

  /** The gateway has not handed it over. */
  keeps(session: number): void;
  /** The manager has found something wrong by itself. */
  amiss(what: string): void;
}

const entryKinds = [
  "joined",
  "message",
  "left",
  "up",
  "sends",
  "sendsAll",
  "sendsGroup",
  "sendsUser",
  "sendsMany",
  "adds",
  "removes",
  "binds",
  "admits",
  "drops",
  "handsOver",
  "keeps",
  "amiss",
] as const;
type EntryKind = (typeof entryKinds)[number];

/** What is told of a session, or a name, in one number. */
const numberKinds = ["sends", "sendsGroup", "sendsUser", "adds", "removes", "binds"] as const;

/** An entry's kind, how long it is behind this head, and the session. */
const HEAD_BYTES = 9;
const WORD_BYTES = 4;
const NO_BYTES = Buffer.alloc(0);

/** Writes a journal to a file; each entry is there when the call returns. */
export class FileJournal implements Journal {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  /** Of what is killed nobody hands over anything: data is not noted. */
  joined(session: Session): void {
    const groups = [...session.groups];
    this.#write("joined", session.id, Buffer.from(JSON.stringify({ ...session, groups })));
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
    this.#write("sends", session, words(seq));
  }

  sendsAll(seq: number): void {
    this.#write("sendsAll", 0, words(seq));
  }

  sendsGroup(group: number, seq: number): void {
    this.#write("sendsGroup", group, words(seq));
  }

  sendsUser(user: number, seq: number): void {
    this.#write("sendsUser", user, words(seq));
  }

  sendsMany(sessions: readonly number[], seq: number): void {
    this.#write("sendsMany", 0, words(seq, ...sessions));
  }

  adds(session: number, group: number): void {
    this.#write("adds", session, words(group));
  }

  removes(session: number, group: number): void {
    this.#write("removes", session, words(group));
  }

  binds(session: number, user: number): void {
    this.#write("binds", session, words(user));
  }

  admits(session: number): void {
    this.#write("admits", session, NO_BYTES);
  }

  drops(session: number): void {
    this.#write("drops", session, NO_BYTES);
  }

  handsOver(session: number, data: Buffer): void {
    this.#write("handsOver", session, data);
  }

  keeps(session: number): void {
    this.#write("keeps", session, NO_BYTES);
  }

  amiss(what: string): void {
    this.#write("amiss", 0, Buffer.from(what));
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(kind: EntryKind, session: number, bytes: Buffer): void {
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

function tell(journal: Journal, kind: EntryKind | undefined, session: number, bytes: Buffer): void {
  const numbered = numberKinds.find((one) => one === kind);
  if (numbered !== undefined) journal[numbered](session, bytes.readUInt32LE());
  else if (kind === "joined") journal.joined(readSession(bytes));
  else if (kind === "message") journal.message(session, bytes);
  else if (kind === "left") journal.left(session, JSON.parse(bytes.toString()));
  else if (kind === "up") journal.up();
  else if (kind === "sendsAll") journal.sendsAll(bytes.readUInt32LE());
  else if (kind === "sendsMany") tellMany(journal, bytes);
  else if (kind === "admits") journal.admits(session);
  else if (kind === "drops") journal.drops(session);
  else if (kind === "handsOver") journal.handsOver(session, bytes);
  else if (kind === "keeps") journal.keeps(session);
  else if (kind === "amiss") journal.amiss(bytes.toString());
}

function tellMany(journal: Journal, bytes: Buffer): void {
  const sessions: number[] = [];
  for (let at = WORD_BYTES; at < bytes.length; at += WORD_BYTES) sessions.push(bytes.readUInt32LE(at));
  journal.sendsMany(sessions, bytes.readUInt32LE());
}

function readSession(bytes: Buffer): Session {
  const session = JSON.parse(bytes.toString());
  return { ...session, groups: new Set(session.groups) };
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(WORD_BYTES * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, WORD_BYTES * index);
  return bytes;
}
