/**
 * What one incarnation of the manager has noted, held against what clients have sent and got: every record in its place,
 * every join with one leave, and everybody announced again who was there, by the names that it had.
 */

import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { type ChaosClient, idOf } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap } from "./gateway-tap.ts";
import type { Journal } from "./journal.ts";
import {
  Membership,
  type Names,
  NO_NAMES,
  namesOf,
  tellNames,
  withGroup,
  withoutGroup,
  withUser,
} from "./membership.ts";
import { Kind, RecordSplitter, readRecord } from "./record.ts";
import { SendLog } from "./send-log.ts";
import { Sequence } from "./sequence.ts";
import type { Tenure } from "./tenure.ts";

/** The capacity that an incarnation of the manager tells is how it is told from the others. */
const CAPACITY_BASE = 3000;

export function capacityOf(incarnation: number): number {
  return CAPACITY_BASE + incarnation;
}

/** What a session was to one incarnation. */
interface Stay {
  readonly session: Session;
  readonly client: ChaosClient;
  /** Where in what its client has said this incarnation began to hear it. */
  readonly startBytes: number;
  /** What is left of the record in whose middle that was. */
  skipBytes: number;
  receivedBytes: number;
  readonly sequence: Sequence;
  readonly splitter: RecordSplitter;
  /** What it was to be sent, by label, and with which of the incarnation's frames. */
  readonly expected: number[];
  readonly expectedFrames: number[];
  /** What was in the log of what goes to names when it joined. */
  readonly logged: number;
  /** What it was called, from which frame on; from its join on, first. */
  readonly names: { readonly frame: number; readonly names: Names }[];
  dropped: boolean;
  end: SessionEnd | undefined;
}

export interface AccountTotals {
  joins: number;
  rejoins: number;
  leaves: number;
  /** Records and bytes from clients that a manager has received. */
  fromClients: number;
  fromClientsBytes: number;
  /** Records that clients have received: each to it alone, and by what else they were for. */
  toClients: number;
  toAll: number;
  toGroups: number;
  toUsers: number;
  toMany: number;
  /** How often somebody was put into a group or taken out of one, or bound. */
  renames: number;
  receivedBytes: number;
}

/** What a run's incarnations have in common. */
export interface AccountParts {
  readonly clients: ReadonlyMap<number, ChaosClient>;
  readonly tap: GatewayTap;
  readonly faults: Faults;
  readonly totals: AccountTotals;
  readonly heardOf: Map<number, number>;
  /** What each session is called, as far as the gateway has been told by the last manager that knew of it. */
  readonly names: Map<number, () => Names>;
}

export class Incarnation implements Journal {
  readonly stays = new Map<number, Stay>();
  readonly #number: number;
  readonly #parts: AccountParts;
  /** How many frames it has sent that are numbered, or was about to. */
  #frames = 0;
  readonly #log: SendLog;
  readonly #membership = new Membership();
  /** Those who are let in and not dropped, by session. */
  readonly #present = new Map<number, Stay>();
  #isUp = false;

  constructor(number: number, parts: AccountParts) {
    this.#number = number;
    this.#parts = parts;
    this.#log = new SendLog(number);
  }

