/**
 * A slot: the place of one session, allocated before the session comes and used again after it went. It
 * holds what is known of the session and passes on what its connection says; what happens to it is decided
 * in sessions.ts, by the table in states.ts.
 */

import type { EndedBy, EndReason } from "../../proto/bodies.ts";
import type { Refusal } from "../guard/refusal.ts";
import type { Allowance } from "../guard/talk-rate.ts";
import type { Transfer, Unheard } from "../links/unacknowledged.ts";
import type {
  Arrival,
  Connection,
  ConnectionSink,
  Farewell,
  TransportFault,
} from "../transports/connection.ts";
import type { ListenerTraits } from "../transports/listener.ts";
import type { SlotPhase } from "./states.ts";
import type { Unread } from "./unread.ts";

/** How a session ended. The first cause decides. */
export interface EndCause {
  readonly by: EndedBy;
  readonly reason: EndReason;
}

/** Hears what comes of a slot's client; see ConnectionSink. */
export interface SlotOwner {
  identified(slot: Slot, address: string, port: number): Refusal | undefined;
  presented(slot: Slot, ticket: string): Refusal | undefined;
  failed(slot: Slot, refusal: Refusal): void;
  established(slot: Slot, connection: Connection): void;
  received(slot: Slot, bytes: Buffer, start: number, end: number): void;
  control(slot: Slot, bytes: number): void;
  faulted(slot: Slot, fault: TransportFault): void;
  leaving(slot: Slot, gone: boolean): void;
  finished(slot: Slot): void;
  left(slot: Slot): void;
  closed(slot: Slot, error: NodeJS.ErrnoException | undefined): void;
}

/** Where a session's life is told and its bytes go. */
export interface SessionRouter {
  /** More is under way than is worked off in a few milliseconds. */
  readonly isCrowded: boolean;
  /** The client has joined; nothing of it was told before, or it is told to another manager, or told again. */
  joined(slot: Slot): void;
  /** Whether `joined` could say all that there is to say of this session, also once more. */
  canTell(slot: Slot): boolean;
  /** The client sent `bytes[start..end)`, which are the transport's and are used again after the call. */
  message(slot: Slot, bytes: Buffer, start: number, end: number): void;
  /**
   * What the client said behind the first `frames` that its manager was told, without what that one has acknowledged. It is
   * told to the manager that gets the session.
   */
  unheard(slot: Slot, frames: number): Unheard;
  /** The session's connection is gone, or another manager has the session. Called once for each `joined`, last. */
  disconnected(slot: Slot, cause: EndCause): void;
}

/** Whose a session is; see Roster. */
export interface SessionOwner {
  readonly name: string;
  readonly router: SessionRouter;
  /** Nobody is read. */
  readonly isPaused: boolean;
  /** So much is under way to it that who has said more than a little waits. */
  readonly isCrowded: boolean;
  readonly admission: boolean;
  enter(slot: Slot): void;
  leave(slot: Slot): void;
  give(slot: Slot): void;
}

const NOWHERE: ListenerTraits = {
  transport: "",
  name: "",
  framing: "none",
  ticket: "off",
  pingMs: 0,
  manager: undefined,
};

export class Slot implements ConnectionSink {
  readonly #owner: SlotOwner;

  // What each message touches stands together: with thousands of clients a slot is not in the processor's cache.

  /** The session's id on the link; 0 while the slot is freed. */
  session = 0;
  phase: SlotPhase = "freed";
  /** The manager's, from its join on. */
  roster: SessionOwner | undefined;
  /** The client, once its handshake is through. */
  connection: Connection | undefined;
  inBytes = 0;
  inMsgs = 0;
  /** When it said something last, by the clock of the sweeps. */
  heardAt = 0;
  /** What it has said since it last had a turn, or since the last sweep: bytes, and some for each message. */
  saidBytes = 0;
  /** Why it is not read, each reason a bit (hold.ts). */
  holds = 0;
  /** Bytes accepted for the client, sent or not. */
  acceptedBytes = 0;
  outMsgs = 0;
  /** What was sent to it in this turn and is not yet written. */
  held: Buffer | undefined;
  moreHeld: Buffer[] | undefined;
  heldBytes = 0;

