/** What tests of sessions share: limits that limit nothing, a gate that is open, a listener's traits. */

import type { Gate, SessionLimits } from "../../gateway/slots/sessions.ts";
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
};

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
