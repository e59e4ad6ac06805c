/**
 * The logic of a manager in a chaos run: streams numbered records to its sessions, now and then one to all, ends those
 * who ask for it, and notes everything in a journal.
 */

import type { ManagerServer, Session } from "../../manager-stub/index.ts";
import type { Random } from "../fuzz/random.ts";
import { idOf } from "./chaos-client.ts";
import { bodyBytes } from "./crowd.ts";
import type { Journal } from "./journal.ts";
import { Kind, RecordSplitter, readRecord, writeRecord } from "./record.ts";

export interface ChaosManagerOptions {
  readonly server: ManagerServer;
  /** Which of the managers of a run it is, from 1. */
  readonly incarnation: number;
  readonly random: Random;
  readonly journal: Journal;
  /** So many records may be on their way to a session. */
  readonly window: number;
  /** Lets each client in, where the server wants to be asked. */
  readonly admits: boolean;
  /** The largest record's body: what is cut into several frames can be lost in part with its manager. */
  readonly maxBodyBytes: number;
}

interface Guest {
  readonly session: Session;
  readonly client: number;
  readonly framed: boolean;
  /** Of what was sent to it, how much it has heard. */
  sent: number;
  heard: number;
  place: number;
}

/** So many records to one client for each that goes to all. */
const RECORDS_FOR_EACH_TO_ALL = 40;
const TO_ALL_BYTES = 600;

export class ChaosManager {
  readonly #options: ChaosManagerOptions;
  readonly #guests = new Map<number, Guest>();
  readonly #order: Guest[] = [];
  #sent = 0;
  #sentToAll = 0;
  /** What finds records in what a session says, where that can be. */
  readonly #readers = new Map<number, RecordSplitter>();

  constructor(options: ChaosManagerOptions) {
    this.#options = options;
    const { server, journal } = options;
    server.on("gatewayUp", () => journal.up());
    server.on("join", (session) => this.#joined(session));
    server.on("leave", ({ id }, end) => {
      journal.left(id, end);
      this.#forget(id);
    });
    server.on("message", ({ id }, payload) => {
      journal.message(id, payload);
      this.#readers.get(id)?.push(payload);
    });
  }

  /** Sends up to `count` records, and one to all when it is time for it. */
  pump(count: number): void {
    const { random, window } = this.#options;
    for (let i = 0; i < count && this.#order.length > 0; i++) {
      const guest = random.pick(this.#order);
      if (guest.sent - guest.heard < window) this.#send(guest);
    }
    while (this.#sentToAll < this.#sent / RECORDS_FOR_EACH_TO_ALL) this.#sendToAll();
  }

  /** Each client with how many records were sent to it alone. */
  *sent(): Generator<[number, number]> {
    for (const { client, sent } of this.#guests.values()) yield [client, sent];
  }

  #joined(session: Session): void {
    const { server, journal, admits } = this.#options;
    journal.joined(session);
    const framed = session.framing !== "none";
    const guest = {
      session,
      client: idOf(session.addr),
      framed,
      sent: 0,
      heard: 0,
      place: this.#order.length,
    };
    this.#guests.set(session.id, guest);
    this.#order.push(guest);
    // What it says without framing may begin in the middle of a record, after what was lost with another manager.
    if (framed || !session.rejoined)
      this.#readers.set(session.id, new RecordSplitter(false, (bytes) => this.#heard(guest, bytes)));
    if (admits) server.admit(session);
  }

  #heard(guest: Guest, bytes: Buffer): void {
    const record = readRecord(bytes);
    if (record === undefined) return;
    if (record.heardFrom === this.#options.incarnation) guest.heard = record.heard;
    if (record.kind !== Kind.bye || guest.session.dropped) return;
    this.#send(guest);
    this.#options.journal.drops(guest.session.id);
    this.#options.server.drop(guest.session);
    this.#unlist(guest);
  }

  #send(guest: Guest): void {
    const { server, incarnation, random, journal, maxBodyBytes } = this.#options;
    const { session, client, framed } = guest;
    if (session.dropped) return;
    this.#sent++;
    guest.sent++;
    journal.sends(session.id, guest.sent);
    const head = { kind: Kind.toClient, sender: incarnation, receiver: client, seq: guest.sent };
    const length = Math.min(bodyBytes(random, framed), maxBodyBytes);
    server.send(session, writeRecord({ ...head, heardFrom: 0, heard: 0 }, length));
  }

  #sendToAll(): void {
    const { server, incarnation, random, journal } = this.#options;
    this.#sentToAll++;
    journal.sendsAll(this.#sentToAll);
    const head = { kind: Kind.toAll, sender: incarnation, receiver: 0, seq: this.#sentToAll };
    server.broadcast(writeRecord({ ...head, heardFrom: 0, heard: 0 }, random.below(TO_ALL_BYTES)));
  }

  #forget(id: number): void {
    const guest = this.#guests.get(id);
    if (guest === undefined) return;
    this.#guests.delete(id);
    this.#readers.delete(id);
    this.#unlist(guest);
  }

  #unlist(guest: Guest): void {
    if (this.#order[guest.place] !== guest) return;
    const last = this.#order.pop();
    if (last === undefined || last === guest) return;
    this.#order[guest.place] = last;
    last.place = guest.place;
  }
}
