/** Routes sessions to a manager: its link hears who joined, what they say, and who left. */

import type { Clock } from "../clock.ts";
import type { ManagerLink } from "../links/manager-link.ts";
import type { SessionRouter } from "../slots/sessions.ts";
import type { Slot } from "../slots/slot.ts";

export class ManagerRouter implements SessionRouter {
  readonly #link: ManagerLink;
  readonly #clock: Clock;

  constructor(link: ManagerLink, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  joined(slot: Slot): void {
    const { session, address, port, origin, joinedWallAt, user, context, groups, connection } = slot;
    this.#link.join(session, {
      addr: address,
      port,
      transport: origin.transport,
      listener: origin.name,
      at: joinedWallAt,
      ...(origin.framing !== "none" && { framing: origin.framing }),
      user,
      context,
      ...connection?.details,
      ...(groups !== undefined && groups.size > 0 && { groups: [...groups] }),
      ...(slot.rejoined && { rejoin: true, admitted: slot.admitted, lostBytes: slot.lostBytes }),
    });
  }

  message(slot: Slot, bytes: Buffer, start: number, end: number): void {
    this.#link.clientMessage(slot.session, bytes, start, end);
  }

  disconnected(slot: Slot): void {
    const { by, reason } = slot.cause ?? { by: "gateway", reason: "error" };
    this.#link.disconnected(slot.session, {
      reason,
      by,
      inBytes: slot.inBytes,
      outBytes: slot.acceptedBytes - slot.unsentBytes,
      inMsgs: slot.inMsgs,
      outMsgs: slot.outMsgs,
      unsentBytes: slot.unsentBytes,
      ms: Math.round(this.#clock.now() - slot.joinedAt),
    });
  }
}
