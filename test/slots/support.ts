/** What tests of sessions share: sessions with a clock of their own, and everything around them as a test wants it. */

import type { ManagerChoice } from "../../gateway/choice/choice.ts";
import { RoundRobin } from "../../gateway/choice/round-robin.ts";
import type { Refusal } from "../../gateway/guard/refusal.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import type { Gate, SessionLimits, TicketGate } from "../../gateway/slots/sessions.ts";
import type { EndCause, Slot } from "../../gateway/slots/slot.ts";
import type { ListenerTraits } from "../../gateway/transports/listener.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { addOpenManager, GAME, LIMITS, startKeeping, type TestRouter } from "../helpers/sessions.ts";

/** Deadlines are met this much late at most. */
export const SWEEP_MS = 50;

/** Lets in whom it is not told to refuse, and remembers who is in. */
export class TestGate implements Gate {
  /** The addresses that are in, each as often as it is. */
  readonly inside: string[] = [];
  readonly refused = new Map<string, Refusal>();
  readonly bans: [string, number][] = [];

  enter(address: string): Refusal | undefined {
    const refusal = this.refused.get(address);
    if (refusal === undefined) this.inside.push(address);
    return refusal;
  }

  leave(address: string): void {
    const place = this.inside.indexOf(address);
    if (place === -1) throw new Error(`'${address}' leaves and is not in`);
    this.inside.splice(place, 1);
  }

  tolerates(address: string): Refusal | undefined {
    return this.refused.get(address);
  }

  ban(address: string, ms: number): void {
    this.bans.push([address, ms]);
  }
}

/** Knows one good ticket, `good`, which is taken once. */
export class TestTickets implements TicketGate {
  /** The addresses that tickets were shown from. */
  readonly shownFrom: string[] = [];
  #used = false;

  check(token: string | Buffer, address: string): ReturnType<TicketGate["check"]> {
    this.shownFrom.push(address);
    if (token.toString() === "old") return "expired-ticket";
    if (token.toString() !== "good") return "bad-ticket";
    if (this.#used) return "replayed-ticket";
    this.#used = true;
    return { user: "ann", context: "red team", expiresAtMs: 0 };
  }
}

export interface SessionsSetUp {
  readonly capacity?: number;
  readonly limits?: Partial<SessionLimits>;
  readonly tickets?: TicketGate | undefined;
  readonly admission?: boolean;
  readonly origin?: Partial<ListenerTraits>;
  /** Which manager gets a new session; there is one. */
  readonly choice?: ManagerChoice;
  /** What the manager's router does otherwise than to note what it is told. */
  readonly router?: Partial<TestRouter>;
}

/** Sessions, and what their router was told. */
export function startSessions(given: SessionsSetUp = {}) {
  const { capacity = 4, limits = {}, tickets, admission = false, origin = {} } = given;
  const told: string[] = [];
  const clock = new FakeClock();
  const counters = new Counters();
  const gate = new TestGate();
  const router = {
    joined: ({ session, user, context }: Slot) =>
      told.push(["join", session, user, context].filter((part) => part !== undefined).join(" ")),
    message: ({ session }: Slot, bytes: Buffer, start: number, end: number) =>
      told.push(`message ${session} ${bytes.toString("utf8", start, end)}`),
    disconnected: ({ session }: Slot, { by, reason }: EndCause) =>
      told.push(`end ${session} ${by} ${reason}`),
    ...given.router,
  };
  const choice = given.choice ?? new RoundRobin();
  const sessions = startKeeping({ choice, gate, tickets, limits: { ...LIMITS, ...limits }, counters, clock });
  const roster = addOpenManager(sessions, "manager", router, capacity);
  roster.admission = admission;
  /** A client that connects, handshakes left to the test where `change` says so. */
  const connect = (change: (client: FakeConnection) => void = () => {}) => {
    const client = new FakeConnection();
    change(client);
    sessions.accept(client, { ...GAME, ...origin });
    return client;
  };
  const slotOf = (client: FakeConnection) =>
    sessions.table.slots.find((slot) => slot.connection === client || slot.arrival === client);
  /** A client that is in. */
  const join = (change?: (client: FakeConnection) => void) => {
    const client = connect(change);
    const slot = slotOf(client);
    if (slot === undefined) throw new Error("the client has no slot");
    return { client, id: slot.session, slot };
  };
  return { sessions, roster, clock, counters, gate, told, connect, join, slotOf };
}

export type TestSessions = ReturnType<typeof startSessions>;

/** The refusals that were counted, and how often. */
export function refusalsOf({ counters }: Pick<TestSessions, "counters">): Record<string, number> {
  return Object.fromEntries(Object.entries(counters.refusals).filter(([, count]) => count > 0));
}

/** What the client has got. */
export function delivered(client: FakeConnection): string {
  return Buffer.concat(client.delivered).toString();
}

/** Several messages of one read, which a pause in their midst does not hold up. */
export function saysAtOnce(client: FakeConnection, ...texts: readonly string[]): void {
  for (const text of texts) {
    const bytes = Buffer.from(text);
    client.sink?.received(bytes, 0, bytes.length);
    // The memory is used again for the next read.
    bytes.fill("!");
  }
}

export function handshaking(client: FakeConnection): void {
  client.handshaking = true;
}
