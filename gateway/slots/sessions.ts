/**
 * The life of every session: connections take slots, events move them through the table of states.ts, and
 * the effects that it names are carried out here and nowhere else. Knows nothing of sockets or links: a
 * client is a Connection, and whoever routes its bytes is a SessionRouter.
 */

import type { EndReason, SlotCounts } from "../../proto/bodies.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Connection } from "../transports/connection.ts";
import type { EndCause, Slot, SlotOwner } from "./slot.ts";
import { SlotTable } from "./slot-table.ts";
import { SparePlace } from "./spare.ts";
import { type SlotEffect, type SlotEvent, stateOf, transitions } from "./states.ts";

/** Where a session's life is told and its bytes go. */
export interface SessionRouter {
  /** The session is in use; nothing of it was told before. */
  joined(slot: Slot): void;
  /** The client sent `bytes[start..end)`, which are the transport's and are used again after the call. */
  message(slot: Slot, bytes: Buffer, start: number, end: number): void;
  /** The session's connection is gone. Called once for each `joined`, last. */
  disconnected(slot: Slot): void;
}

export interface SessionLimits {
  /** More than this queued for a client closes it as `slow-consumer`. */
  readonly clientBufferBytes: number;
  /** How long a client that has shut down its sending side is still sent to. */
  readonly halfCloseMs: number;
  /** How long a session that ends has to take what is queued. */
  readonly flushTimeoutMs: number;
  /** How long the manager has to acknowledge a disconnect. */
  readonly ackTimeoutMs: number;
}

/** How often deadlines are looked at; they are met this much late at most. */
const SWEEP_MS = 50;

export interface SessionsOptions {
  readonly router: SessionRouter;
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
  /** Whether new clients are let in. While not, they are refused and counted. */
  accepting = false;

  readonly table = new SlotTable(this);
  readonly #router: SessionRouter;
  readonly #limits: SessionLimits;
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #spare: SparePlace;
  /** The sessions in use, in no order. */
  readonly #live: Slot[] = [];
  /** Sessions with something held that is not yet written. */
  #dirty: Slot[] = [];
  /** No write since the last flush still needs the memory that it was given. */
  #released = true;
  #connectedCount = 0;
  #paused = false;
  #watchers: Watcher[] = [];
  readonly #stopSweeping: () => void;

  constructor({ router, limits, counters, clock }: SessionsOptions) {
    this.#router = router;
    this.#limits = limits;
    this.#counters = counters;
    this.#clock = clock;
    this.#spare = new SparePlace(clock);
    this.#stopSweeping = clock.every(SWEEP_MS, () => this.#sweep());
  }

  /** How many sessions are in use. */
  get liveCount(): number {
    return this.#live.length;
  }

  /** How many connections hold a slot, whatever its state. */
  get connectedCount(): number {
    return this.#connectedCount;
  }

  /** How many slots are in each state. */
  slotCounts(): SlotCounts {
    const counts = { freed: 0, starting: 0, inUse: 0, stopping: 0 };
    for (const slot of this.table.slots) counts[stateOf[slot.phase]]++;
    return counts;
  }

  /** Takes a connection that was accepted into a slot, or refuses it when there is none. */
  accept(connection: Connection, from: { readonly transport: string; readonly name: string }): void {
    const slot = this.accepting ? this.table.take() : undefined;
    if (slot === undefined) {
      this.#counters.refused++;
      this.#spare.refuse(connection);
      return;
    }
    this.#connectedCount++;
    slot.connection = connection;
    slot.transport = from.transport;
    slot.listener = from.name;
    this.#apply(slot, "take");
    this.#apply(slot, "ready");
  }

  /**
   * Sends to one session. The write happens at `flush`; `bytes` must stay as they are until then.
   * A session that is not in use is counted and nothing else.
   */
  send(session: number, bytes: Buffer): void {
    const slot = this.table.find(session);
    if (slot?.phase === "inUse") this.#hold(slot, bytes);
    else this.#counters.staleFrames++;
  }

  /** Sends to every session in use. The writes happen at `flush`. */
  sendAll(bytes: Buffer): void {
    for (const slot of this.#live) this.#hold(slot, bytes);
  }

  /** The manager's `Drop`: what is queued is sent, then the connection is closed. */
  drop(session: number): void {
    this.#manage(session, "drop", { by: "manager", reason: "dropped" });
  }

  /** The manager's `DropDiscard`: the connection is reset at once. */
  dropDiscard(session: number): void {
    this.#manage(session, "discard", { by: "manager", reason: "drop-discarded" });
  }

  /**
   * Writes everything that was sent since the last flush, joined for each client.
   *
   * @returns whether the memory that was given to `send` and `sendAll` may be used again
   */
  flush(): boolean {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const slot of dirty) {
      if (slot.phase === "inUse") this.#writeHeld(slot);
    }
    const released = this.#released;
    this.#released = true;
    return released;
  }

