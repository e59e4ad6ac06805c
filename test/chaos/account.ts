/**
 * Draws the account of a chaos run: for each client, what it has sent against what managers have received, what was told
 * as lost, and how it left.
 */

import { type AccountTotals, incarnationOf } from "./account-parts.ts";
import { type ChaosClient, type Farewell, idOf } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap, TappedSession } from "./gateway-tap.ts";
import { Incarnation } from "./incarnation.ts";
import type { Journal } from "./journal.ts";
import { partsOf } from "./label.ts";
import { type Names, NO_NAMES } from "./membership.ts";
import { Kind, readRecord } from "./record.ts";
import { type Completeness, checkHeard, type Tenure } from "./tenure.ts";

/** What is counted for each kind of record. */
const totalOf: Record<number, "toClients" | "toAll" | "toGroups" | "toUsers" | "toMany"> = {
  [Kind.toClient]: "toClients",
  [Kind.toAll]: "toAll",
  [Kind.toGroup]: "toGroups",
  [Kind.toUser]: "toUsers",
  [Kind.toMany]: "toMany",
};

export class Account {
  readonly totals: AccountTotals = {
    joins: 0,
    rejoins: 0,
    leaves: 0,
    fromClients: 0,
    fromClientsBytes: 0,
    toClients: 0,
    toAll: 0,
    toGroups: 0,
    toUsers: 0,
    toMany: 0,
    renames: 0,
    handoffs: 0,
    arrivals: 0,
    keeps: 0,
    receivedBytes: 0,
  };
  readonly #clients: ReadonlyMap<number, ChaosClient>;
  readonly #tap: GatewayTap;
  readonly #faults: Faults;
  readonly #incarnations = new Map<number, Incarnation>();
  /** The last record of each client that a manager has received. */
  readonly heardOf = new Map<number, number>();
  /** Bytes of each client that any incarnation has received. */
  readonly receivedOf = new Map<number, number>();
  readonly #names = new Map<number, () => Names>();
  readonly #handedData = new Map<number, Buffer>();

  constructor(clients: ReadonlyMap<number, ChaosClient>, tap: GatewayTap, faults: Faults) {
    this.#clients = clients;
    this.#tap = tap;
    this.#faults = faults;
  }

  /** What an incarnation notes. */
  incarnation(number: number): Journal {
    const parts = {
      clients: this.#clients,
      tap: this.#tap,
      faults: this.#faults,
      totals: this.totals,
      heardOf: this.heardOf,
      names: this.#names,
      handedData: this.#handedData,
    };
    const incarnation = new Incarnation(number, parts);
    this.#incarnations.set(number, incarnation);
    return incarnation;
  }

  /** How much a manager hears of a session before the first record begins. */
  skipBytes(incarnation: number, session: number): number {
    return this.#incarnations.get(incarnation)?.stays.get(session)?.skipBytes ?? 0;
  }

