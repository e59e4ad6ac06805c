/** What tests of sessions share: limits that limit nothing, a gate that is open, a listener's traits. */

import { Failover } from "../../gateway/choice/failover.ts";
import { RoundRobin } from "../../gateway/choice/round-robin.ts";
import type { Unacknowledged } from "../../gateway/links/unacknowledged.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import {
  type Gate,
  type SessionLimits,
  Sessions,
  type SessionsOptions,
} from "../../gateway/slots/sessions.ts";
import type { SessionRouter } from "../../gateway/slots/slot.ts";
import type { ListenerTraits } from "../../gateway/transports/listener.ts";

/** A plain TCP listener's. */
export const GAME: ListenerTraits = {
  transport: "tcp",
  name: "game",
  framing: "none",
  ticket: "off",
  pingMs: 0,
  manager: undefined,
};

/** Times and buffers as small as tests like them; nothing else is limited. */
export const LIMITS: SessionLimits = {
  handshakeTimeoutMs: 300,
  admitTimeoutMs: 700,
  clientBufferBytes: 100,
  halfCloseMs: 500,
  flushTimeoutMs: 400,
  ackTimeoutMs: 900,
  idleTimeoutMs: 0,
  firstMessageTimeoutMs: 0,
  minMessageRate: 0,
  messageGraceMs: 1000,
  messageRate: 0,
  messageBurst: 0,
  byteRate: 0,
  byteBurst: 0,
  ratePolicy: "pause",
  userPolicy: "allow",
  maxGroupsPerSession: 3,
  maxDescriptors: Number.POSITIVE_INFINITY,
  maxCapacity: 2 ** 20,
};

/** What a test's router need not care for. */
export type TestRouter = Omit<SessionRouter, "canTell" | "unheard" | "isCrowded"> & Partial<SessionRouter>;

/** Sessions without a manager yet; where nothing else is given, new ones go to each in turn. */
export function startKeeping(
  options: Pick<SessionsOptions, "counters" | "clock"> & Partial<SessionsOptions>,
): Sessions {
  const choice = new RoundRobin();
  const failover = new Failover("round-robin");
  return new Sessions({ choice, failover, gate: new OpenGate(), limits: LIMITS, ...options });
}

/** A manager that takes sessions. */
export function addOpenManager(
  sessions: Sessions,
  name: string,
  router: TestRouter,
  capacity: number,
): Roster {
  const roster = sessions.addManager(name, {
    canTell: () => true,
    isCrowded: false,
    unheard: (_slot, received) => ({ received, forEach() {} }),
    ...router,
  });
  roster.resize(capacity);
  roster.closedFor = undefined;
  return roster;
}

/** What a manager has not acknowledged: so many bytes of each of these sessions. */
export function unacknowledged(lostBytes: readonly (readonly [number, number])[] = []): Unacknowledged {
  return { lostBytes: new Map(lostBytes), transfers: new Map() };
}

/** Lets everybody in, and counts who is. */
export class OpenGate implements Gate {
  inside = 0;

  enter(): undefined {
    this.inside++;
  }

  leave(): void {
    this.inside--;
  }

  tolerates(): undefined {}

  ban(): void {}
}
