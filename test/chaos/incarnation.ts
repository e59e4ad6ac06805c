/**
 * What one manager has noted, or one incarnation of it, held against what clients have sent and got: every record in its
 * place, every join with one leave, and everybody announced again who was there, or handed over, by the names that it had.
 */

import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { type AccountParts, capacityOf } from "./account-parts.ts";
import { type ChaosClient, idOf } from "./chaos-client.ts";
import { checkJoin, checkRejoin } from "./join-checks.ts";
import type { Journal } from "./journal.ts";
import { Outgoing } from "./outgoing.ts";
import { Kind, RecordSplitter, readRecord } from "./record.ts";
import { Sequence } from "./sequence.ts";

/** What a session was to one incarnation. */
export interface Stay {
  readonly session: Session;
  readonly client: ChaosClient;
  /** Where in what its client has said this incarnation began to hear it. */
  readonly startBytes: number;
  /** What is left of the record in whose middle that was; which one it was, and what came of it. */
  skipBytes: number;
  readonly skippedRecord: number;
  readonly skipped: Buffer[];
  receivedBytes: number;
  readonly sequence: Sequence;
  readonly splitter: RecordSplitter;
  end: SessionEnd | undefined;
}

export class Incarnation extends Outgoing implements Journal {
  readonly stays = new Map<number, Stay>();
  readonly #number: number;
  readonly #parts: AccountParts;
  #isUp = false;

  constructor(number: number, parts: AccountParts) {
    super(number, parts, () => parts.tap.handledOf(capacityOf(number)));
    this.#number = number;
    this.#parts = parts;
  }

  joined(session: Session, data?: Buffer): void {
    const { clients, faults, totals } = this.#parts;
    const { id, addr, rejoined, from } = session;
    const client = clients.get(idOf(addr));
    if (client === undefined) {
      faults.add("mistold", `session ${id} is said to be of ${addr}`);
      return;
    }
    faults.check(!this.stays.has(id), "mistold", `session ${id} joined manager ${this.#number} twice`);
    if (rejoined) totals.rejoins++;
    else if (from !== undefined) totals.arrivals++;
    else totals.joins++;
    const startBytes = (rejoined ? checkRejoin : checkJoin)(this.#number, session, data, this.#parts);
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
      skippedRecord: skipBytes === 0 ? 0 : before,
      skipped: [],
      receivedBytes: 0,
      sequence,
      splitter: new RecordSplitter(false, (bytes) => this.#record(stay, bytes)),
      end: undefined,
    };
    this.stays.set(id, stay);
    this.enter(session);
  }

  message(id: number, payload: Buffer): void {
    const { faults, totals } = this.#parts;
    const stay = this.#stay(id, "a message");
    if (stay === undefined) return;
    stay.receivedBytes += payload.length;
    totals.fromClientsBytes += payload.length;
    const skip = Math.min(stay.skipBytes, payload.length);
    stay.skipBytes -= skip;
    if (skip > 0) stay.skipped.push(payload.subarray(0, skip));
    if (skip < payload.length) stay.splitter.push(payload.subarray(skip));
    if (stay.client.framed)
      faults.check(stay.splitter.heldBytes === 0, "harmed", `session ${id}: a message is cut`);
  }

  left(id: number, end: SessionEnd): void {
    const { faults, tap, totals } = this.#parts;
    const stay = this.#stay(id, "an end");
    if (stay === undefined) return;
    totals.leaves++;
    stay.end = end;
    this.leave(id, end);
    const { startBytes, receivedBytes } = stay;
    const { takenBack = 0 } = tap.tenure(id, capacityOf(this.#number)) ?? {};
    faults.check(
      end.inBytes === startBytes + receivedBytes + takenBack,
      "miscounted",
      `session ${id} is said to have said ${end.inBytes} bytes, not ${startBytes} + ${receivedBytes} + ${takenBack}`,
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

  amiss(what: string): void {
    this.#parts.faults.add("mistold", `manager ${this.#number}: ${what}`);
  }

  /** @param alive whether this incarnation has lived to the end */
  finish(alive: boolean): void {
    const { faults } = this.#parts;
    if (!alive) this.checkHandled();
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
    if (reason === "handoff") {
      faults.check(by === "manager", "mistold", `${name} was handed over, told as ${by}`);
      return;
    }
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
