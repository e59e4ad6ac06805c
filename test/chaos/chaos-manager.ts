/**
 * The logic of a manager in a chaos run: streams numbered records to its sessions, now and then one to a group, a user,
 * some of them or all, changes who is called what, hands some to another manager, ends those who ask for it, and notes
 * everything in a journal.
 */

import type { HandoffError, ManagerServer, Session } from "../../manager-stub/index.ts";
import type { Random } from "../fuzz/random.ts";
import { idOf } from "./chaos-client.ts";
import { bodyBytes } from "./crowd.ts";
import type { Journal } from "./journal.ts";
import { Membership, type Names, nameOf, namesOf, withGroup, withoutGroup, withUser } from "./membership.ts";
import { Kind, RecordSplitter, readRecord, writeRecord } from "./record.ts";

export interface ChaosManagerOptions {
  readonly server: ManagerServer;
  /** Which of the managers of a run it is, from 1. */
  readonly incarnation: number;
  readonly random: Random;
  readonly journal: Journal;
  /** So many records may be on their way to a session. */
  readonly window: number;
  /** The largest record's body: what is cut into several frames can be lost in part with its manager. */
  readonly maxBodyBytes: number;
  /** The manager that sessions are handed to, by the name that the gateway knows it by; undefined: none are. */
  readonly handsTo?: string | undefined;
  /** How much of what a session says lies before the first record that begins; where that is not known, none is looked for. */
  readonly skipBytes?: (session: number) => number;
}

/** Something that is done now and then: once for so many records that were sent to one client each. */
interface Errand {
  readonly every: number;
  done: number;
  readonly run: () => void;
}

interface Guest {
  readonly session: Session;
  readonly client: number;
  readonly framed: boolean;
  /** Of what was sent to it, how much it has heard. */
  sent: number;
  heard: number;
  place: number;
  saidBye: boolean;
  /** While it is being handed over: what it is called if it stays. */
  handing: Names | undefined;
}

/** So many records to one client for each that goes to several in one of these ways, and for each change of names. */
const RECORDS_FOR_EACH_TO_ALL = 40;
const RECORDS_FOR_EACH_TO_GROUP = 12;
const RECORDS_FOR_EACH_TO_USER = 8;
const RECORDS_FOR_EACH_TO_MANY = 20;
const RECORDS_FOR_EACH_NAME = 6;
const RECORDS_FOR_EACH_HANDOFF = 5;
const TO_ALL_BYTES = 600;
const TO_MANY_BYTES = 1200;

/** Groups and users are numbered from 1. Nobody is in more than a few groups, and most users have several sessions. */
const GROUPS = 7;
const USERS = 12;
/** Those who are named when some are sent to. */
const MANY = 9;
const NAMED_AT_ONCE_SHARE = 0.3;
/** Of the changes of names, so many are of users. */
const BIND_SHARE = 0.3;
/** What goes with a handoff is mostly short, and may be as long as is allowed. */
const HANDOFF_BYTES = 300;
const LARGE_HANDOFF_BYTES = 61_000;
const LARGE_HANDOFF_SHARE = 0.01;
/** Why a session may not have been handed over: the other manager had no link, or the client has left. */
const EXPECTED_REFUSALS: readonly string[] = ["no-manager", "session-ended"];

export class ChaosManager {
  readonly #options: ChaosManagerOptions;
  readonly #guests = new Map<number, Guest>();
  readonly #order: Guest[] = [];
  /** By session. */
  readonly #membership = new Membership();
  readonly #errands: Errand[];
  #sent = 0;
  /** How many records were sent to each group and user, to all and to many. */
  readonly #sequences = new Map<string, number>();
  /** How many were sent to each client alone; one may come again. */
  readonly #sentTo = new Map<number, number>();
  /** What finds records in what a session says, where that can be, behind so many bytes. */
  readonly #readers = new Map<number, { readonly splitter: RecordSplitter; skipBytes: number }>();