  /** Stops or starts reading from every client: the link does not drain, or does again. */
  setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    for (const slot of this.#live) {
      if (paused) slot.connection?.pause();
      else slot.connection?.resume();
    }
  }

  /** The gateway ends every session in use; what is queued is sent first. */
  endAll(reason: EndReason): void {
    for (const slot of [...this.#live]) this.#end(slot, "end", { by: "gateway", reason });
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
      if (slot.phase !== "freed") this.#end(slot, "detach", { by: "gateway", reason });
    }
    this.setPaused(false);
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

  // What connections say.

  received(slot: Slot, bytes: Buffer, length: number): void {
    if (slot.phase !== "inUse") return;
    slot.inBytes += length;
    slot.inMsgs++;
    this.#counters.inBytes += length;
    this.#counters.inMsgs++;
    this.#router.message(slot, bytes, 0, length);
  }

  finished(slot: Slot): void {
    if (slot.phase !== "inUse") return;
    slot.cause ??= { by: "client", reason: "client-closed" };
    this.table.arm(slot, this.#clock.now() + this.#limits.halfCloseMs);
  }

  closed(slot: Slot, error: NodeJS.ErrnoException | undefined): void {
    slot.cause ??= { by: "client", reason: closeReason(error) };
    slot.unsentBytes += (slot.connection?.unsentBytes ?? 0) + heldBytes(slot);
    this.#counters.unsentBytes += slot.unsentBytes;
    this.#connectedCount--;
    this.#apply(slot, "gone");
  }

  // How slots change.

  #manage(session: number, event: SlotEvent, cause: EndCause): void {
    const slot = this.table.find(session);
    if (slot === undefined) this.#counters.staleFrames++;
    else this.#end(slot, event, cause);
  }

  #end(slot: Slot, event: SlotEvent, cause: EndCause): void {
    slot.cause ??= cause;
    this.#apply(slot, event);
  }

  #sweep(): void {
    this.table.sweep(this.#clock.now(), (slot) => this.#apply(slot, "expire"));
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
    for (const effect of decision.effects) this.#carryOut(effect, slot);
    this.#wakeWatchers();
  }

  #carryOut(effect: SlotEffect, slot: Slot): void {
    switch (effect) {
      case "announce":
        this.#announce(slot);
        break;
      case "flush":
        this.#flushAndFinish(slot);
        break;
      case "reset":
        this.#armFlush(slot);
        slot.connection?.reset();
        break;
      case "close":
        this.#armFlush(slot);
        slot.connection?.close();
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
    slot.joinedAt = this.#clock.now();
    slot.joinedWallAt = this.#clock.wall();
    slot.livePlace = this.#live.push(slot) - 1;
    this.#counters.joins++;
    this.#router.joined(slot);
    slot.connection?.open(slot);
    if (this.#paused) slot.connection?.pause();
  }

  #flushAndFinish(slot: Slot): void {
    this.#armFlush(slot);
    this.#writeHeld(slot);
    slot.connection?.finish();
    // What the client still sends is read and thrown away, so that the close is no reset.
    if (this.#paused) slot.connection?.resume();
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

  // What goes to clients.

  #hold(slot: Slot, bytes: Buffer): void {
    slot.acceptedBytes += bytes.length;
    slot.outMsgs++;
    this.#counters.outBytes += bytes.length;
    this.#counters.outMsgs++;
    if (slot.held === undefined) {
      slot.held = bytes;
      this.#dirty.push(slot);
    } else if (slot.moreHeld === undefined) {
      slot.moreHeld = [slot.held, bytes];
    } else {
      slot.moreHeld.push(bytes);
    }
  }

  #writeHeld(slot: Slot): void {
    const { connection, held, moreHeld } = slot;
    if (connection === undefined || held === undefined) return;
    slot.held = undefined;
    slot.moreHeld = undefined;
    if (!connection.write(moreHeld === undefined ? held : Buffer.concat(moreHeld))) this.#released = false;
    if (slot.phase === "inUse" && connection.queuedBytes > this.#limits.clientBufferBytes) {
      this.#counters.slowConsumers++;
      this.#end(slot, "cut", { by: "gateway", reason: "slow-consumer" });
    }
  }
}

function heldBytes(slot: Slot): number {
  if (slot.moreHeld === undefined) return slot.held?.length ?? 0;
  return slot.moreHeld.reduce((sum, bytes) => sum + bytes.length, 0);
}

function closeReason(error: NodeJS.ErrnoException | undefined): EndReason {
  if (error === undefined) return "client-closed";
  return error.code === "ECONNRESET" || error.code === "EPIPE" ? "client-reset" : "error";
}
