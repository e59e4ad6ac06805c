/**
 * A slot: the place of one session, allocated before the session comes and used again after it went. It
 * holds what is known of the session and passes on what its connection says; what happens to it is decided
 * in sessions.ts, by the table in states.ts.
 */

import type { EndedBy, EndReason } from "../../proto/bodies.ts";
import type { Connection, ConnectionSink } from "../transports/connection.ts";
import type { SlotPhase } from "./states.ts";

/** How a session ended. The first cause decides. */
export interface EndCause {
  readonly by: EndedBy;
  readonly reason: EndReason;
}

/** Hears what comes of a slot's connection. */
export interface SlotOwner {
  received(slot: Slot, bytes: Buffer, length: number): void;
  finished(slot: Slot): void;
  closed(slot: Slot, error: NodeJS.ErrnoException | undefined): void;
}

export class Slot implements ConnectionSink {
  readonly index: number;
  readonly #owner: SlotOwner;

  /** 0 before the first use, then 1..4095. */
  generation = 0;
  /** The session's id on the link; 0 while the slot is freed. */
  session = 0;
  phase: SlotPhase = "freed";
  connection: Connection | undefined;
  /** The name of the listener that the client came through, and what carries it. */
  listener = "";
  transport = "";
  cause: EndCause | undefined;
  /** When it joined: on the monotonic clock, and since 1970. */
  joinedAt = 0;
  joinedWallAt = 0;
  inBytes = 0;
  inMsgs = 0;
  /** Bytes accepted for the client, sent or not. */
  acceptedBytes = 0;
  outMsgs = 0;
  /** Accepted bytes that were discarded. */
  unsentBytes = 0;
  /** What was sent to it in this turn and is not yet written. */
  held: Buffer | undefined;
  moreHeld: Buffer[] | undefined;
  /** Its place among the sessions in use; -1 while it is not one. */
  livePlace = -1;

  constructor(index: number, owner: SlotOwner) {
    this.index = index;
    this.#owner = owner;
  }

  received(bytes: Buffer, length: number): void {
    this.#owner.received(this, bytes, length);
  }

  finished(): void {
    this.#owner.finished(this);
  }

  closed(error: NodeJS.ErrnoException | undefined): void {
    this.#owner.closed(this, error);
  }

  /** Forgets the session, so that the next one finds the slot as new. */
  clear(): void {
    this.session = 0;
    this.connection = undefined;
    this.listener = "";
    this.transport = "";
    this.cause = undefined;
    this.joinedAt = 0;
    this.joinedWallAt = 0;
    this.inBytes = 0;
    this.inMsgs = 0;
    this.acceptedBytes = 0;
    this.outMsgs = 0;
    this.unsentBytes = 0;
    this.held = undefined;
    this.moreHeld = undefined;
  }
}