  constructor(options: ChaosManagerOptions) {
    this.#options = options;
    const { server, journal } = options;
    this.#errands = [
      { every: RECORDS_FOR_EACH_TO_ALL, done: 0, run: () => this.#sendToAll() },
      { every: RECORDS_FOR_EACH_TO_GROUP, done: 0, run: () => this.#sendToGroup() },
      { every: RECORDS_FOR_EACH_TO_USER, done: 0, run: () => this.#sendToUser() },
      { every: RECORDS_FOR_EACH_TO_MANY, done: 0, run: () => this.#sendToMany() },
      {
        every: RECORDS_FOR_EACH_NAME,
        done: 0,
        run: () => this.#rename(this.#options.random.pick(this.#order)),
      },
    ];
    if (options.handsTo !== undefined)
      this.#errands.push({ every: RECORDS_FOR_EACH_HANDOFF, done: 0, run: () => this.#handOver() });
    server.on("gatewayUp", () => journal.up());
    server.on("join", (session, data) => this.#joined(session, data));
    server.on("leave", ({ id }, end) => {
      journal.left(id, end);
      this.#forget(id);
    });
    server.on("message", ({ id }, payload) => {
      journal.message(id, payload);
      this.#read(id, payload);
    });
  }

  /** Sends up to `count` records, and does what else it is time for. */
  pump(count: number): void {
    const { random, window } = this.#options;
    for (let i = 0; i < count && this.#order.length > 0; i++) {
      const guest = random.pick(this.#order);
      if (guest.sent - guest.heard < window) this.#send(guest);
    }
    for (const errand of this.#errands) {
      for (; errand.done < this.#sent / errand.every && this.#order.length > 0; errand.done++) errand.run();
    }
  }

  /** Each client with how many records were sent to it alone. */
  *sent(): Generator<[number, number]> {
    for (const { client, sent } of this.#guests.values()) yield [client, sent];
  }

  #joined(session: Session, data: Buffer | undefined): void {
    const { server, journal, random, skipBytes } = this.#options;
    journal.joined(session, data);
    const framed = session.framing !== "none";
    const client = idOf(session.addr);
    const sent = this.#sentTo.get(client) ?? 0;
    const state = { sent, heard: sent, saidBye: false, handing: undefined };
    const guest: Guest = { session, client, framed, place: this.#order.length, ...state };
    this.#guests.set(session.id, guest);
    this.#order.push(guest);
    // What it says without framing may begin in the middle of a record, after what another manager has got.
    if (framed || !session.rejoined) {
      const splitter = new RecordSplitter(false, (bytes) => this.#heard(guest, bytes));
      this.#readers.set(session.id, { splitter, skipBytes: skipBytes?.(session.id) ?? 0 });
    }
    this.#membership.set(session.id, namesOf(session));
    // Who has a name before it is let in has it then.
    if (random.chance(NAMED_AT_ONCE_SHARE)) this.#rename(guest);
    if (!session.admitted) {
      journal.admits(session.id);
      this.#expect(server.admit(session), true, `admit(${session.id})`);
    }
    // A client that has said bye to another manager says it again to the one that it hears.
    if (session.from !== undefined) this.#send(guest);
  }

  #read(id: number, payload: Buffer): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    const skip = Math.min(reader.skipBytes, payload.length);
    reader.skipBytes -= skip;
    reader.splitter.push(payload.subarray(skip));
  }

  #heard(guest: Guest, bytes: Buffer): void {
    const record = readRecord(bytes);
    if (record === undefined) return;
    if (record.heardFrom === this.#options.incarnation) guest.heard = record.heard;
    if (record.kind !== Kind.bye || guest.session.dropped) return;
    guest.saidBye = true;
    if (guest.handing === undefined) this.#drop(guest);
  }

  #drop(guest: Guest): void {
    this.#send(guest);
    this.#options.journal.drops(guest.session.id);
    this.#expect(this.#options.server.drop(guest.session), true, `drop(${guest.session.id})`);
    this.#unlist(guest);
  }

  /** Gives a session to the other manager. */
  #handOver(): void {
    const { server, journal, random, incarnation, handsTo = "" } = this.#options;
    const guest = random.pick(this.#order);
    const { session, client } = guest;
    const seq = this.#next("handoffs");
    const head = { kind: Kind.handoff, sender: incarnation, receiver: client, seq, heardFrom: 0, heard: 0 };
    const isLarge = random.chance(LARGE_HANDOFF_SHARE);
    const data = writeRecord(head, random.below(isLarge ? LARGE_HANDOFF_BYTES : HANDOFF_BYTES));
    journal.handsOver(session.id, data);
    guest.handing = this.#membership.of(session.id);
    this.#unlist(guest);
    server.handoff(session, handsTo, data).then(
      () => this.#expect(this.#guests.has(session.id), false, `handoff of ${session.id}: still being there`),
      ({ code }: HandoffError) => this.#keep(guest, code),
    );
    this.#expect(server.send(session, data), false, `send to ${session.id}, which is being handed over,`);
  }

  /** A session was not handed over. */
  #keep(guest: Guest, code: string): void {
    const { journal } = this.#options;
    const { id } = guest.session;
    const { handing } = guest;
    if (!EXPECTED_REFUSALS.includes(code)) journal.amiss(`session ${id} was not handed over: ${code}`);
    if (code !== "session-ended") journal.keeps(id);
    if (handing === undefined || !this.#guests.has(id)) return;
    guest.handing = undefined;
    guest.place = this.#order.push(guest) - 1;
    this.#membership.set(id, handing);
    if (guest.saidBye) this.#drop(guest);
  }

  #send(guest: Guest): void {
    const { server, incarnation, random, journal, maxBodyBytes } = this.#options;
    const { session, client, framed } = guest;
    if (session.dropped) return;
    this.#sent++;
    guest.sent++;
    this.#sentTo.set(client, guest.sent);
    journal.sends(session.id, guest.sent);
    const head = { kind: Kind.toClient, sender: incarnation, receiver: client, seq: guest.sent };
    const length = Math.min(bodyBytes(random, framed), maxBodyBytes);
    const isSent = server.send(session, writeRecord({ ...head, heardFrom: 0, heard: 0 }, length));
    this.#expect(isSent, true, `send(${session.id})`);
  }

  #sendToAll(): void {
    const seq = this.#next("all");
    this.#options.journal.sendsAll(seq);
    this.#options.server.broadcast(this.#record(Kind.toAll, 0, seq, TO_ALL_BYTES));
  }

  #sendToGroup(): void {
    const { server, journal, random } = this.#options;
    const group = 1 + random.below(GROUPS);
    const { size } = this.#membership.group(group);
    if (size === 0) return;
    const seq = this.#next(`group ${group}`);
    journal.sendsGroup(group, seq);
    const count = server.sendToGroup(nameOf(group), this.#record(Kind.toGroup, group, seq, TO_MANY_BYTES));
    this.#expect(count, size, `sendToGroup(${group})`);
  }

  #sendToUser(): void {
    const { server, journal, random } = this.#options;
    const user = 1 + random.below(USERS);
    const { size } = this.#membership.user(user);
    if (size === 0) return;
    const seq = this.#next(`user ${user}`);
    journal.sendsUser(user, seq);
    const count = server.sendToUser(nameOf(user), this.#record(Kind.toUser, user, seq, TO_MANY_BYTES));
    this.#expect(count, size, `sendToUser(${user})`);
  }

  #sendToMany(): void {
    const { server, journal, random } = this.#options;
    const some = new Set<Session>();
    for (let i = random.below(MANY); i >= 0; i--) some.add(random.pick(this.#order).session);
    const seq = this.#next("many");
    const ids = [...some].map(({ id }) => id);
    journal.sendsMany(ids, seq);
    const count = server.sendMany(some, this.#record(Kind.toMany, 0, seq, TO_MANY_BYTES));
    this.#expect(count, some.size, `sendMany(${ids})`);
  }

  /** Changes a group or the user of a session. */
  #rename({ session }: Guest): void {
    const { server, journal, random } = this.#options;
    const { id } = session;
    const names = this.#membership.of(id);
    const group = 1 + random.below(GROUPS);
    if (random.chance(BIND_SHARE)) {
      const user = names.user === 0 ? 1 + random.below(USERS) : random.below(1 + USERS);
      if (user === names.user) return;
      journal.binds(id, user);
      const isBound = user === 0 ? server.unbind(session) : server.bind(session, nameOf(user));
      this.#expect(isBound, true, `bind(${id}, ${user})`);
      this.#membership.set(id, withUser(names, user));
    } else if (names.groups.has(group)) {
      journal.removes(id, group);
      this.#expect(server.removeFromGroup(session, nameOf(group)), true, `removeFromGroup(${id}, ${group})`);
      this.#membership.set(id, withoutGroup(names, group));
    } else {
      journal.adds(id, group);
      this.#expect(server.addToGroup(session, nameOf(group)), true, `addToGroup(${id}, ${group})`);
      this.#membership.set(id, withGroup(names, group));
    }
  }

  #record(kind: number, receiver: number, seq: number, maxBytes: number): Buffer {
    const { incarnation, random } = this.#options;
    const head = { kind, sender: incarnation, receiver, seq, heardFrom: 0, heard: 0 };
    return writeRecord(head, random.below(maxBytes));
  }

  #next(of: string): number {
    const seq = (this.#sequences.get(of) ?? 0) + 1;
    this.#sequences.set(of, seq);
    return seq;
  }

  #expect(is: boolean | number, wanted: boolean | number, what: string): void {
    if (is !== wanted) this.#options.journal.amiss(`${what} gave ${is}, not ${wanted}`);
  }

  #forget(id: number): void {
    const guest = this.#guests.get(id);
    if (guest === undefined) return;
    this.#guests.delete(id);
    this.#readers.delete(id);
    this.#unlist(guest);
  }

  /** A session is not sent to any more. */
  #unlist(guest: Guest): void {
    this.#membership.forget(guest.session.id);
    if (this.#order[guest.place] !== guest) return;
    const last = this.#order.pop();
    if (last === undefined || last === guest) return;
    this.#order[guest.place] = last;
    last.place = guest.place;
  }
}
