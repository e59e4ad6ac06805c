/**
 * What one incarnation of the manager has noted, held against what clients have sent and got: every record in its place,
 * every join with one leave, and everybody announced again who was there.
 */

import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { type ChaosClient, idOf } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap } from "./gateway-tap.ts";
import type { Journal } from "./journal.ts";
import { Kind, RecordSplitter, readRecord } from "./record.ts";
import { Sequence } from "./sequence.ts";

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
  sent: number;
  readonly toAllBefore: number;
  /** What had been sent to all when it was dropped. */
  droppedAfterToAll: number | undefined;
  end: SessionEnd | undefined;
}

export interface AccountTotals {
  joins: number;
  rejoins: number;
  leaves: number;
  /** Records and bytes from clients that a manager has received. */
  fromClients: number;
  fromClientsBytes: number;
  /** Records that clients have received, to them alone, and to all. */
  toClients: number;
  toAll: number;
  receivedBytes: number;
}

/** What a run's incarnations have in common. */
export interface AccountParts {
  readonly clients: ReadonlyMap<number, ChaosClient>;
  readonly tap: GatewayTap;
  readonly faults: Faults;
  readonly totals: AccountTotals;
  readonly heardOf: Map<number, number>;
}

export class Incarnation implements Journal {
  readonly stays = new Map<number, Stay>();
  readonly #number: number;
  readonly #parts: AccountParts;
  #sentToAll = 0;
  #isUp = false;

  constructor(number: number, parts: AccountParts) {
    this.#number = number;
    this.#parts = parts;
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
      sent: 0,
      toAllBefore: this.#sentToAll,
      droppedAfterToAll: undefined,
      end: undefined,
    };
    this.stays.set(id, stay);
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
    if (stay !== undefined) stay.sent = seq;
  }

  sendsAll(seq: number): void {
    this.#sentToAll = seq;
  }

  drops(id: number): void {
    const stay = this.#stay(id, "a drop");
    if (stay !== undefined) stay.droppedAfterToAll = this.#sentToAll;
  }

  /** @param alive whether this incarnation has lived to the end */
  finish(alive: boolean): void {
    const { faults } = this.#parts;
    for (const stay of this.stays.values()) {
      const { session, end, client } = stay;
      const name = `client ${client.id} at manager ${this.#number}`;
      const { directed, toAll } = client.heard.get(this.#number) ?? {};
      const heard = directed?.last ?? 0;
      faults.check(heard <= stay.sent, "doubled", `${name} has heard ${heard} of ${stay.sent}`);
      if (toAll !== undefined) {
        const { first } = toAll;
        faults.check(first <= stay.toAllBefore + 1, "lost", `${name} has heard of all only from ${first} on`);
      }
      if (end === undefined) {
        faults.check(!alive, "mistold", `session ${session.id} never left`);
        continue;
      }
      this.#checkEnd(stay, end, name);
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
    const { directed, toAll } = client.heard.get(this.#number) ?? {};
    const heard = directed?.last ?? 0;
    faults.check(heard === stay.sent, "lost", `${name} has heard ${heard} of ${stay.sent}`);
    const heardOfAll = toAll?.sequence.last ?? stay.toAllBefore;
    const toldAll = stay.droppedAfterToAll;
    faults.check(heardOfAll === toldAll, "lost", `${name} has heard ${heardOfAll} of ${toldAll} to all`);
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
