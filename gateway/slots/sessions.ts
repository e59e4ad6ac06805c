/**
 * The life of every session: clients take slots, events move them through the table of states.ts, and
 * the effects that it names are carried out here and nowhere else. Knows nothing of sockets or links: a
 * client is an Arrival and then a Connection, and whoever routes its bytes is a SessionRouter. What a manager does with its
 * sessions stands in roster.ts.
 */

import type { EndReason, HandoffRefusal, SlotCounts } from "../../proto/bodies.ts";
import type { Applicant, ManagerChoice } from "../choice/choice.ts";
import type { Failover } from "../choice/failover.ts";
import type { Clock } from "../clock.ts";
import { isPassing, type Refusal } from "../guard/refusal.ts";
import { type TalkLimits, TalkRate } from "../guard/talk-rate.ts";
import type { Ticket, TicketFault } from "../guard/ticket-checker.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Arrival, Connection, TransportFault } from "../transports/connection.ts";
import type { ListenerTraits } from "../transports/listener.ts";
import { Directory, type DirectoryLimits } from "./directory.ts";
import { Hold, type HoldReason } from "./hold.ts";
import { Outbox } from "./outbox.ts";
import { Patrol, type PatrolLimits } from "./patrol.ts";
import { type HandoffOrder, Roster, type RosterKeeper } from "./roster.ts";
import type { EndCause, SessionOwner, SessionRouter, Slot, SlotOwner } from "./slot.ts";
import { SlotTable } from "./slot-table.ts";
import { SparePlace } from "./spare.ts";
import { isOpen, type SlotEffect, type SlotEvent, stateOf, transitions } from "./states.ts";
import { Turns } from "./turns.ts";
import { Unread } from "./unread.ts";

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
  /** The most slots, whatever the managers' capacities add up to. */
  readonly maxCapacity: number;
}

/** Who may say nothing for longer, since it has said so much at once, is closed. */
const MAX_THROTTLE_MS = 30_000;

/** How often deadlines are looked at; they are met this much late at most. */
const SWEEP_MS = 50;

/** What a manager is told when another gets a session. */
const HANDED_OVER: EndCause = { by: "manager", reason: "handoff" };

export interface SessionsOptions {
  /** Which manager gets a new session, and which one that of a lost manager. */
  readonly choice: ManagerChoice;
  readonly failover: Failover;
  readonly gate: Gate;
  readonly tickets?: TicketGate | undefined;
  readonly limits: SessionLimits;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Of several managers that take nobody, the one that may take somebody the soonest has the word. */
const leastRefusals: readonly Refusal[] = ["no-slot", "manager-behind", "no-manager"];

interface Watcher {
  readonly condition: () => boolean;
  readonly resolve: (met: boolean) => void;
  readonly cancel: () => void;
}

export class Sessions implements SlotOwner {
  /** Why nobody is let in at the moment, whatever the managers say; undefined: clients are. */
  closedFor: Refusal | undefined;

  readonly table = new SlotTable(this);
  readonly directory: Directory;
  readonly #choice: ManagerChoice;
  readonly #failover: Failover;
  readonly #rosters: Roster[] = [];
  readonly #gate: Gate;
  readonly #tickets: TicketGate | undefined;
  readonly #limits: SessionLimits;
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #spare: SparePlace;
  readonly #outbox: Outbox;
  readonly #keeper: RosterKeeper;
  readonly #patrol: Patrol;
  readonly #turns: Turns;
  readonly #talkRate: TalkRate | undefined;
  /** Sessions that are not read because they have said too much. */
  #throttled: Slot[] = [];
  #connectedCount = 0;
  /** Who may be in has changed since the last sweep. */
  #listsChanged = false;
  /** When the last sweep was: the clock of what need not be known better. */
  #sweptAt: number;
  #watchers: Watcher[] = [];
  readonly #stopSweeping: () => void;