  /**
   * Everything has come to its end: looks whether it was the right one.
   *
   * @param living the managers that have lived to the end
   */
  finish(living: readonly number[]): void {
    const { size } = this.#handedData;
    this.#faults.check(size === 0, "lost", `${size} sessions were handed over, and never came`);
    for (const [number, incarnation] of this.#incarnations) {
      incarnation.finish(living.includes(number));
      for (const { client, receivedBytes } of incarnation.stays.values())
        this.receivedOf.set(client.id, (this.receivedOf.get(client.id) ?? 0) + receivedBytes);
    }
    const sessions = new Map([...this.#tap.sessions.values()].map((one) => [idOf(one.join.addr), one]));
    for (const client of this.#clients.values()) {
      this.#count(client);
      const session = sessions.get(client.id);
      if (session === undefined) {
        this.#checkRefused(client);
        continue;
      }
      this.#checkSession(client, session);
      this.#checkHeard(client, session);
      this.#checkSeams(client, session);
    }
  }

  /** One manager after the other had the client, each of which has said something, and the gateway was told of it. */
  #checkHeard({ id, heard, leaving }: ChaosClient, tapped: TappedSession): void {
    let names = NO_NAMES;
    const tenures = tapped.tenures.flatMap(({ capacity, session }): Tenure[] => {
      const incarnation = this.#incarnations.get(incarnationOf(capacity));
      if (incarnation === undefined) return [];
      const tenure = incarnation.tenure(session, names);
      names = incarnation.namesAfter(session) ?? names;
      return [tenure];
    });
    checkHeard(`client ${id}`, heard, tenures, completenessOf(leaving), this.#faults);
  }

  /** A record in whose middle a client was handed over is whole where its parts are put together. */
  #checkSeams({ id, leaving }: ChaosClient, { tenures }: TappedSession): void {
    let parts: Buffer[] = [];
    for (const { capacity, session } of tenures) {
      const stay = this.#incarnations.get(incarnationOf(capacity))?.stays.get(session);
      if (stay === undefined || stay.session.rejoined) return;
      const { skippedRecord, skipped, skipBytes, splitter } = stay;
      parts.push(...skipped);
      if (skipBytes > 0) continue;
      if (skippedRecord > 0) {
        const record = readRecord(Buffer.concat(parts));
        const what = `record ${skippedRecord} of client ${id}, which came in parts, came as ${record?.seq}`;
        this.#faults.check(record?.seq === skippedRecord && record.sender === id, "harmed", what);
        this.totals.fromClients++;
      }
      parts = [splitter.held];
    }
    const left = parts.reduce((sum, { length }) => sum + length, 0);
    const isCutOff = leaving === "close" || leaving === "reset";
    this.#faults.check(left === 0 || isCutOff, "lost", `of client ${id} a record has only come in part`);
  }

  #count({ heard, receivedBytes }: ChaosClient): void {
    this.totals.receivedBytes += receivedBytes;
    for (const label of heard) {
      const total = totalOf[partsOf(label).kind];
      if (total !== undefined) this.totals[total]++;
    }
  }

  #checkRefused({ id, permanent, receivedBytes }: ChaosClient): void {
    this.#faults.check(!permanent, "disconnected", `client ${id} was never let in`);
    this.#faults.check(receivedBytes === 0, "misdelivered", `client ${id} was never let in`);
  }

  /**
   * Each byte that was handed to a link was acknowledged, or is told as lost: that is what `lostBytes` says. A manager
   * that is dead by now may have received some of the latter, so all have received no less than was acknowledged, and
   * no more than was handed over.
   */
  #checkSession(client: ChaosClient, { ended, adrift, handed, acknowledged, lost }: TappedSession): void {
    const faults = this.#faults;
    const { id, leaving, sentBytes } = client;
    faults.check(leaving !== undefined, "disconnected", `client ${id} was cut off`);
    faults.check(ended || adrift, "mistold", `the end of client ${id} was never told`);
    const received = this.receivedOf.get(id) ?? 0;
    const told =
      `client ${id} sent ${sentBytes} bytes, of which ${handed} were handed on, ${acknowledged} acknowledged, ` +
      `${lost} told as lost, and ${received} received`;
    faults.check(handed === acknowledged + lost, "miscounted", told);
    faults.check(acknowledged <= received && received <= handed, "miscounted", told);
    faults.check(handed <= sentBytes, "doubled", told);
    // Of one who half leaves everything is read, and of one who says bye everything up to that.
    if (leaving === "half-close") faults.check(handed === sentBytes, "lost", told);
    else if (leaving === "bye") faults.check(handed >= client.byeBytes, "lost", told);
  }
}

/** How much a client must have got that has left in this way. */
function completenessOf(leaving: Farewell | undefined): Completeness {
  if (leaving === "bye") return "all";
  return leaving === "half-close" ? "all-but-the-last" : "any";
}
