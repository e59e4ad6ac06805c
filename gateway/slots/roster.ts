/**
 * The sessions of one manager, and what that manager can do with them. A session is on one roster at a time, from its join
 * to its end or until another manager gets it, and only the manager of that roster reaches it: an id of any other is as
 * stale as one that was never given.
 */

import type { EndReason, HandoffRefusal } from "../../proto/bodies.ts";
import type { Refusal } from "../guard/refusal.ts";
import type { Unacknowledged } from "../links/unacknowledged.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Directory } from "./directory.ts";
import { Hold, type HoldReason } from "./hold.ts";
import type { Encoded, Outbox } from "./outbox.ts";
import type { EndCause, SessionOwner, SessionRouter, Slot } from "./slot.ts";
import type { SlotTable } from "./slot-table.ts";
import { isOpen, type SlotEvent } from "./states.ts";

/** What a manager says with a drop. */
export interface DropOrder {
  /** For a transport that can say why. */
  readonly reason?: string | undefined;
  readonly code?: number | undefined;
  /** How long the client's address is not let in again. */
  readonly banMs?: number | undefined;
}

/** What a manager says with a handoff. */
export interface HandoffOrder {
  /** The name of the manager that is to have the session. */
  readonly manager: string;
  /** What that one is told of it. */
  readonly data?: Uint8Array | undefined;
  /**
   * How many of the gateway's frames the manager had taken by then. What the client said behind them is the other's; where
   * it does not say, what is told after the handoff is.
   */
  readonly received?: number | undefined;
}

/** What a roster leaves to the keeper of all sessions. */
export interface RosterKeeper {
  readonly table: SlotTable;
  readonly outbox: Outbox;
  readonly directory: Directory;
  readonly counters: Counters;
  apply(slot: Slot, event: SlotEvent): void;
  end(slot: Slot, event: SlotEvent, cause: EndCause): void;
  /** Announces a session to the manager that is to have it. */
  announce(slot: Slot): void;
  hold(slot: Slot, reason: HoldReason): void;
  unhold(slot: Slot, reason: HoldReason): void;
  /** Who waits for a turn may have one: a manager has worked something off. */
  wakeTurns(): void;
  ban(address: string, ms: number): void;
  /** A roster's capacity has changed. */
  resized(): void;
  handOff(slot: Slot, order: HandoffOrder): HandoffRefusal | undefined;
}

export class Roster implements SessionOwner {
  /** The manager's. */
  readonly name: string;
  readonly router: SessionRouter;
  /** Why no session may join it at the moment; undefined: they may. */
  closedFor: Refusal | undefined = "no-manager";
  /** Too much is not acknowledged by the manager: nobody joins it until it is. */
  behind = false;
  /** Whether the manager is asked about each client before it is let in. */
  admission = false;

  readonly #keeper: RosterKeeper;
  #capacity = 0;
  /** Sessions that are on it, whatever their state. */
  #count = 0;
  /** Those in use, in no order. */
  readonly #live: Slot[] = [];
  /** Those that wait to be announced, and some that have ended meanwhile. */
  #adrift: Slot[] = [];
  /** Nobody is read: the link does not drain, or there is none. */
  #congested = false;
  #held = false;

  constructor(name: string, router: SessionRouter, keeper: RosterKeeper) {
    this.name = name;
    this.router = router;
    this.#keeper = keeper;
  }

  /** How many sessions there may be at once, as the manager said last; 0 before it has said. */
  get capacity(): number {
    return this.#capacity;
  }

  /** How many sessions are on it, whatever their state. */
  get sessionCount(): number {
    return this.#count;
  }

  /** How many of them are in use. */
  get liveCount(): number {
    return this.#live.length;
  }

  /** Why nobody can join; undefined: who comes can. */
  get refusal(): Refusal | undefined {
    if (this.closedFor !== undefined) return this.closedFor;
    if (this.behind) return "manager-behind";
    return this.#count < this.#capacity ? undefined : "no-slot";
  }

