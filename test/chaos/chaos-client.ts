/**
 * A client of a chaos run: it streams numbered records to the manager, checks those that it gets, and leaves in one of
 * several ways. It says who it is in a PROXY header, so that its address tells its number.
 */

import { connect, type Socket } from "node:net";
import type { Faults } from "./faults.ts";
import { labelOf } from "./label.ts";
import { Kind, RecordSplitter, readRecord, writeRecord } from "./record.ts";
import { Sequence } from "./sequence.ts";

/** How a client goes: asks the manager to end it, shuts down its sending side, closes, or resets. */
export const farewells = ["bye", "half-close", "close", "reset"] as const;
export type Farewell = (typeof farewells)[number];

/** With more than this waiting to be taken it says no more. */
const STUCK_BYTES = 64 * 1024;

/** What it may get that is not for it alone; whether it should have is looked at later. */
const kinds: readonly number[] = [Kind.toAll, Kind.toGroup, Kind.toUser, Kind.toMany];

/** The address that a client says it has, and back. */
export function addressOf(id: number): string {
  return `10.${(id >> 16) & 255}.${(id >> 8) & 255}.${id & 255}`;
}

export function idOf(address: string): number {
  const [, high = "", middle = "", low = ""] = address.split(".");
  return (Number(high) << 16) | (Number(middle) << 8) | Number(low);
}

export class ChaosClient {
  readonly id: number;
  readonly framed: boolean;
  /** It stays to the end of the run. */
  readonly permanent: boolean;
  /** What it has got, by label and in order. */
  readonly heard: number[] = [];
  /** What each manager has said to it alone. */
  readonly directed = new Map<number, Sequence>();
  /** Behind each record that it has sent: how many bytes of records there were so far. */
  readonly ends: number[] = [];
  receivedBytes = 0;
  leaving: Farewell | undefined;
  /** The record that said bye first. */
  saidBye: number | undefined;
  connected = false;
  /** The other side has said, in good order, that nothing more comes. */
  ended = false;
  closed = false;

  readonly #socket: Socket;
  readonly #faults: Faults;
  readonly #splitter: RecordSplitter;
  #lastHeard = { from: 0, seq: 0 };
  /** Which manager it has heard last, in whatever way, and which it had when it said bye. */
  #lastManager = 0;
  #byeSaidTo = 0;

  constructor(id: number, port: number, framed: boolean, permanent: boolean, faults: Faults) {
    this.id = id;
    this.framed = framed;
    this.permanent = permanent;
    this.#faults = faults;
    this.#splitter = new RecordSplitter(framed, (bytes) => this.#take(bytes));
    this.#socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.#socket.write(`PROXY TCP4 ${addressOf(id)} 10.255.0.1 ${1 + (id % 60_000)} 7300\r\n`);
    this.#socket.on("connect", () => {
      this.connected = true;
    });
    this.#socket.on("data", (bytes: Buffer) => {
      this.receivedBytes += bytes.length;
      this.#splitter.push(bytes);
    });
    this.#socket.on("end", () => {
      this.ended = true;
      this.#socket.end();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.closed = true;
    });
  }

  /** How many records it has sent. */
  get sent(): number {
    return this.ends.length;
  }

  /** How many bytes of records it has sent. */
  get sentBytes(): number {
    return this.ends.at(-1) ?? 0;
  }

  /** How many of them there were when it said bye first. */
  get byeBytes(): number {
    return this.saidBye === undefined ? 0 : (this.ends[this.saidBye - 1] ?? 0);
  }

  /** Bytes of a record that it has and that has no end. */
  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  /** Whether it may say more. */
  get talks(): boolean {
    return this.leaving === undefined && !this.closed && this.#socket.writableLength < STUCK_BYTES;
  }

  say(bodyBytes: number, kind: number = Kind.toManager): void {
    const { from, seq } = this.#lastHeard;
    const record = writeRecord(
      { kind, sender: this.id, receiver: 0, seq: this.sent + 1, heardFrom: from, heard: seq },
      bodyBytes,
    );
    this.ends.push(this.sentBytes + record.length);
    if (!this.framed) {
      this.#socket.write(record);
      return;
    }
    const prefix = Buffer.allocUnsafe(4);
    prefix.writeUInt32BE(record.length);
    this.#socket.cork();
    this.#socket.write(prefix);
    this.#socket.write(record);
    this.#socket.uncork();
  }

  /** Goes. One who waits for a manager to end it asks once more: who was asked before may not live any more. */
  leave(how: Farewell): void {
    if (this.leaving === "bye" && !this.ended && !this.closed) this.#sayBye();
    if (this.leaving !== undefined || this.closed) return;
    this.leaving = how;
    if (how === "bye") this.#sayBye();
    else if (how === "half-close") this.#socket.end();
    else if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Cuts it off, at the end of a run that went wrong. */
  destroy(): void {
    this.#socket.destroy();
  }

  #sayBye(): void {
    this.#byeSaidTo = this.#lastManager;
    this.say(0, Kind.bye);
    this.saidBye ??= this.sent;
  }

  #take(bytes: Buffer): void {
    const record = readRecord(bytes);
    if (record === undefined) {
      this.#faults.add("harmed", `client ${this.id} got ${bytes.length} bytes that are no record`);
      return;
    }
    const { kind, sender, receiver, seq } = record;
    const isForIt = kind === Kind.toClient ? receiver === this.id : kinds.includes(kind);
    if (!isForIt) {
      this.#faults.add("misdelivered", `client ${this.id} got what was for ${receiver}, of kind ${kind}`);
      return;
    }
    this.heard.push(labelOf(record));
    if (kind === Kind.toClient) {
      this.#directedBy(sender).take(seq);
      this.#lastHeard = { from: sender, seq };
    }
    this.#lastManager = sender;
    // One that was asked before may have died without having heard it, or have handed this client over.
    if (this.leaving === "bye" && sender !== this.#byeSaidTo) this.#sayBye();
  }

  #directedBy(manager: number): Sequence {
    let sequence = this.directed.get(manager);
    if (sequence === undefined) {
      sequence = new Sequence(this.#faults, `client ${this.id} from manager ${manager} to it`);
      this.directed.set(manager, sequence);
    }
    return sequence;
  }
}