  constructor({ choice, failover, gate, tickets, limits, counters, clock }: SessionsOptions) {
    this.#choice = choice;
    this.#failover = failover;
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
    this.#keeper = {
      table: this.table,
      outbox: this.#outbox,
      directory: this.directory,
      counters,
      apply: (slot, event) => this.#apply(slot, event),
      end: (slot, event, cause) => this.#end(slot, event, cause),
      announce: (slot) => this.#announceWhenReady(slot),
      hold: (slot, reason) => this.#hold(slot, reason),
      unhold: (slot, reason) => this.#unhold(slot, reason),
      wakeTurns: () => this.#turns.wake(),
      ban: (address, ms) => gate.ban(address, ms),
      resized: () => this.#resize(),
      handOff: (slot, order) => this.#handOff(slot, order),
    };
    this.#patrol = new Patrol(limits, (slot) => this.#end(slot, "end", { by: "gateway", reason: "idle" }));
    this.#turns = new Turns({
      clock,
      hold: (slot) => this.#hold(slot, Hold.turn),
      unhold: (slot) => this.#unhold(slot, Hold.turn),
    });
    this.#talkRate = TalkRate.limits(limits) ? new TalkRate(limits) : undefined;
    this.#stopSweeping = clock.every(SWEEP_MS, () => this.#sweep());
  }

  /**
   * Adds a manager, which has no sessions yet, and gets none before its roster is opened and has a capacity.
   *
   * @param name no two share one
   */
  addManager(name: string, router: SessionRouter): Roster {
    const roster = new Roster(name, router, this.#keeper);
    this.#rosters.push(roster);
    return roster;
  }

  /** How many sessions are in use. */
  get liveCount(): number {
    return this.#rosters.reduce((sum, { liveCount }) => sum + liveCount, 0);
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
   * Writes everything that was sent since the last flush, joined for each client.
   *
   * @returns whether the memory that was given to be sent may be used again
   */
  flush(): boolean {
    return this.#outbox.flush();
  }

  /**
   * A manager is gone for good: the sessions that wait to be announced to it wait for another's, as far as there is one
   * that takes them.
   *
   * @returns the managers that have got some, and how many each
   */
  failOver(lost: Roster): ReadonlyMap<Roster, number> {
    const others = new Map<Roster, number>();
    for (const slot of lost.takeAdrift()) {
      const open = this.#rosters.filter((roster) => roster !== lost && roster.refusal === undefined);
      const other = this.#failover.chooseAnother(applicant(slot), open);
      if (other === undefined) continue;
      slot.transfer ??= { manager: lost.name, session: slot.session, data: undefined };
      lost.give(slot);
      this.table.rename(slot);
      other.await(slot);
      others.set(other, (others.get(other) ?? 0) + 1);
      this.#counters.failovers++;
    }
    return others;
  }

  /** Who may be in has changed: those who may not any more are ended, at the next sweep. */
  recheck(): void {
    this.#listsChanged = true;
  }

  /** The gateway ends every session in use; what is queued is sent first. */
  endAll(reason: EndReason): void {
    for (const slot of this.table.slots) {
      if (slot.phase === "starting") this.#turnAway(slot, "draining");
      else if (isOpen(slot.phase)) this.#end(slot, "end", { by: "gateway", reason });
    }
  }

  /** Cuts every connection that is still there; what is queued is discarded. */
  cutAll(reason: EndReason): void {
    for (const slot of this.table.slots) {
      if (slot.phase !== "freed") this.#end(slot, "cut", { by: "gateway", reason });
    }
  }

  /** There are no managers any more: closes every connection and owes nobody anything. */
  detachAll(reason: EndReason): void {
    for (const roster of this.#rosters) roster.detach(reason);
    for (const slot of this.table.slots) {
      if (slot.phase !== "starting") continue;
      this.#note(slot, this.closedFor ?? "no-manager");
      this.#end(slot, "detach", { by: "gateway", reason });
    }
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
    if (slot.phase === "starting" && slot.origin.ticket !== "first-message") this.#joinWhenHeard(slot);
  }

  received(slot: Slot, bytes: Buffer, start: number, end: number): void {
    const { phase, roster } = slot;
    if (phase === "inUse" && roster !== undefined) this.#message(slot, roster, bytes, start, end);
    else if (phase === "asking" || phase === "adrift") keepUnread(slot, bytes, start, end);
    else if (phase === "starting") this.#introduces(slot, bytes, start, end);
  }

  control(slot: Slot, bytes: number): void {
    this.#hear(slot);
    this.#turns.charge(slot, bytes);
    if (slot.phase === "inUse" && this.#talkRate !== undefined) this.#charge(slot, this.#talkRate, bytes);
  }

  faulted(slot: Slot, fault: TransportFault): void {
    if (slot.phase === "starting") this.#turnAway(slot, "bad-ticket");
    else this.#end(slot, "end", { by: "gateway", reason: fault });
  }

  leaving(slot: Slot, gone: boolean): void {
    if (!isOpen(slot.phase)) return;
    if (!gone) {
      if ((slot.holds & Hold.throttle) !== 0) this.#halfClosed(slot);
    } else if ((slot.holds & (Hold.throttle | Hold.admission)) !== 0) {
      // Nobody is there to pay for what it said, or to be admitted.
      slot.connection?.close();
    } else {
      this.#armHalfClose(slot);
      this.#unhold(slot, Hold.link);
    }
  }

  finished(slot: Slot): void {
    if (slot.phase === "starting") this.#turnAway(slot, "left-early");
    if (isOpen(slot.phase)) this.#halfClosed(slot);
  }

  left(slot: Slot): void {
    if (slot.phase === "starting") this.#turnAway(slot, "left-early");
    else if (!isOpen(slot.phase)) return;
    // What it has said is told, as of one that has only shut down its sending side.
    else if (slot.unread !== undefined) this.#halfClosed(slot);
    else this.#end(slot, "end", { by: "client", reason: "client-closed" });
  }

  closed(slot: Slot, error: NodeJS.ErrnoException | undefined): void {
    if (slot.phase === "starting") this.#note(slot, "left-early");
    slot.cause ??= { by: "client", reason: closeReason(error) };
    const unsent = (slot.connection?.unsentBytes ?? 0) + slot.heldBytes;
    // What a transport has to say of its own can be among what it did not send.
    slot.unsentBytes = Math.min(slot.acceptedBytes, unsent);
    this.#counters.unsentBytes += slot.unsentBytes;
    if (slot.joinedWallAt !== 0) this.#counters.end(slot.cause.reason);
    this.#connectedCount--;
    if (slot.allowance !== undefined) this.#talkRate?.end(slot.allowance, slot.address, this.#sweptAt);
    if (slot.entered) this.#gate.leave(slot.address);
    slot.entered = false;
    this.#apply(slot, "gone");
  }

  // Who is let in.

  /** Why nobody can join, whichever manager a client is for. */
  get #closedFor(): Refusal | undefined {
    if (this.closedFor !== undefined) return this.closedFor;
    if (this.#rosters.some(({ refusal }) => refusal === undefined)) return undefined;
    // There are managers, none of which takes anybody now: what may change the soonest is said.
    const refusals = this.#rosters.map(({ refusal }) => refusal);
    return leastRefusals.find((refusal) => refusals.includes(refusal)) ?? refusals[0] ?? "no-manager";
  }

  #refusalOf({ address, descriptor = 0, goneAs }: Arrival): Refusal | undefined {
    if (goneAs !== undefined) return goneAs;
    if (descriptor >= this.#limits.maxDescriptors) return "descriptors";
    const closedFor = this.#closedFor;
    // Who may not come in at all is told so, also where there is no room.
    if (closedFor !== undefined && closedFor !== "no-slot") return closedFor;
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
    slot.ticketManager = ticket.manager;
    return undefined;
  }

  /** What a client says before it has joined: its ticket, and what tells which manager it is for. */
  #introduces(slot: Slot, bytes: Buffer, start: number, end: number): void {
    if (slot.origin.ticket !== "first-message" || slot.user !== undefined) {
      keepUnread(slot, bytes, start, end);
      this.#join(slot);
      return;
    }
    const refusal = this.#checkTicket(slot, bytes.subarray(start, end));
    if (refusal === undefined) this.#joinWhenHeard(slot);
    else this.#turnAway(slot, refusal);
  }

  /** Lets a client join, once it has said what its manager is chosen by. */
  #joinWhenHeard(slot: Slot): void {
    if (!this.#choice.needsOpening) this.#join(slot);
  }

  #join(slot: Slot): void {
    const roster = this.#chooseFor(slot);
    if (roster === "undecided") return;
    if (typeof roster === "string") {
      this.#turnAway(slot, roster);
      return;
    }
    // Another may have come in as the same user since the ticket was looked at.
    if (slot.user !== undefined && !this.directory.bind(slot, slot.user)) {
      this.#turnAway(slot, "user-taken");
      return;
    }
    this.table.disarm(slot);
    roster.take(slot);
    this.#announceWhenReady(slot);
    if (slot.phase === "inUse") this.#receiveUnread(slot);
  }

  /** Which manager is to have a client; or why none is. */
  #chooseFor(slot: Slot): Roster | Refusal | "undecided" {
    const closedFor = this.#closedFor;
    if (closedFor !== undefined) return closedFor;
    const client = applicant(slot);
    const open = this.#rosters.filter(({ refusal }) => refusal === undefined);
    const chosen = this.#choice.choose(client, open);
    if (chosen !== "no-manager") return chosen;
    // It is for one that takes nobody now, and that one knows why.
    const closed = this.#choice.choose(client, this.#rosters);
    return typeof closed === "string" ? closed : (closed.refusal ?? "no-manager");
  }

  /** Announces a session to its manager, which may have yet to admit it. */
  #announceWhenReady(slot: Slot): void {
    if (slot.admitted || slot.roster?.admission !== true) {
      this.#apply(slot, "ready");
      return;
    }
    this.#apply(slot, "ask");
    this.#hold(slot, Hold.admission);
    if (slot.cause === undefined) this.table.arm(slot, this.#clock.now() + this.#limits.admitTimeoutMs);
  }

  /** Slots are there for as many sessions as the managers allow together. */
  #resize(): void {
    const wanted = this.#rosters.reduce((sum, { capacity }) => sum + capacity, 0);
    this.table.resize(Math.min(wanted, this.#limits.maxCapacity));
  }

  #handOff(slot: Slot, { manager, data, received }: HandoffOrder): HandoffRefusal | undefined {
    const from = slot.roster;
    const to = this.#rosters.find(({ name }) => name === manager);
    if (from === undefined || to === undefined) return "unknown-manager";
    if (to === from) return "same-manager";
    if (slot.phase !== "inUse") return "not-admitted";
    if (to.refusal !== undefined) return to.refusal === "no-slot" ? "no-slot" : "no-manager";
    const transfer = { manager: from.name, session: slot.session, data };
    slot.transfer = transfer;
    if (!to.router.canTell(slot)) {
      slot.transfer = undefined;
      return "too-big";
    }
    if (received !== undefined) slot.transfer = { ...transfer, unheard: from.router.unheard(slot, received) };
    this.#apply(slot, "handOver");
    from.give(slot);
    slot.rejoins = false;
    this.table.rename(slot);
    to.take(slot);
    this.#counters.handoffs++;
    this.#apply(slot, "ready");
    return undefined;
  }

  // What a client that is in says.

  #message(slot: Slot, owner: SessionOwner, bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#talkRate !== undefined && !this.#charge(slot, this.#talkRate, length)) return;
    slot.inBytes += length;
    slot.inMsgs++;
    this.#hear(slot);
    this.#counters.inBytes += length;
    this.#counters.inMsgs++;
    owner.router.message(slot, bytes, start, end);
    this.#turns.charge(slot, length);
  }

  #hear(slot: Slot): void {
    if (slot.heardAt === this.#sweptAt) return;
    slot.heardAt = this.#sweptAt;
    slot.saidBytes = 0;
  }

  /**
   * Charges a client for what it says.
   *
   * @returns whether it may be said
   */
  #charge(slot: Slot, rate: TalkRate, bytes: number): boolean {
    const now = this.#sweptAt;
    const allowance = slot.allowance ?? rate.begin(slot.address, now);
    const isWithin = rate.charge(allowance, bytes, now);
    const silentMs = rate.silentMs(allowance, now);
    const isEnded = this.#limits.ratePolicy === "close" ? !isWithin : silentMs > MAX_THROTTLE_MS;
    if (isEnded) {
      this.#counters.rateLimited++;
      this.#end(slot, "end", { by: "gateway", reason: "rate-limited" });
      return false;
    }
    if (silentMs > 0 && this.#limits.ratePolicy === "pause") this.#throttle(slot);
    return true;
  }

  /** A client that comes in finds what others from its address have used up. */
  #letSpeak(slot: Slot, rate: TalkRate): void {
    if (slot.allowance !== undefined) return;
    slot.allowance = rate.begin(slot.address, this.#sweptAt);
    const mayWait = this.#limits.ratePolicy === "pause";
    if (mayWait && !rate.maySpeak(slot.allowance, this.#sweptAt)) this.#throttle(slot);
  }

  /** Nothing more is read of a client until it may say something again. */
  #throttle(slot: Slot): void {
    if ((slot.holds & Hold.throttle) !== 0) return;
    this.#counters.rateLimited++;
    this.#throttled.push(slot);
    this.#hold(slot, Hold.throttle);
  }

  /** Goes on reading those who may say something again. */
  #releaseThrottled(rate: TalkRate): void {
    const throttled = this.#throttled;
    this.#throttled = [];
    for (const slot of throttled) {
      // Its session has ended meanwhile, or it was in the list twice.
      if ((slot.holds & Hold.throttle) === 0 || slot.allowance === undefined) continue;
      if (rate.maySpeak(slot.allowance, this.#sweptAt)) this.#unhold(slot, Hold.throttle);
      else this.#throttled.push(slot);
    }
  }

  // Who is read.

  #hold(slot: Slot, reason: HoldReason): void {
    slot.holds |= reason;
    this.#pause(slot);
  }

  #unhold(slot: Slot, reason: HoldReason): void {
    if ((slot.holds & reason) === 0) return;
    slot.holds &= ~reason;
    if (slot.holds !== 0) {
      this.#pause(slot);
      return;
    }
    // What it could not say meanwhile is not held against it.
    slot.readSince = this.#clock.now();
    slot.underWayAt = 0;
    this.#receiveUnread(slot);
    if (slot.holds === 0) slot.connection?.resume();
  }

  /** Who owes something may leave it: nobody else does who is not read. */
  #pause({ connection, holds }: Slot): void {
    connection?.pause(holds === Hold.throttle);
  }

  /** A client has shut down its sending side, or is about to have. */
  #halfClosed(slot: Slot): void {
    slot.cause ??= { by: "client", reason: "client-closed" };
    // Who waits to be admitted has said something, perhaps, that is still to be told.
    if (slot.phase !== "asking") this.#armHalfClose(slot);
  }

  // How slots change.

  #end(slot: Slot, event: SlotEvent, cause: EndCause): void {
    slot.cause ??= cause;
    this.#apply(slot, event);
  }

  #overflowed(slot: Slot): void {
    if (!isOpen(slot.phase)) return;
    this.#end(slot, "cut", { by: "gateway", reason: "slow-consumer" });
  }

  #sweep(): void {
    const now = this.#clock.now();
    const elapsedMs = now - this.#sweptAt;
    this.#sweptAt = now;
    this.table.sweep(now, (slot) => this.#expire(slot));
    if (this.#talkRate !== undefined) this.#releaseThrottled(this.#talkRate);
    // Who waits for a turn may be another manager's by now, which has nothing to acknowledge.
    this.#turns.wake();
    this.#patrol.walk(this.table.slots, now, elapsedMs);
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
    if (was === "inUse") slot.roster?.leave(slot);
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
        slot.roster?.router.disconnected(slot, slot.cause ?? { by: "gateway", reason: "error" });
        break;
      case "takeAway":
        slot.roster?.router.disconnected(slot, HANDED_OVER);
        break;
      case "awaitAck":
        this.table.arm(slot, this.#clock.now() + this.#limits.ackTimeoutMs);
        break;
      case "countUnacknowledged":
        this.#counters.unacknowledged++;
        break;
      case "free":
        slot.roster?.give(slot);
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
    } else if (slot.rejoins) {
      this.#counters.rejoins++;
    }
    this.#fitTransfer(slot);
    const { roster, transfer } = slot;
    roster?.router.joined(slot);
    // It was counted when it was said.
    transfer?.unheard?.forEach((bytes, start, end) => {
      roster?.router.message(slot, bytes, start, end);
    });
    slot.transfer = undefined;
  }

  /** What a manager gave along may not fit any more beside the groups that came since: that is lost, and counted. */
  #fitTransfer(slot: Slot): void {
    const { transfer, roster, rejoins } = slot;
    if (transfer?.data === undefined || !rejoins || roster?.router.canTell(slot) !== false) return;
    this.#counters.lostBytes += transfer.data.length;
    slot.transfer = { ...transfer, data: undefined };
  }

  #enter(slot: Slot): void {
    if (!slot.admitted && slot.cause !== undefined) this.#armHalfClose(slot);
    slot.admitted = true;
    slot.roster?.enter(slot);
    slot.readSince = this.#clock.now();
    if (this.#talkRate !== undefined) this.#letSpeak(slot, this.#talkRate);
  }

  #read(slot: Slot): void {
    // One that has shut down its sending side meanwhile keeps the deadline that this gave it.
    if (slot.cause === undefined) this.table.disarm(slot);
    this.#unhold(slot, Hold.admission);
  }

  /** Goes on with what it said before it was in, and was held by something. */
  #receiveUnread(slot: Slot): void {
    const { unread } = slot;
    const isWanted = () => slot.holds === 0 && slot.phase === "inUse";
    if (unread === undefined || !isWanted()) return;
    slot.unread = undefined;
    const isAll = unread.handOn((bytes, start, end) => {
      this.received(slot, bytes, start, end);
      return isWanted();
    });
    if (!isAll) slot.unread = unread;
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
    slot.holds = 0;
    connection.resume();
  }

  /** A client that has shut down its sending side is still sent to for a while. */
  #armHalfClose(slot: Slot): void {
    this.table.arm(slot, this.#clock.now() + this.#limits.halfCloseMs);
  }

  /** A connection that is being ended must be gone by then, or is closed once more. */
  #armFlush(slot: Slot): void {
    this.table.arm(slot, this.#clock.now() + this.#limits.flushTimeoutMs);
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

/** What is known of a client, for the choice of its manager. */
function applicant({ address, origin, ticketManager, unread }: Slot): Applicant {
  return {
    address,
    listenerManager: origin.manager,
    ticketManager,
    opening: unread?.joined(),
    openingWhole: origin.framing !== "none",
  };
}

function keepUnread(slot: Slot, bytes: Buffer, start: number, end: number): void {
  if (slot.unread === undefined) slot.unread = new Unread(bytes, start, end);
  else slot.unread.add(bytes, start, end);
}

function closeReason(error: NodeJS.ErrnoException | undefined): EndReason {
  if (error === undefined) return "client-closed";
  return error.code === "ECONNRESET" || error.code === "EPIPE" ? "client-reset" : "error";
}