  /**
   * Sets the capacity. Under a smaller one the sessions that are there go on, and nobody joins until they are fewer.
   *
   * @param capacity 1..2^20
   */
  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#keeper.resized();
  }

  // What the manager says.

  /**
   * Sends to one session. The write happens at the next flush; `payload` must stay as it is until then.
   * A session that can't be sent to is counted and nothing else.
   */
  send(session: number, payload: Buffer): void {
    const slot = this.#reachable(session);
    if (slot !== undefined) this.#keeper.outbox.hold(slot, payload);
  }

  /** Sends to every session in use. The writes happen at the next flush. */
  sendAll(payload: Buffer): void {
    this.#keeper.outbox.holdAll(this.#live, payload);
  }

  /** Sends to each of these sessions, as `send` does to one; to one that is named twice, twice. */
  sendMany(sessions: Iterable<number>, payload: Buffer): void {
    const { outbox } = this.#keeper;
    const encoded: Encoded = new Map();
    for (const session of sessions) {
      // Looked for each time: one that is named often may be cut in their midst.
      const slot = this.#reachable(session);
      if (slot !== undefined) outbox.hold(slot, payload, encoded);
    }
  }

  /** Sends to every session in use of a group; that there is none is counted. */
  sendGroup(group: string, payload: Buffer): void {
    this.#sendNamed(this.#keeper.directory.group(group), payload);
  }

  /** Sends to every session in use of a user; that there is none is counted. */
  sendUser(user: string, payload: Buffer): void {
    this.#sendNamed(this.#keeper.directory.user(user), payload);
  }

  /**
   * Binds a session to a user, and to no other any more. A session that can't be sent to is counted and nothing else.
   *
   * @param user empty: to nobody
   * @returns false when the user has a session, of whichever manager, that is to stay the only one: then this one is
   *   bound to nobody
   */
  bind(session: number, user: string): boolean {
    const slot = this.#reachable(session);
    const { directory, counters } = this.#keeper;
    if (slot === undefined || directory.bind(slot, user)) return true;
    counters.bindsRefused++;
    return false;
  }

  /** Puts a session into a group, unless it is in as many as it may, which is counted. */
  addToGroup(session: number, group: string): void {
    const slot = this.#reachable(session);
    const { directory, counters } = this.#keeper;
    if (slot !== undefined && directory.add(slot, group) === "full") counters.groupsRefused++;
  }

  removeFromGroup(session: number, group: string): void {
    const slot = this.#reachable(session);
    if (slot !== undefined) this.#keeper.directory.remove(slot, group);
  }

  /** The manager's `Drop`: what is queued is sent, then the connection is closed. */
  drop(session: number, order: DropOrder = {}): void {
    this.#manage(session, "drop", { by: "manager", reason: "dropped" }, order);
  }

  /** The manager's `DropDiscard`: the connection is reset at once. */
  dropDiscard(session: number, order: DropOrder = {}): void {
    this.#manage(session, "discard", { by: "manager", reason: "drop-discarded" }, order);
  }

  /** The manager's `Admit`: the client is let in. */
  admit(session: number): void {
    const slot = this.#announced(session);
    if (slot !== undefined) this.#keeper.apply(slot, "admit");
  }

  /**
   * Gives a session to another manager of this gateway, under another id. One that has ended, or is about to, is counted
   * and nothing else.
   *
   * @returns why it stays where it is, if it does
   */
  handOff(session: number, order: HandoffOrder): HandoffRefusal | undefined {
    const slot = this.#reachable(session);
    return slot === undefined ? undefined : this.#keeper.handOff(slot, order);
  }

  // How its link fares.

  /** Nobody is read: the link does not drain, or there is none. */
  get isPaused(): boolean {
    return this.#congested || this.#held;
  }

  /** So much is under way to the manager that who has said more than a little waits for a turn. */
  get isCrowded(): boolean {
    return this.router.isCrowded;
  }

  /** The manager has acknowledged something. */
  acknowledged(): void {
    this.#keeper.wakeTurns();
  }

  /** Stops or starts reading from every client: the link does not drain, or does again. */
  setPaused(paused: boolean): void {
    const was = this.isPaused;
    this.#congested = paused;
    if (this.isPaused !== was) this.#pauseAll();
  }

  /** There is no link, and there may be one again: the clients stay, unread. */
  hold(): void {
    const was = this.isPaused;
    this.#held = true;
    if (!was) this.#pauseAll();
  }

  /** There is a link again: who is known there is read on. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.isPaused) this.#pauseAll();
  }

  /** No manager knows the sessions any more. Those that are in wait to be announced again; the others have ended. */
  orphan({ lostBytes, transfers }: Unacknowledged): void {
    this.#adrift = [];
    for (const slot of this.#keeper.table.slots) {
      if (slot.roster !== this) continue;
      slot.lostBytes += lostBytes.get(slot.session) ?? 0;
      slot.transfer ??= transfers.get(slot.session);
      this.#keeper.apply(slot, "orphan");
      if (slot.phase !== "adrift") continue;
      this.#keeper.hold(slot, Hold.admission);
      slot.rejoins = true;
      this.#adrift.push(slot);
    }
  }

  /** How many sessions wait to be announced again, some of which may have ended meanwhile. */
  get adriftCount(): number {
    return this.#adrift.length;
  }

  /** Announces sessions that wait for it, `limit` at most. */
  rejoin(limit: number): void {
    for (const slot of this.#adrift.splice(0, limit)) {
      if (slot.roster === this && slot.phase === "adrift") this.#keeper.announce(slot);
    }
  }

  /** The manager is gone: closes the connection of each of its sessions and owes it nothing. */
  detach(reason: EndReason): void {
    for (const slot of this.#keeper.table.slots) {
      if (slot.roster !== this) continue;
      // Nobody is waited for, but who can be told why is told.
      if (isOpen(slot.phase)) slot.connection?.finish({ reason });
      this.#keeper.end(slot, "detach", { by: "gateway", reason });
    }
    this.#adrift = [];
    this.#congested = false;
    this.#held = false;
  }

  // How sessions come and go; for the keeper alone.

  /** A session is this manager's from here on. */
  take(slot: Slot): void {
    slot.roster = this;
    this.#count++;
  }

  /** And is not any more. */
  give(slot: Slot): void {
    slot.roster = undefined;
    this.#count--;
  }

  /** Takes a session that is to be announced when its turn has come. */
  await(slot: Slot): void {
    this.take(slot);
    this.#adrift.push(slot);
  }

  /** Gives up those that wait to be announced; they are still on it. */
  takeAdrift(): Slot[] {
    const adrift = this.#adrift.filter((slot) => slot.roster === this && slot.phase === "adrift");
    this.#adrift = [];
    return adrift;
  }

  /** A session comes into use. */
  enter(slot: Slot): void {
    slot.livePlace = this.#live.push(slot) - 1;
    this.#pauseOrNot(slot);
  }

  /** And is not any more. */
  leave(slot: Slot): void {
    const last = this.#live.pop();
    if (last !== undefined && last !== slot) {
      this.#live[slot.livePlace] = last;
      last.livePlace = slot.livePlace;
    }
    slot.livePlace = -1;
  }

  #sendNamed(slots: ReadonlySet<Slot>, payload: Buffer): void {
    const { outbox, counters } = this.#keeper;
    const count = outbox.holdThose(slots, payload, (slot) => slot.roster === this && slot.phase === "inUse");
    if (count === 0) counters.unknownNames++;
  }

  /** Does to every client what is to be done now. */
  #pauseAll(): void {
    // Looked at for each: one that is read on may say so much that nobody is any more.
    for (const slot of [...this.#live]) this.#pauseOrNot(slot);
  }

  #pauseOrNot(slot: Slot): void {
    if (this.isPaused) this.#keeper.hold(slot, Hold.link);
    else this.#keeper.unhold(slot, Hold.link);
  }

  #manage(session: number, event: SlotEvent, cause: EndCause, { reason, code, banMs }: DropOrder): void {
    const slot = this.#announced(session);
    if (slot === undefined) return;
    const { address } = slot;
    slot.farewell ??= { reason: cause.reason, code, text: reason };
    this.#keeper.end(slot, event, cause);
    if (banMs !== undefined) this.#keeper.ban(address, banMs);
  }

  /** The slot of a session that can be sent to; an id that is stale, or guessed, is counted. */
  #reachable(session: number): Slot | undefined {
    const slot = this.#keeper.table.find(session);
    if (slot?.roster === this && (slot.phase === "inUse" || slot.phase === "asking")) return slot;
    this.#keeper.counters.staleFrames++;
    return undefined;
  }

  /** The slot of a session that the manager was told of; an id that is stale, or guessed, is counted. */
  #announced(session: number): Slot | undefined {
    const slot = this.#keeper.table.find(session);
    if (slot?.roster === this && slot.phase !== "adrift") return slot;
    this.#keeper.counters.staleFrames++;
    return undefined;
  }
}
