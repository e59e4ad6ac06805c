/** What all managers of a chaos run have in common where it is drawn up what they have noted. */

import type { ChaosClient } from "./chaos-client.ts";
import type { Faults } from "./faults.ts";
import type { GatewayTap } from "./gateway-tap.ts";
import type { Names } from "./membership.ts";

/** The capacity that an incarnation of the manager tells is how it is told from the others. */
const CAPACITY_BASE = 3000;

export function capacityOf(incarnation: number): number {
  return CAPACITY_BASE + incarnation;
}

export function incarnationOf(capacity: number): number {
  return capacity - CAPACITY_BASE;
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
  /** How often managers have handed a session over, were given one, and could not. */
  handoffs: number;
  arrivals: number;
  keeps: number;
  receivedBytes: number;
}

export interface AccountParts {
  readonly clients: ReadonlyMap<number, ChaosClient>;
  readonly tap: GatewayTap;
  readonly faults: Faults;
  readonly totals: AccountTotals;
  readonly heardOf: Map<number, number>;
  /** What each session is called, as far as the gateway has been told by the last manager that knew of it. */
  readonly names: Map<number, () => Names>;
  /** What is on its way from one manager to the other, by the session's id at the first. */
  readonly handedData: Map<number, Buffer>;
}