  joined(session: Session): void {
    const { clients, faults, totals } = this.#parts;
    const { id, addr, rejoined } = session;
    const client = clients.get(idOf(addr));
    if (client === undefined) {
      faults.add("mistold", `session ${id} is said to be of ${addr}`);
      return;
    }
    faults.check(!this.stays.has(id), "mistold", `session ${id} joined manager ${this.#number} twice`);
    if (rejoined) totals.rejoins++;
    else totals.joins++;
    const startBytes = rejoined ? this.#checkRejoin(session) : 0;
    const before = firstNotBelow(client.ends, startBytes);
    const skipBytes = startBytes === 0 ? 0 : (client.ends[before - 1] ?? 0) - startBytes;
    faults.check(
      skipBytes === 0 || !client.framed,
      "miscounted",
      `session ${id} begins ${skipBytes} bytes before the end of a message`,
    );
    const sequence = new Sequence(faults, `manager ${this.#number} from client ${client.id}`, before);
    const stay: Stay = {
      session,
      client,
      startBytes,
      skipBytes,
      receivedBytes: 0,
      sequence,
      splitter: new RecordSplitter(false, (bytes) => this.#record(stay, bytes)),
      expected: [],
      expectedFrames: [],
      logged: this.#log.length,
      names: [],
      dropped: false,
      end: undefined,
    };
    this.stays.set(id, stay);
    this.#checkNames(session);
    this.#rename(stay, namesOf(session));
    this.#parts.names.set(id, () => this.namesAfter(stay));
    if (session.admitted) this.#present.set(id, stay);
  }

  message(id: number, payload: Buffer): void {
    const { faults, totals } = this.#parts;
    const stay = this.#stay(id, "a message");
    if (stay === undefined) return;
    stay.receivedBytes += payload.length;
    totals.fromClientsBytes += payload.length;
    const skip = Math.min(stay.skipBytes, payload.length);
    stay.skipBytes -= skip;
    if (skip < payload.length) stay.splitter.push(payload.subarray(skip));
    if (stay.client.framed)
      faults.check(stay.splitter.heldBytes === 0, "harmed", `session ${id}: a message is cut`);
  }

  left(id: number, end: SessionEnd): void {
    const { faults, totals } = this.#parts;
    const stay = this.#stay(id, "an end");
    if (stay === undefined) return;
    totals.leaves++;
    stay.end = end;
    // It is acknowledged, unless it was asked for.
    if (!stay.dropped) this.#frames++;
    this.#forget(id);
    const { startBytes, receivedBytes } = stay;
    faults.check(
      end.inBytes === startBytes + receivedBytes,
      "miscounted",
      `session ${id} is said to have said ${end.inBytes} bytes, not ${startBytes} + ${receivedBytes}`,
    );
  }

  up(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    const { tap, faults } = this.#parts;
    for (const id of tap.beginnings.get(capacityOf(this.#number))?.sessions.keys() ?? []) {
      const stay = this.stays.get(id);
      const client = this.#clientOf(id);
      // Whoever was about to go may have gone before it could be announced.
      if (client?.permanent === true)
        faults.check(stay !== undefined, "mistold", `session ${id} was not announced to ${this.#number}`);
    }
  }

  sends(id: number, seq: number): void {
    const stay = this.#stay(id, "a record");
    this.#frames++;
    if (stay !== undefined) this.#expect(stay, this.#log.label(Kind.toClient, 0, seq));
  }

  sendsAll(seq: number): void {
    this.#sendsNamed(Kind.toAll, 0, seq, this.#present.keys());
  }

  sendsGroup(group: number, seq: number): void {
    this.#sendsNamed(Kind.toGroup, group, seq, this.#membership.group(group));
  }

  sendsUser(user: number, seq: number): void {
    this.#sendsNamed(Kind.toUser, user, seq, this.#membership.user(user));
  }

  sendsMany(sessions: readonly number[], seq: number): void {
    this.#frames++;
    const label = this.#log.label(Kind.toMany, 0, seq);
    for (const id of sessions) {
      const stay = this.#stay(id, "a record to many");
      if (stay !== undefined) this.#expect(stay, label);
    }
  }

  adds(id: number, group: number): void {
    this.#renames(id, withGroup(this.#membership.of(id), group));
  }

  removes(id: number, group: number): void {
    this.#renames(id, withoutGroup(this.#membership.of(id), group));
  }

  binds(id: number, user: number): void {
    this.#renames(id, withUser(this.#membership.of(id), user));
  }

  admits(id: number): void {
    const stay = this.#stay(id, "an admission");
    this.#frames++;
    if (stay !== undefined) this.#present.set(id, stay);
  }

  drops(id: number): void {
    const stay = this.#stay(id, "a drop");
    this.#frames++;
    if (stay !== undefined) stay.dropped = true;
    this.#forget(id);
  }

  amiss(what: string): void {
    this.#parts.faults.add("mistold", `manager ${this.#number}: ${what}`);
  }

  /** What a session was to be sent, as far as the gateway was told so. One that the incarnation never knew may be none. */
  tenure(session: number, names: Names): Tenure {
    const stay = this.stays.get(session);
    const handled = this.#handled();
    const start = stay?.logged ?? this.#log.length;
    const known = stay?.names[0]?.names ?? names;
    return {
      sender: this.#number,
      expected: stay?.expected.filter((_label, index) => (stay.expectedFrames[index] ?? 0) <= handled) ?? [],
      isEarlier: (label) => this.#log.isBefore(label, start),
      earlier: () => this.#log.before(start, known, handled),
    };
  }

  /** What a session is called at the end of its stay, as far as the gateway was told. */
  namesAfter(stay: Stay): Names {
    const handled = this.#handled();
    return stay.names.findLast(({ frame }) => frame <= handled)?.names ?? NO_NAMES;
  }

  /** @param alive whether this incarnation has lived to the end */
  finish(alive: boolean): void {
    const { faults } = this.#parts;
    const handled = this.#handled();
    const told = `${handled} frames of manager ${this.#number} were handled, and ${this.#frames} sent`;
    faults.check(alive || handled <= this.#frames, "doubled", told);
    for (const stay of this.stays.values()) {
      const { session, end, client } = stay;
      if (end !== undefined) this.#checkEnd(stay, end, `client ${client.id} at manager ${this.#number}`);
      else faults.check(!alive, "mistold", `session ${session.id} never left`);
    }
  }

  #checkEnd(stay: Stay, end: SessionEnd, name: string): void {
    const { faults } = this.#parts;
    const { client, sequence, splitter } = stay;
    const { reason, by } = end;
    const how = `${name} left as ${client.leaving}, told as ${by} ${reason}`;
    faults.check(client.leaving !== undefined, "disconnected", how);
    if (client.leaving === "bye" || client.leaving === "half-close") {
      const { sent, saidBye = sent } = client;
      faults.check(sequence.last >= saidBye, "lost", `${name}: ${sequence.last} of ${sent} records came`);
      faults.check(sequence.last <= sent, "doubled", how);
      faults.check(splitter.heldBytes === 0, "lost", `${name}: ${splitter.heldBytes} bytes are too few`);
    } else {
      faults.check(sequence.last <= client.sent, "doubled", how);
    }
    if (client.leaving !== "bye") {
      faults.check(by === "client", "mistold", how);
      return;
    }
    faults.check(by === "manager" && reason === "dropped", "mistold", how);
    faults.check(client.heldBytes === 0 && client.ended, "lost", `${name} has no whole end`);
    faults.check(end.unsentBytes === 0, "miscounted", `${how}, with ${end.unsentBytes} bytes unsent`);
    const { outBytes } = end;
    const { receivedBytes } = client;
    faults.check(
      outBytes === receivedBytes,
      "miscounted",
      `${how}: ${receivedBytes} of ${outBytes} bytes came`,
    );
  }

  /** Up to which of its frames the gateway has handled them. */
  #handled(): number {
    return this.#parts.tap.handledOf(capacityOf(this.#number));
  }

  #sendsNamed(kind: number, name: number, seq: number, sessions: Iterable<number>): void {
    this.#frames++;
    const label = this.#log.add(kind, name, seq, this.#frames);
    for (const id of sessions) {
      const stay = this.#present.get(id);
      if (stay !== undefined) this.#expect(stay, label);
    }
  }

  #expect(stay: Stay, label: number): void {
    stay.expected.push(label);
    stay.expectedFrames.push(this.#frames);
  }

  #renames(id: number, names: Names): void {
    const stay = this.#stay(id, "a name");
    this.#frames++;
    this.#parts.totals.renames++;
    if (stay !== undefined) this.#rename(stay, names);
  }