  readonly index: number;
  /** 0 before the first use, then 1..4095. */
  generation = 0;
  /** Who came, until its handshake is through. */
  arrival: Arrival | undefined;
  origin: ListenerTraits = NOWHERE;
  /** The client's address and port, once they are known; empty where there is none. */
  address = "";
  port = 0;
  /** Its address was let in and is counted. */
  entered = false;
  /** Why it was turned away before it joined. */
  refusal: Refusal | undefined;
  /** Who it is: by its ticket, and once it has joined as the directory has it. */
  user: string | undefined;
  /** What else its ticket says for the manager. */
  context: string | undefined;
  /** The manager that its ticket names. */
  ticketManager: string | undefined;
  /** The groups that it is in, as the directory has them. */
  groups: Set<string> | undefined;
  /** The manager, or one before it, has let it in. */
  admitted = false;
  /** It was in before, and is announced to a manager that does not know it. */
  rejoins = false;
  /** Where it comes from, until it is announced. */
  transfer: Transfer | undefined;
  /** What its client said that no manager has acknowledged, bytes. */
  lostBytes = 0;
  cause: EndCause | undefined;
  /** What is said to the client at its end, where that is not its cause. */
  farewell: Farewell | undefined;
  /** When it joined: on the monotonic clock, and since 1970. */
  joinedAt = 0;
  joinedWallAt = 0;
  /** When it was asked for a sign of life, by the clock of the sweeps. */
  pingedAt = 0;
  /** Since when it is read without a pause of ours, by the monotonic clock. */
  readSince = 0;
  /** Accepted bytes that were discarded. */
  unsentBytes = 0;
  /** What it said before it was in. */
  unread: Unread | undefined;
  /** What it may still say, where that is limited. */
  allowance: Allowance | undefined;
  /** Of a message under way when it was last looked at: how many there were before, how much of it, and when. */
  underWayAfter = 0;
  underWayBytes = 0;
  underWayAt = 0;
  /** Its place among the sessions in use; -1 while it is not one. */
  livePlace = -1;

  constructor(index: number, owner: SlotOwner) {
    this.index = index;
    this.#owner = owner;
  }

  identified(address: string, port: number): Refusal | undefined {
    return this.#owner.identified(this, address, port);
  }

  presented(ticket: string): Refusal | undefined {
    return this.#owner.presented(this, ticket);
  }

  failed(refusal: Refusal): void {
    this.#owner.failed(this, refusal);
  }

  established(connection: Connection): void {
    this.#owner.established(this, connection);
  }

  received(bytes: Buffer, start: number, end: number): void {
    this.#owner.received(this, bytes, start, end);
  }

  control(bytes: number): void {
    this.#owner.control(this, bytes);
  }

  faulted(fault: TransportFault): void {
    this.#owner.faulted(this, fault);
  }

  leaving(gone: boolean): void {
    this.#owner.leaving(this, gone);
  }

  finished(): void {
    this.#owner.finished(this);
  }

  left(): void {
    this.#owner.left(this);
  }

  closed(error: NodeJS.ErrnoException | undefined): void {
    this.#owner.closed(this, error);
  }

  /** Forgets the session, so that the next one finds the slot as new. */
  clear(): void {
    this.session = 0;
    this.arrival = undefined;
    this.connection = undefined;
    this.origin = NOWHERE;
    this.address = "";
    this.port = 0;
    this.entered = false;
    this.refusal = undefined;
    this.user = undefined;
    this.context = undefined;
    this.ticketManager = undefined;
    this.groups = undefined;
    this.admitted = false;
    this.roster = undefined;
    this.rejoins = false;
    this.transfer = undefined;
    this.lostBytes = 0;
    this.cause = undefined;
    this.farewell = undefined;
    this.joinedAt = 0;
    this.joinedWallAt = 0;
    this.heardAt = 0;
    this.pingedAt = 0;
    this.readSince = 0;
    this.inBytes = 0;
    this.inMsgs = 0;
    this.acceptedBytes = 0;
    this.outMsgs = 0;
    this.unsentBytes = 0;
    this.held = undefined;
    this.moreHeld = undefined;
    this.heldBytes = 0;
    this.unread = undefined;
    this.allowance = undefined;
    this.saidBytes = 0;
    this.holds = 0;
    this.underWayAfter = 0;
    this.underWayBytes = 0;
    this.underWayAt = 0;
  }
}
