/**
 * The life of every session: clients take slots, events move them through the table of states.ts, and
 * the effects that it names are carried out here and nowhere else. Knows nothing of sockets or links: a
 * client is an Arrival and then a Connection, and whoever routes its bytes is a SessionRouter.
 */

import type { EndReason, SlotCounts } from "../../proto/bodies.ts";
import type { Clock } from "../clock.ts";
import { isPassing, type Refusal } from "../guard/refusal.ts";
import { type TalkLimits, TalkRate } from "../guard/talk-rate.ts";
import type { Ticket, TicketFault } from "../guard/ticket-checker.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Arrival, Connection, TransportFault } from "../transports/connection.ts";
import type { ListenerTraits } from "../transports/listener.ts";
import { Directory, type DirectoryLimits } from "./directory.ts";
import { heldBytes, Outbox } from "./outbox.ts";
import { Patrol, type PatrolLimits } from "./patrol.ts";
import type { EndCause, Slot, SlotOwner } from "./slot.ts";
import { SlotTable } from "./slot-table.ts";
import { SparePlace } from "./spare.ts";
import { type SlotEffect, type SlotEvent, stateOf, transitions } from "./states.ts";

/** Where a session's life is told and its bytes go. */
export interface SessionRouter {
  /** The client has joined; nothing of it was told before. */
  joined(slot: Slot): void;
  /** The client sent `bytes[start..end)`, which are the transport's and are used again after the call. */
  message(slot: Slot, bytes: Buffer, start: number, end: number): void;
  /** The session's connection is gone. Called once for each `joined`, last. */
  disconnected(slot: Slot): void;
}

/** Who is let in, by address; see Guard. */
export interface Gate {
  enter(address: string): Refusal | undefined;
  leave(address: string): void;
  tolerates(address: string): Refusal | undefined;
  ban(address: string, ms: number): void;
}

/** Who is let in, by ticket; see TicketChecker. */
export interface TicketGate {
  check(token: string | Buffer, address: string): Ticket | TicketFault;
}

export interface SessionLimits extends PatrolLimits, TalkLimits, DirectoryLimits {
  /** How long a client has from its arrival until it has shaken hands and shown its ticket. */
  readonly handshakeTimeoutMs: number;
  /** How long the manager has to admit a client, where it wants to be asked. */
  readonly admitTimeoutMs: number;
  /** What becomes of a client that says more than it may. */
  readonly ratePolicy: "pause" | "close";
  /** A client whose file descriptor has this number or a higher one is refused. */
  readonly maxDescriptors: number;
  /** More than this queued for a client closes it as `slow-consumer`. */
  readonly clientBufferBytes: number;
  /** How long a client that has shut down its sending side is still sent to. */
  readonly halfCloseMs: number;
  /** How long a session that ends has to take what is queued. */
  readonly flushTimeoutMs: number;
  /** How long the manager has to acknowledge a disconnect. */
  readonly ackTimeoutMs: number;
}

/** What a manager says with a drop. */
export interface DropOrder {
  /** For a transport that can say why. */
  readonly reason?: string | undefined;
  readonly code?: number | undefined;
  /** How long the client's address is not let in again. */
  readonly banMs?: number | undefined;
}

/** Where the rate of messages is limited, messages are looked for in so many bytes at a time. */
const SIP_BYTES = 1024;

/** How often deadlines are looked at; they are met this much late at most. */
const SWEEP_MS = 50;

export interface SessionsOptions {
  readonly router: SessionRouter;
  readonly gate: Gate;
  readonly tickets?: TicketGate | undefined;
  readonly limits: SessionLimits;
  readonly counters: Counters;
  readonly clock: Clock;
}

interface Watcher {
  readonly condition: () => boolean;
  readonly resolve: (met: boolean) => void;
  readonly cancel: () => void;
}

export class Sessions implements SlotOwner {
  /** Why nobody is let in at the moment; undefined: clients are. Those who come are refused and counted. */
  closedFor: Refusal | undefined = "no-manager";
  /** Too much is not acknowledged by the manager: nobody is let in until it is. */
  managerBehind = false;
  /** Whether the manager is asked about each client before it is let in. */
  admission = false;

