/**
 * What a slot can be in, and what each event does to it: all of it, as data. A pair that can't happen is
 * marked so and fails loudly in the one place that reads this table; docs/architecture.md has it drawn.
 *
 * To the outside a slot has four states. Stopping has phases, because a session can end in ways that owe
 * the manager different things (docs/protocol.md, "Life of a session").
 */

/** The state that operators and managers see. */
export type SlotState = "freed" | "starting" | "inUse" | "stopping";

/** Every phase of a slot, and the state that it is part of. */
export const stateOf = {
  /** On the free list. */
  freed: "freed",
  /** A client holds the slot: its handshake and its checks are under way. */
  starting: "starting",
  /** Announced to the manager, who has yet to admit it; nothing of it is read. */
  asking: "starting",
  /** No manager has it, or none that knows of it: it waits, unread, to be announced again. */
  adrift: "inUse",
  /** Announced to the manager; bytes flow. */
  inUse: "inUse",
  /** The client or the gateway ended it; its connection is being closed, and the manager has yet to acknowledge. */
  ending: "stopping",
  /** The manager dropped it; what is queued for the client is being sent. */
  flushing: "stopping",
  /** The manager dropped it and its connection was cut; the end of the socket is awaited. */
  cutting: "stopping",
  /** The connection is gone and the manager was told; its acknowledgement is awaited. */
  unacknowledged: "stopping",
  /** Nobody is told of its end: it was never announced, or the manager that knew it is gone. */
  abandoned: "stopping",
} as const satisfies Record<string, SlotState>;

export type SlotPhase = keyof typeof stateOf;

/** Whether the session is announced, or is about to be once more, and nobody has ended it. */
export function isOpen(phase: SlotPhase): boolean {
  return phase === "inUse" || phase === "asking" || phase === "adrift";
}

export const slotEvents = [
  /** A client takes the slot. */
  "take",
  /** Its checks are passed. */
  "ready",
  /** Its checks are passed, and the manager wants to be asked. */
  "ask",
  /** The manager's `Admit`. */
  "admit",
  /** The client or the gateway ends it; what is queued is still sent. */
  "end",
  /** The gateway ends it; what is queued is discarded. */
  "cut",
  /** The manager's `Drop`. */
  "drop",
  /** The manager's `DropDiscard`. */
  "discard",
  /** The connection is gone. */
  "gone",
  /** The phase's deadline has passed. */
  "expire",
  /** The manager has lost sight of all sessions, and the clients stay. */
  "orphan",
  /** The manager that knew the session is gone for good. */
  "detach",
  /** Another manager gets it, at the word of the one that has it. */
  "handOver",
] as const;

export type SlotEvent = (typeof slotEvents)[number];

export const slotEffects = [
  /** Tell the manager that the client joined. */
  "announce",
  /** Let it in: from here on it is one of all. */
  "enter",
  /** Go on reading, from where it was left. */
  "read",
  /** Send what is queued, then close, within a deadline. */
  "flush",
  /** Cut the connection, discarding what is queued. */
  "reset",
  /** Close the connection without a reset, discarding what is queued. */
  "close",
  /** Tell the manager how the session ended. */
  "tell",
  /** Tell the manager that it has the session no more. */
  "takeAway",
  /** Start waiting for the manager's acknowledgement. */
  "awaitAck",
  /** Count an acknowledgement that never came. */
  "countUnacknowledged",
  /** Put the slot on the free list. */
  "free",
] as const;

export type SlotEffect = (typeof slotEffects)[number];

export interface Transition {
  readonly to: SlotPhase;
  readonly effects: readonly SlotEffect[];
}

/** `ignored`: can happen and changes nothing. `impossible`: a fault of the gateway's own. */
export type Decision = Transition | "ignored" | "impossible";

function go(to: SlotPhase, ...effects: SlotEffect[]): Transition {
  return { to, effects };
}