  #rename(stay: Stay, names: Names): void {
    this.#membership.set(stay.session.id, names);
    stay.names.push({ frame: this.#frames, names });
  }

  #forget(id: number): void {
    this.#present.delete(id);
    this.#membership.forget(id);
  }

  /** A session is called as the manager before has called it, and one that is new is called nothing. */
  #checkNames(session: Session): void {
    const { names, faults } = this.#parts;
    const was = tellNames(session.rejoined ? (names.get(session.id)?.() ?? NO_NAMES) : NO_NAMES);
    const is = tellNames(namesOf(session));
    faults.check(was === is, "mistold", `session ${session.id} was ${was} and is announced as ${is}`);
  }

  /** Gives where in what its client has said the session begins to be heard. */
  #checkRejoin({ id, lostBytes, ...session }: Session): number {
    const { tap, faults } = this.#parts;
    const tapped = tap.sessions.get(id);
    const held = tap.beginnings.get(capacityOf(this.#number))?.sessions.get(id);
    if (tapped === undefined || held === undefined) {
      faults.add("mistold", `session ${id} is announced to manager ${this.#number}, and was not held`);
      return 0;
    }
    const { lost, handed } = held;
    faults.check(lostBytes === lost, "miscounted", `session ${id} has lost ${lost} bytes, not ${lostBytes}`);
    const { addr, port, transport, listener, at, framing = "none", proxy } = tapped.join;
    const was = JSON.stringify([addr, port, transport, listener, at, framing, proxy]);
    const { joinedAt } = session;
    const is = JSON.stringify([
      session.addr,
      session.port,
      session.transport,
      session.listener,
      joinedAt,
      session.framing,
      session.proxy,
    ]);
    faults.check(was === is, "mistold", `session ${id} was ${was} and is announced as ${is}`);
    return handed;
  }

  #record(stay: Stay, bytes: Buffer): void {
    const { faults, totals, heardOf } = this.#parts;
    const { client, sequence } = stay;
    const record = readRecord(bytes);
    const where = `manager ${this.#number} got of client ${client.id}`;
    if (record === undefined) {
      faults.add("harmed", `${where} ${bytes.length} bytes behind record ${sequence.last} that are none`);
      return;
    }
    const { kind, sender, seq } = record;
    faults.check(sender === client.id, "misdelivered", `${where} what ${sender} said`);
    faults.check(kind === Kind.toManager || kind === Kind.bye, "misdelivered", `${where} a kind ${kind}`);
    totals.fromClients++;
    sequence.take(seq);
    heardOf.set(client.id, seq);
  }

  #stay(id: number, what: string): Stay | undefined {
    const stay = this.stays.get(id);
    if (stay !== undefined && stay.end === undefined) return stay;
    this.#parts.faults.add("mistold", `${what} of session ${id}, which is not there`);
    return undefined;
  }

  #clientOf(id: number): ChaosClient | undefined {
    const { tap, clients } = this.#parts;
    const tapped = tap.sessions.get(id);
    return tapped && clients.get(idOf(tapped.join.addr));
  }
}

/** How many of `ends`, which grow, lie below `bytes`, and the one that reaches it; 0 for 0. */
function firstNotBelow(ends: readonly number[], bytes: number): number {
  if (bytes === 0) return 0;
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 0) < bytes) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}