  readonly table = new SlotTable(this);
  readonly directory: Directory;
  readonly #router: SessionRouter;
  readonly #gate: Gate;
  readonly #tickets: TicketGate | undefined;
  readonly #limits: SessionLimits;
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #spare: SparePlace;
  readonly #outbox: Outbox;
  readonly #patrol: Patrol;
  readonly #talkRate: TalkRate | undefined;
  /** The sessions in use, in no order. */
  readonly #live: Slot[] = [];
  /** Sessions that are not read because they have said too much. */
  #throttled: Slot[] = [];
  /** Sessions that wait to be announced to another manager, and some that have ended meanwhile. */
  #adrift: Slot[] = [];
  #connectedCount = 0;
  /** Nobody is read: the link does not drain, or there is none. */
  #congested = false;
  #held = false;
  /** Who may be in has changed since the last sweep. */
  #listsChanged = false;
  /** When the last sweep was: the clock of what need not be known better. */
  #sweptAt: number;
  #watchers: Watcher[] = [];
  readonly #stopSweeping: () => void;

  constructor({ router, gate, tickets, limits, counters, clock }: SessionsOptions) {
    this.#router = router;
    this.#gate = gate;
    this.#tickets = tickets;
    this.#limits = limits;
    this.#counters = counters;
    this.#clock = clock;
    this.#sweptAt = clock.now();
    this.#spare = new SparePlace(clock);
    this.#outbox = new Outbox({
      clientBufferBytes: limits.clientBufferBytes,
      counters,
      overflowed: (slot) => this.#overflowed(slot),
      oversized: (slot) => this.#end(slot, "end", { by: "gateway", reason: "too-big" }),
    });
    this.directory = new Directory(limits, (slot) =>
      this.#end(slot, "end", { by: "gateway", reason: "replaced" }),
    );
    this.#patrol = new Patrol(limits, (slot) => this.#end(slot, "end", { by: "gateway", reason: "idle" }));
    this.#talkRate = TalkRate.limits(limits) ? new TalkRate(limits) : undefined;
    this.#stopSweeping = clock.every(SWEEP_MS, () => this.#sweep());
  }

  /** How many sessions are in use. */
  get liveCount(): number {
    return this.#live.length;
  }

  /** How many clients hold a slot, whatever its state. */
  get connectedCount(): number {
    return this.#connectedCount;
  }

  /** How many slots are in each state. */
  slotCounts(): SlotCounts {
    const counts = { freed: 0, starting: 0, inUse: 0, stopping: 0 };
    for (const slot of this.table.slots) counts[stateOf[slot.phase]]++;
    return counts;
  }

  /** Takes a client that was accepted into a slot, or refuses it. */
  accept(arrival: Arrival, origin: ListenerTraits): void {
    const refusal = this.#refusalOf(arrival);
    if (refusal !== undefined) {
      this.#refuse(arrival, refusal);
      return;
    }
    const slot = this.table.take();
    if (slot === undefined) {
      if (arrival.address !== undefined) this.#gate.leave(arrival.address);
      this.#refuse(arrival, "no-slot");
      return;
    }
    this.#connectedCount++;
    slot.arrival = arrival;
    slot.origin = origin;
    slot.entered = arrival.address !== undefined;
    slot.address = arrival.address ?? "";
    slot.port = arrival.port;
    this.#apply(slot, "take");
    this.table.arm(slot, this.#clock.now() + this.#limits.handshakeTimeoutMs);
    arrival.open(slot);
  }

  /**
   * Sends to one session. The write happens at `flush`; `payload` must stay as it is until then.
   * A session that can't be sent to is counted and nothing else.
   */
  send(session: number, payload: Buffer): void {
    const slot = this.#reachable(session);
    if (slot !== undefined) this.#outbox.hold(slot, payload);
  }

  /** Sends to every session in use. The writes happen at `flush`. */
  sendAll(payload: Buffer): void {
    this.#outbox.holdAll(this.#live, payload);
  }

  /** Sends to each of these sessions, as `send` does to one; to one that is named twice, twice. */
  sendMany(sessions: Iterable<number>, payload: Buffer): void {
    const slots: Slot[] = [];
    for (const session of sessions) {
      const slot = this.#reachable(session);
      if (slot !== undefined) slots.push(slot);
    }
    this.#outbox.holdAll(slots, payload);
  }

  /** Sends to every session in use of a group; that there is none is counted. */
  sendGroup(group: string, payload: Buffer): void {
    const count = this.#outbox.holdThoseInUse(this.directory.group(group), payload);
    if (count === 0) this.#counters.unknownNames++;
  }

  /** Sends to every session in use of a user; that there is none is counted. */
  sendUser(user: string, payload: Buffer): void {
    const count = this.#outbox.holdThoseInUse(this.directory.user(user), payload);
    if (count === 0) this.#counters.unknownNames++;
  }

  /**
   * Binds a session to a user, and to no other any more. A session that can't be sent to is counted and nothing else.
   *
   * @param user empty: to nobody
   * @returns false when the user has a session that is to stay the only one: then this one is bound to nobody
   */
  bind(session: number, user: string): boolean {
    const slot = this.#reachable(session);
    if (slot === undefined || this.directory.bind(slot, user)) return true;
    this.#counters.bindsRefused++;
    return false;
  }

  /** Puts a session into a group, unless it is in as many as it may, which is counted. */
  addToGroup(session: number, group: string): void {
    const slot = this.#reachable(session);
    if (slot !== undefined && this.directory.add(slot, group) === "full") this.#counters.groupsRefused++;
  }

  removeFromGroup(session: number, group: string): void {
    const slot = this.#reachable(session);
    if (slot !== undefined) this.directory.remove(slot, group);
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
    if (slot !== undefined) this.#apply(slot, "admit");
  }

  /**
   * Writes everything that was sent since the last flush, joined for each client.
   *
   * @returns whether the memory that was given to `send` and `sendAll` may be used again
   */
  flush(): boolean {
    return this.#outbox.flush();
  }

  /** Stops or starts reading from every client: the link does not drain, or does again. */
  setPaused(paused: boolean): void {
    const was = this.#isPaused;
    this.#congested = paused;
    if (this.#isPaused !== was) this.#pauseAll();
  }

  /** There is no link, and there may be one again: the clients stay, unread. */
  hold(): void {
    const was = this.#isPaused;
    this.#held = true;
    if (!was) this.#pauseAll();
  }

  /** There is a link again: who is known there is read on. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.#isPaused) this.#pauseAll();
  }

  /**
   * No manager knows the sessions any more. Those that are in wait to be announced again; the others have ended.
   *
   * @param lostBytes what each session's client said that no manager has acknowledged
   */
  orphanAll(lostBytes: ReadonlyMap<number, number>): void {
    for (const slot of this.table.slots) {
      slot.lostBytes += lostBytes.get(slot.session) ?? 0;
      this.#apply(slot, "orphan");
    }
    this.#adrift = this.table.slots.filter((slot) => slot.phase === "adrift");
  }

  /** How many sessions wait to be announced again, some of which may have ended meanwhile. */
  get adriftCount(): number {
    return this.#adrift.length;
  }

  /** Announces sessions that wait for it, `limit` at most. */
  rejoin(limit: number): void {
    for (const slot of this.#adrift.splice(0, limit)) {
      if (slot.phase !== "adrift") continue;
      if (this.admission && !slot.admitted) this.#ask(slot);
      else this.#apply(slot, "ready");
    }
  }

  /** Who may be in has changed: those who may not any more are ended, at the next sweep. */
  recheck(): void {
    this.#listsChanged = true;
  }

  /** The gateway ends every session in use; what is queued is sent first. */
  endAll(reason: EndReason): void {
    for (const slot of this.table.slots) {
      if (slot.phase === "starting") this.#turnAway(slot, "draining");
      else if (slot.phase === "asking" || slot.phase === "inUse" || slot.phase === "adrift")
        this.#end(slot, "end", { by: "gateway", reason });
    }
  }

  /** Cuts every connection that is still there; what is queued is discarded. */
  cutAll(reason: EndReason): void {
    for (const slot of this.table.slots) {
      if (slot.phase !== "freed") this.#end(slot, "cut", { by: "gateway", reason });
    }
  }

  /** The manager is gone: closes every connection and owes nobody anything. */
  detachAll(reason: EndReason): void {
    for (const slot of this.table.slots) {
      if (slot.phase === "freed") continue;
      if (slot.phase === "starting") this.#note(slot, this.closedFor ?? "no-manager");
      // Nobody is waited for, but who can be told why is told.
      if (slot.phase === "inUse" || slot.phase === "asking") slot.connection?.finish({ reason });
      this.#end(slot, "detach", { by: "gateway", reason });
    }
    this.#adrift = [];
    this.#congested = false;
    this.#held = false;
  }

  /**
   * Waits for `condition`, which is looked at after each change of a slot and must be cheap.
   *
   * @returns whether it was met within `ms`
   */
  waitUntil(condition: () => boolean, ms: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timeout = () => {
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
      resolve(false);
    };
    const watcher: Watcher = { condition, resolve, cancel: this.#clock.after(ms, timeout) };
    this.#watchers.push(watcher);
    return promise;
  }

  /** Ends the timers. The sessions must have ended before. */
  stop(): void {
    this.#stopSweeping();
  }

  get #isPaused(): boolean {
    return this.#congested || this.#held;
  }

  /** Does to every client what is to be done now. */
  #pauseAll(): void {
    for (const slot of [...this.#live]) {
      // Looked at for each: one that is read on may say so much that nobody is any more.
      if (this.#isPaused) slot.connection?.pause();
      else if (!slot.throttled) this.#readOn(slot);
    }
  }

  // What clients say.

  identified(slot: Slot, address: string, port: number): Refusal | undefined {
    const refusal = this.#gate.enter(address);
    if (refusal !== undefined) return refusal;
    slot.entered = true;
    slot.address = address;
    slot.port = port;
    return undefined;
  }

  presented(slot: Slot, ticket: string): Refusal | undefined {
    return this.#checkTicket(slot, ticket);
  }

  failed(slot: Slot, refusal: Refusal): void {
    if (slot.phase === "starting") this.#note(slot, refusal);
  }

  established(slot: Slot, connection: Connection): void {
    slot.connection = connection;
    slot.arrival = undefined;
    if (this.#talkRate !== undefined) connection.sip(SIP_BYTES);
    if (slot.phase === "starting" && slot.origin.ticket !== "first-message") this.#join(slot);
  }

  received(slot: Slot, bytes: Buffer, start: number, end: number): void {
    if (slot.phase === "inUse") this.#message(slot, bytes, start, end);
    else if (slot.phase === "asking" || slot.phase === "adrift") keepUnread(slot, bytes.subarray(start, end));
    else if (slot.phase === "starting") this.#ticketMessage(slot, bytes.subarray(start, end));
  }

  control(slot: Slot, bytes: number): void {
    if (slot.phase !== "inUse") return;
    slot.heardAt = this.#sweptAt;
    this.#charge(slot, bytes);
  }

  faulted(slot: Slot, fault: TransportFault): void {
    if (slot.phase === "starting") this.#turnAway(slot, "bad-ticket");
    else this.#end(slot, "end", { by: "gateway", reason: fault });
  }

  finished(slot: Slot): void {
    if (slot.phase === "starting") this.#turnAway(slot, "left-early");
    if (slot.phase !== "inUse" && slot.phase !== "asking" && slot.phase !== "adrift") return;
    slot.cause ??= { by: "client", reason: "client-closed" };
    this.table.arm(slot, this.#clock.now() + this.#limits.halfCloseMs);
  }

  closed(slot: Slot, error: NodeJS.ErrnoException | undefined): void {
    if (slot.phase === "starting") this.#note(slot, "left-early");
    slot.cause ??= { by: "client", reason: closeReason(error) };
    const unsent = (slot.connection?.unsentBytes ?? 0) + heldBytes(slot);
    // What a transport has to say of its own can be among what it did not send.
    slot.unsentBytes = Math.min(slot.acceptedBytes, unsent);
    this.#counters.unsentBytes += slot.unsentBytes;
    if (slot.joinedWallAt !== 0) this.#counters.end(slot.cause.reason);
    this.#connectedCount--;
    if (slot.entered) this.#gate.leave(slot.address);
    slot.entered = false;
    this.#apply(slot, "gone");
  }

  // Who is let in.

  get #closedFor(): Refusal | undefined {
    return this.closedFor ?? (this.managerBehind ? "manager-behind" : undefined);
  }

  #refusalOf({ address, descriptor = 0 }: Arrival): Refusal | undefined {
    if (descriptor >= this.#limits.maxDescriptors) return "descriptors";
    const closedFor = this.#closedFor;
    if (closedFor !== undefined) return closedFor;
    return address === undefined ? undefined : this.#gate.enter(address);
  }

  #refuse(arrival: Arrival, refusal: Refusal): void {
    this.#counters.refuse(refusal);
    if (isPassing(refusal)) {
      this.#spare.refuse(arrival, refusal);
    } else {
      arrival.close();
    }
  }

  /** Counts, once, why a client that holds a slot does not join. */
  #note(slot: Slot, refusal: Refusal): void {
    if (slot.refusal !== undefined) return;
    slot.refusal = refusal;
    this.#counters.refuse(refusal);
  }

  /** Ends a client that has shaken hands and does not join. */
  #turnAway(slot: Slot, refusal: Refusal): void {
    this.#note(slot, refusal);
    slot.farewell = { reason: refusal };
    this.#end(slot, "end", { by: "gateway", reason: "error" });
  }

  #checkTicket(slot: Slot, token: string | Buffer): Refusal | undefined {
    const ticket = this.#tickets?.check(token, slot.address) ?? "bad-ticket";
    if (typeof ticket === "string") return ticket;
    if (this.directory.isTaken(ticket.user)) return "user-taken";
    slot.user = ticket.user;
    slot.context = ticket.context;
    return undefined;
  }

  #ticketMessage(slot: Slot, bytes: Buffer): void {
    const refusal = this.#checkTicket(slot, bytes);
    if (refusal === undefined) this.#join(slot);
    else this.#turnAway(slot, refusal);
  }

  #join(slot: Slot): void {
    const closedFor = this.#closedFor;
    if (closedFor !== undefined) {
      this.#turnAway(slot, closedFor);
      return;
    }
    // Another may have come in as the same user since the ticket was looked at.
    if (slot.user !== undefined && !this.directory.bind(slot, slot.user)) {
      this.#turnAway(slot, "user-taken");
      return;
    }
    this.table.disarm(slot);
    if (this.admission) this.#ask(slot);
    else this.#apply(slot, "ready");
  }

  /** Announces a client, which the manager has yet to admit. */
  #ask(slot: Slot): void {
    this.#apply(slot, "ask");
    slot.connection?.pause();
    if (slot.cause === undefined) this.table.arm(slot, this.#clock.now() + this.#limits.admitTimeoutMs);
  }

  // What a client that is in says.

  #message(slot: Slot, bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    slot.inBytes += length;
    slot.inMsgs++;
    slot.heardAt = this.#sweptAt;
    this.#counters.inBytes += length;
    this.#counters.inMsgs++;
    this.#router.message(slot, bytes, start, end);
    if (this.#talkRate !== undefined) this.#charge(slot, length);
  }

  /** Charges a client for what it said. */
  #charge(slot: Slot, bytes: number): void {
    const rate = this.#talkRate;
    if (rate === undefined) return;
    slot.allowance ??= rate.full(this.#sweptAt);
    if (rate.charge(slot.allowance, bytes, this.#sweptAt) || slot.throttled) return;
    this.#counters.rateLimited++;
    if (this.#limits.ratePolicy === "close") {
      this.#end(slot, "end", { by: "gateway", reason: "rate-limited" });
      return;
    }
    slot.throttled = true;
    this.#throttled.push(slot);
    slot.connection?.pause();
  }

  /** Goes on reading those who have paid what they owed. */
  #releaseThrottled(): void {
    if (this.#throttled.length === 0) return;
    const throttled = this.#throttled;
    this.#throttled = [];
    for (const slot of throttled) {
      if (slot.phase !== "inUse" || !slot.throttled || slot.allowance === undefined) continue;
      if (this.#talkRate?.isPaid(slot.allowance, this.#sweptAt) === false) {
        this.#throttled.push(slot);
        continue;
      }
      slot.throttled = false;
      if (!this.#isPaused) this.#readOn(slot);
    }
  }

  /** Goes on reading a client. What it could not say meanwhile is not held against it. */
  #readOn(slot: Slot): void {
    slot.readSince = this.#clock.now();
    slot.underWayAt = 0;
    slot.connection?.resume();
  }

  // How slots change.

  #manage(session: number, event: SlotEvent, cause: EndCause, { reason, code, banMs }: DropOrder): void {
    const slot = this.#announced(session);
    if (slot === undefined) return;
    const { address } = slot;
    slot.farewell ??= { reason: cause.reason, code, text: reason };
    this.#end(slot, event, cause);
    if (banMs !== undefined) this.#gate.ban(address, banMs);
  }

  /** The slot of a session that can be sent to; an id that is stale, or guessed, is counted. */
  #reachable(session: number): Slot | undefined {
    const slot = this.table.find(session);
    if (slot?.phase === "inUse" || slot?.phase === "asking") return slot;
    this.#counters.staleFrames++;
    return undefined;
  }

  /** The slot of a session that the manager was told of; an id that is stale, or guessed, is counted. */
  #announced(session: number): Slot | undefined {
    const slot = this.table.find(session);
    if (slot !== undefined && slot.phase !== "starting" && slot.phase !== "adrift") return slot;
    this.#counters.staleFrames++;
    return undefined;
  }

  #end(slot: Slot, event: SlotEvent, cause: EndCause): void {
    slot.cause ??= cause;
    this.#apply(slot, event);
  }

  #overflowed(slot: Slot): void {
    if (slot.phase !== "inUse" && slot.phase !== "asking" && slot.phase !== "adrift") return;
    this.#end(slot, "cut", { by: "gateway", reason: "slow-consumer" });
  }

  #sweep(): void {
    const now = this.#clock.now();
    const elapsedMs = now - this.#sweptAt;
    this.#sweptAt = now;
    this.table.sweep(now, (slot) => this.#expire(slot));
    this.#releaseThrottled();
    if (!this.#isPaused) this.#patrol.walk(this.table.slots, now, elapsedMs);
    if (this.#listsChanged) this.#recheck();
  }

  #expire(slot: Slot): void {
    if (slot.phase === "starting") this.#note(slot, "handshake-timeout");
    if (slot.phase === "asking") slot.cause ??= { by: "gateway", reason: "not-admitted" };
    if (slot.phase === "flushing" || slot.phase === "ending") this.#counters.flushTimeouts++;
    this.#apply(slot, "expire");
  }

  #recheck(): void {
    this.#listsChanged = false;
    for (const slot of this.table.slots) {
      if (!slot.entered) continue;
      const refusal = this.#gate.tolerates(slot.address);
      if (refusal === undefined) continue;
      if (slot.phase === "starting") this.#turnAway(slot, refusal);
      else this.#end(slot, "end", { by: "gateway", reason: "denied" });
    }
  }

  #apply(slot: Slot, event: SlotEvent): void {
    const decision = transitions[slot.phase][event];
    if (decision === "ignored") return;
    if (decision === "impossible") {
      throw new Error(`slot ${slot.index} in phase ${slot.phase} was told '${event}', which can't be`);
    }
    const was = slot.phase;
    slot.phase = decision.to;
    if (was === "inUse") this.#leaveLive(slot);
    // Who ends gives up its names at once: its user may be back before the slot is free.
    const state = stateOf[decision.to];
    if (state === "stopping" || state === "freed") this.directory.release(slot);
    for (const effect of decision.effects) this.#carryOut(effect, slot);
    this.#wakeWatchers();
  }

  #carryOut(effect: SlotEffect, slot: Slot): void {
    switch (effect) {
      case "announce":
        this.#announce(slot);
        break;
      case "enter":
        this.#enter(slot);
        break;
      case "read":
        this.#read(slot);
        break;
      case "flush":
        this.#flushAndFinish(slot);
        break;
      case "reset":
        this.#armFlush(slot);
        (slot.connection ?? slot.arrival)?.reset();
        break;
      case "close":
        this.#armFlush(slot);
        (slot.connection ?? slot.arrival)?.close();
        break;
      case "tell":
        this.#router.disconnected(slot);
        break;
      case "awaitAck":
        this.table.arm(slot, this.#clock.now() + this.#limits.ackTimeoutMs);
        break;
      case "countUnacknowledged":
        this.#counters.unacknowledged++;
        break;
      case "free":
        this.table.free(slot);
        break;
    }
  }

  #announce(slot: Slot): void {
    if (slot.joinedWallAt === 0) {
      slot.joinedAt = this.#clock.now();
      slot.joinedWallAt = this.#clock.wall();
      slot.heardAt = slot.joinedAt;
      this.#counters.joins++;
    } else {
      slot.rejoined = true;
      this.#counters.rejoins++;
    }
    this.#router.joined(slot);
  }

  #enter(slot: Slot): void {
    slot.admitted = true;
    slot.livePlace = this.#live.push(slot) - 1;
    slot.readSince = this.#clock.now();
    if (this.#isPaused) slot.connection?.pause();
  }

  #read(slot: Slot): void {
    const { unread = [] } = slot;
    slot.unread = undefined;
    // One that has shut down its sending side meanwhile keeps the deadline that this gave it.
    if (slot.cause === undefined) this.table.disarm(slot);
    for (const bytes of unread) this.received(slot, bytes, 0, bytes.length);
    if (!this.#isPaused && !slot.throttled && slot.phase === "inUse") slot.connection?.resume();
  }

  #flushAndFinish(slot: Slot): void {
    this.#armFlush(slot);
    const { connection, cause, farewell } = slot;
    if (connection === undefined) {
      slot.arrival?.close();
      return;
    }
    this.#outbox.write(slot);
    connection.finish(farewell ?? { reason: cause?.reason ?? "error" });
    // What the client still sends is read and thrown away, so that the close is no reset.
    connection.resume();
  }

  /** A connection that is being ended must be gone by then, or is closed once more. */
  #armFlush(slot: Slot): void {
    this.table.arm(slot, this.#clock.now() + this.#limits.flushTimeoutMs);
  }

  #leaveLive(slot: Slot): void {
    const last = this.#live.pop();
    if (last !== undefined && last !== slot) {
      this.#live[slot.livePlace] = last;
      last.livePlace = slot.livePlace;
    }
    slot.livePlace = -1;
  }

  #wakeWatchers(): void {
    if (this.#watchers.length === 0) return;
    const met = this.#watchers.filter((watcher) => watcher.condition());
    this.#watchers = this.#watchers.filter((watcher) => !met.includes(watcher));
    for (const watcher of met) {
      watcher.cancel();
      watcher.resolve(true);
    }
  }
}

function keepUnread(slot: Slot, bytes: Buffer): void {
  slot.unread ??= [];
  slot.unread.push(Buffer.from(bytes));
}

function closeReason(error: NodeJS.ErrnoException | undefined): EndReason {
  if (error === undefined) return "client-closed";
  return error.code === "ECONNRESET" || error.code === "EPIPE" ? "client-reset" : "error";
}