/** Every phase and event, decided. */
export const transitions: Readonly<Record<SlotPhase, Readonly<Record<SlotEvent, Decision>>>> = {
  freed: {
    take: go("starting"),
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "impossible",
    cut: "impossible",
    drop: "ignored",
    discard: "ignored",
    gone: "impossible",
    expire: "impossible",
    orphan: "ignored",
    detach: "ignored",
    handOver: "impossible",
  },
  starting: {
    take: "impossible",
    ready: go("inUse", "announce", "enter"),
    ask: go("asking", "announce"),
    admit: "ignored",
    end: go("abandoned", "flush"),
    cut: go("abandoned", "reset"),
    drop: "ignored",
    discard: "ignored",
    gone: go("freed", "free"),
    expire: go("abandoned", "reset"),
    orphan: "ignored",
    detach: go("abandoned", "close"),
    handOver: "impossible",
  },
  asking: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: go("inUse", "enter", "read"),
    end: go("ending", "flush"),
    cut: go("ending", "reset"),
    drop: go("flushing", "flush"),
    discard: go("cutting", "reset"),
    gone: go("unacknowledged", "tell", "awaitAck"),
    expire: go("ending", "flush"),
    orphan: go("adrift"),
    detach: go("abandoned", "close"),
    handOver: "impossible",
  },
  adrift: {
    take: "impossible",
    ready: go("inUse", "announce", "enter", "read"),
    ask: go("asking", "announce"),
    admit: "ignored",
    end: go("abandoned", "flush"),
    cut: go("abandoned", "reset"),
    drop: "ignored",
    discard: "ignored",
    gone: go("freed", "free"),
    expire: go("abandoned", "flush"),
    orphan: "ignored",
    detach: go("abandoned", "close"),
    handOver: "impossible",
  },
  inUse: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: go("ending", "flush"),
    cut: go("ending", "reset"),
    drop: go("flushing", "flush"),
    discard: go("cutting", "reset"),
    gone: go("unacknowledged", "tell", "awaitAck"),
    expire: go("ending", "flush"),
    orphan: go("adrift"),
    detach: go("abandoned", "close"),
    handOver: go("adrift", "takeAway"),
  },
  ending: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "ignored",
    cut: go("ending", "reset"),
    // The manager's word was on its way already: it is the acknowledgement.
    drop: go("flushing"),
    discard: go("cutting", "reset"),
    gone: go("unacknowledged", "tell", "awaitAck"),
    expire: go("ending", "reset"),
    orphan: go("abandoned"),
    detach: go("abandoned", "close"),
    handOver: "impossible",
  },
  flushing: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "ignored",
    cut: go("cutting", "reset"),
    drop: "ignored",
    discard: go("cutting", "reset"),
    gone: go("freed", "tell", "free"),
    expire: go("cutting", "reset"),
    orphan: go("abandoned"),
    detach: go("abandoned", "close"),
    handOver: "impossible",
  },
  cutting: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "ignored",
    cut: "ignored",
    drop: "ignored",
    discard: "ignored",
    gone: go("freed", "tell", "free"),
    expire: go("cutting", "close"),
    orphan: go("abandoned"),
    detach: go("abandoned"),
    handOver: "impossible",
  },
  unacknowledged: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "ignored",
    cut: "ignored",
    drop: go("freed", "free"),
    discard: go("freed", "free"),
    gone: "impossible",
    expire: go("freed", "countUnacknowledged", "free"),
    orphan: go("freed", "free"),
    detach: go("freed", "free"),
    handOver: "impossible",
  },
  abandoned: {
    take: "impossible",
    ready: "impossible",
    ask: "impossible",
    admit: "ignored",
    end: "ignored",
    cut: "ignored",
    drop: "ignored",
    discard: "ignored",
    gone: go("freed", "free"),
    expire: go("abandoned", "close"),
    orphan: "ignored",
    detach: "ignored",
    handOver: "impossible",
  },
};
