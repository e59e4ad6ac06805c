/**
 * Draws the account of a chaos run: for each client, what it has sent against what managers have received, what was told
 * as lost, and how it left.
 */

import { type ChaosClient, type Farewell, idOf } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap, TappedSession } from "./gateway-tap.ts";
import { type AccountTotals, Incarnation } from "./incarnation.ts";
import type { Journal } from "./journal.ts";
import { partsOf } from "./label.ts";
import { type Names, NO_NAMES } from "./membership.ts";
import { Kind } from "./record.ts";
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
    };
    const incarnation = new Incarnation(number, parts);
    this.#incarnations.set(number, incarnation);
    return incarnation;
  }

  /** Everything has come to its end: looks whether it was the right one. */
  finish(): void {
    for (const [number, incarnation] of this.#incarnations) {
      incarnation.finish(number === this.#incarnations.size);
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
    }
  }

  /** One manager after the other was there, each of which has said something, and the gateway was told some of it. */
  #checkHeard({ id, heard, leaving }: ChaosClient, { id: session }: TappedSession): void {
    const senders = new Set(heard.map((label) => partsOf(label).sender));
    const tenures: Tenure[] = [];
    let names = NO_NAMES;
    for (const [number, incarnation] of this.#incarnations) {
      const stay = incarnation.stays.get(session);
      // One that was killed before it knew of the client may have sent something that it got all the same.
      if (stay !== undefined || senders.has(number)) tenures.push(incarnation.tenure(session, names));
      if (stay !== undefined) names = incarnation.namesAfter(stay);
    }
    checkHeard(`client ${id}`, heard, tenures, completenessOf(leaving), this.#faults);
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
