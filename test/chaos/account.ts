/**
 * Draws the account of a chaos run: for each client, what it has sent against what managers have received, what was told
 * as lost, and how it left.
 */

import { type ChaosClient, idOf } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap, TappedSession } from "./gateway-tap.ts";
import { type AccountTotals, Incarnation } from "./incarnation.ts";
import type { Journal } from "./journal.ts";

export class Account {
  readonly totals: AccountTotals = {
    joins: 0,
    rejoins: 0,
    leaves: 0,
    fromClients: 0,
    fromClientsBytes: 0,
    toClients: 0,
    toAll: 0,
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
      if (session === undefined) this.#checkRefused(client);
      else this.#checkSession(client, session);
    }
  }

  #count({ heard, receivedBytes }: ChaosClient): void {
    this.totals.receivedBytes += receivedBytes;
    for (const { directed, toAll } of heard.values()) {
      this.totals.toClients += directed.last;
      if (toAll !== undefined) this.totals.toAll += toAll.sequence.last - toAll.first + 1;
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
