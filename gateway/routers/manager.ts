/** Routes sessions to a manager: its link hears who joined, what they say, and who left. */

import type * as body from "../../proto/bodies.ts";
import type { Clock } from "../clock.ts";
import type { ManagerLink } from "../links/manager-link.ts";
import type { Unheard } from "../links/unacknowledged.ts";
import type { EndCause, SessionRouter, Slot } from "../slots/slot.ts";

export class ManagerRouter implements SessionRouter {
  readonly #link: ManagerLink;
  readonly #clock: Clock;

  constructor(link: ManagerLink, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  get isCrowded(): boolean {
    return this.#link.crowded;
  }

  joined(slot: Slot): void {
    this.#link.join(slot.session, describe(slot));
  }

  canTell(slot: Slot): boolean {
    // It may have to be told once more, and that says a little more.
    return this.#link.canTell(describe(slot, true));
  }

  message(slot: Slot, bytes: Buffer, start: number, end: number): void {
    this.#link.clientMessage(slot.session, bytes, start, end);
  }

  unheard(slot: Slot, frames: number): Unheard {
    return this.#link.unheard(slot.session, frames);
  }

  disconnected(slot: Slot, { by, reason }: EndCause): void {
    this.#link.disconnected(slot.session, {
      reason,
      by,
      inBytes: slot.inBytes,
      outBytes: slot.acceptedBytes - slot.unsentBytes,
      inMsgs: slot.inMsgs,
      outMsgs: slot.outMsgs,
      unsentBytes: slot.unsentBytes,
      ms: Math.round(this.#clock.now() - slot.joinedAt),
      received: reason === "handoff" ? slot.transfer?.unheard?.received : undefined,
    });
  }
}

function describe(slot: Slot, rejoins = slot.rejoins): body.Join {
  const { address, port, origin, joinedWallAt, user, context, groups, connection, transfer } = slot;
  return {
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
    ...((rejoins || transfer !== undefined) && { admitted: slot.admitted }),
    ...(rejoins && { rejoin: true, lostBytes: slot.lostBytes }),
    ...(transfer !== undefined && {
      from: transfer.manager,
      fromSession: transfer.session,
      data: transfer.data,
    }),
  };
}
