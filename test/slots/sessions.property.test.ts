/**
 * Capacity can't leak. Random lives of clients, managers and links are played against the sessions, and
 * after every step the first three invariants of docs/architecture.md must hold.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Unheard } from "../../gateway/links/unacknowledged.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { Hold } from "../../gateway/slots/hold.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { EndCause, Slot } from "../../gateway/slots/slot.ts";
import { isOpen } from "../../gateway/slots/states.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import {
  addOpenManager,
  GAME,
  LIMITS,
  OpenGate,
  startKeeping,
  type TestRouter,
  unacknowledged,
} from "../helpers/sessions.ts";

const RUNS = 1000;
const STEPS_PER_RUN = 250;
const LEAST_STEPS = 250_000;

const SMALL = { ...LIMITS, clientBufferBytes: 64, messageRate: 5, messageBurst: 3 };

/** So much may come along with a session that is handed over. */
const MOST_UNHEARD = 3;

/** An id that nobody has. */
const NOBODY = 7;

/** A client's connection, and what it may have got. */
class Client {
  readonly connection: FakeConnection;
  /** How often each manager has sent to all while it had this one. */
  readonly toAll = new Map<string, number>();
  /** The manager that had it before, and under which id, until it joins the next one. */
  from: { readonly manager: string; readonly session: number } | undefined;
  /** How many of the connection's deliveries were looked at. */
  #checked = 0;

  constructor(connection: FakeConnection) {
    this.connection = connection;
  }

  /** What it has got since it was looked at last is its own, and came of a manager that had it. */
  check(): void {
    const { delivered, port } = this.connection;
    const text = delivered
      .slice(this.#checked)
      .map((bytes) => bytes.toString())
      .join("");
    this.#checked = delivered.length;
    for (const one of text.split(";")) {
      if (one === "" || one === `to ${port}`) continue;
      const left = this.toAll.get(one) ?? 0;
      assert.ok(left > 0, `a byte for one client reached another: '${one}' came to ${port}`);
      this.toAll.set(one, left - 1);
    }
  }
}

/** What a manager was told, and what it did about it. */
class Manager {
  readonly name: string;
  readonly roster: Roster;
  capacity: number;
  /** Every id that it was ever told of: its frames may name any of them. */
  readonly ids: number[] = [];
  /** Sessions that its link knows and was not told the end of. */
  readonly known = new Map<number, Client>();
  /** Sessions whose end it was told and has not acknowledged. */
  readonly owed: number[] = [];
  joins = 0;
  ends = 0;
  messages = 0;
  /** Sessions that it lost sight of. */
  lost = 0;
  readonly #world: World;

  constructor(world: World, name: string, capacity: number) {
    this.name = name;
    this.capacity = capacity;
    this.#world = world;
    const router: TestRouter = {
      joined: (slot) => this.joined(slot),
      canTell: () => !world.handsTooMuch,
      unheard: (slot, received) => this.unheard(slot, received),
      message: (slot, bytes, start, end) => this.message(slot, bytes, start, end),
      disconnected: (slot, cause) => this.disconnected(slot, cause),
    };
    this.roster = addOpenManager(world.sessions, name, router, capacity);
  }

  joined(slot: Slot): void {
    const { session, connection, transfer } = slot;
    assert.equal(slot.roster, this.roster);
    const isKnownAgain = slot.rejoins && this.ids.includes(session);
    for (const { ids } of this.#world.managers)
      assert.ok(isKnownAgain || !ids.includes(session), "an id is handed out twice");
    for (const { known } of this.#world.managers) {
      assert.ok(!known.has(session), "an id is handed out while its session is known");
      for (const { connection: other } of known.values())
        assert.notEqual(other, connection, "two managers know one client");
    }
    const client = this.#world.clients.find((one) => one.connection === connection);
    assert.ok(client !== undefined);
    assert.equal(transfer?.manager, client.from?.manager);
    assert.equal(transfer?.session, client.from?.session);
    client.from = undefined;
    this.known.set(session, client);
    this.ids.push(session);
    this.joins++;
  }

  message(slot: Slot, bytes: Buffer, start: number, end: number): void {
    const client = this.known.get(slot.session);
    assert.ok(client !== undefined, "a message came before the join or after the disconnect");
    assert.equal(bytes.toString("utf8", start, end), `from ${client.connection.port}`);
    this.messages++;
  }

  /** As much as was not received. */
  unheard({ session }: Slot, received: number): Unheard {
    const { port } = this.known.get(session)?.connection ?? {};
    const said = Buffer.from(`from ${port}`);
    return {
      received,
      forEach(visit) {
        for (let i = received; i < MOST_UNHEARD; i++) visit(said, 0, said.length);
      },
    };
  }

  disconnected(slot: Slot, cause: EndCause): void {
    const client = this.known.get(slot.session);
    assert.ok(client !== undefined, "a session's end was told twice, or without a join");
    this.known.delete(slot.session);
    this.ends++;
    if (cause.reason === "handoff") {
      assert.ok(!client.connection.gone, "a client that is gone was handed over");
      client.from = { manager: this.name, session: slot.session };
      return;
    }
    assert.ok(client.connection.gone, "a session's end was told while its connection was there");
    assert.equal(cause, slot.cause);
    assert.ok(slot.unsentBytes >= 0 && slot.unsentBytes <= slot.acceptedBytes);
    const delivered = client.connection.delivered.reduce((sum, bytes) => sum + bytes.length, 0);
    assert.equal(slot.acceptedBytes - slot.unsentBytes, delivered, "bytes were lost without being counted");
    if (slot.phase === "unacknowledged") this.owed.push(slot.session);
  }

  send(session: number): void {
    const client = this.known.get(session);
    const text = client === undefined ? "nobody may get this;" : `to ${client.connection.port};`;
    this.roster.send(session, Buffer.from(text));
  }

  sendAll(): void {
    for (const { toAll } of this.known.values()) toAll.set(this.name, (toAll.get(this.name) ?? 0) + 1);
    this.roster.sendAll(Buffer.from(`${this.name};`));
  }

  /** Nothing of what it knew counts any more. */
  forget(): void {
    this.lost += this.known.size;
    this.known.clear();
    this.owed.length = 0;
  }

  check(slots: readonly Slot[]): void {
    const { roster } = this;
    let [count, live] = [0, 0];
    for (const slot of slots) {
      if (slot.roster !== roster) continue;
      count++;
      if (slot.phase === "inUse") live++;
      const announced = slot.phase === "inUse" || slot.phase === "asking";
      if (announced) assert.ok(this.known.has(slot.session), "a session in use is not known");
      if (slot.phase === "adrift") assert.ok(!this.known.has(slot.session));
    }
    assert.equal(roster.sessionCount, count, "a roster has another number of sessions than it says");
    assert.equal(roster.liveCount, live, "a roster has another number in use than it says");
    assert.equal(this.joins, this.ends + this.lost + this.known.size);
    for (const session of this.known.keys())
      assert.equal(this.#world.sessions.table.find(session)?.roster, roster, "a session vanished");
  }
}

/** The world around the sessions, and what must hold in it. */
class World {
  readonly clock = new FakeClock();
  readonly counters = new Counters();
  readonly gate = new OpenGate();
  readonly sessions = startKeeping({
    gate: this.gate,
    limits: SMALL,
    counters: this.counters,
    clock: this.clock,
  });
  readonly managers: Manager[] = [];
  readonly clients: Client[] = [];
  /** What is told of a session that is handed over does not fit. */
  handsTooMuch = false;
  #ports = 0;

  /** @param capacities by manager */
  constructor(capacities: readonly number[]) {
    for (const [i, capacity] of capacities.entries())
      this.managers.push(new Manager(this, `all of ${i}`, capacity));
  }

  connect(handshaking: boolean): void {
    const connection = new FakeConnection(++this.#ports);
    connection.handshaking = handshaking;
    this.clients.push(new Client(connection));
    const { table } = this.sessions;
    const hasRoom = table.usedCount < this.managers.reduce((sum, { capacity }) => sum + capacity, 0);
    const isTaken = hasRoom && this.managers.some(({ roster }) => roster.refusal === undefined);
    const before = this.counters.joins;
    this.sessions.accept(connection, GAME);
    assert.equal(this.counters.joins - before, isTaken && !handshaking ? 1 : 0);
  }

  /** Everything that was ended from this side is gone now, and everything that finished both ways. */
  settle(): void {
    for (const { connection } of this.clients) if (connection.ending !== undefined) connection.goes();
  }

  /** A manager gives a session that it knows, or has known, to one of all, itself included. */
  handOff(from: Manager, session: number, to: Manager, data: Uint8Array | undefined): void {
    const slot = this.sessions.table.find(session);
    const client = from.known.get(session);
    const { refusal } = to.roster;
    const wasOpen = client !== undefined && (slot?.phase === "inUse" || slot?.phase === "asking");
    const wasAsking = slot?.phase === "asking";
    const received = data?.[0] === undefined ? undefined : data[0] % (MOST_UNHEARD + 1);
    const { messages } = to;
    const code = from.roster.handOff(session, { manager: to.name, data, received });
    if (!wasOpen) assert.equal(code, undefined, "a stale handoff was refused");
    else if (to === from) assert.equal(code, "same-manager");
    else if (wasAsking) assert.equal(code, "not-admitted");
    else if (refusal !== undefined) assert.equal(code, refusal === "no-slot" ? "no-slot" : "no-manager");
    else assert.equal(code, this.handsTooMuch ? "too-big" : undefined);
    const isMoved = wasOpen && code === undefined;
    if (!wasOpen) return;
    const comeAlong = isMoved && received !== undefined ? MOST_UNHEARD - received : 0;
    assert.equal(to.messages - messages, comeAlong, "what was not received has not come along");
    if (isMoved) assert.ok(to.roster.sessionCount <= to.capacity, "a manager got more than it takes");
    assert.equal(from.known.has(session), !isMoved);
    assert.equal([...to.known.values()].includes(client), isMoved || to === from);
  }

  /** A manager is gone for good, and its clients with it. */
  lose(manager: Manager): void {
    const { roster } = manager;
    const was = roster.closedFor;
    roster.closedFor = "no-manager";
    roster.detach("manager-lost");
    manager.forget();
    roster.closedFor = was;
  }

  /** Its link is gone, and it comes back and knows nobody. */
  loseSight(manager: Manager): void {
    manager.roster.hold();
    this.orphan(manager);
  }

  orphan(manager: Manager): void {
    const sessions = [...manager.known.keys()];
    manager.roster.orphan(unacknowledged(sessions.map((session) => [session, 1] as const)));
    manager.forget();
  }

  /** It does not come back: its sessions go to others, as far as they take them. */
  failOver(manager: Manager): void {
    const { roster } = manager;
    roster.closedFor = "no-manager";
    roster.hold();
    this.orphan(manager);
    const slots = this.sessions.table.slots.filter(
      (slot) => slot.roster === roster && slot.phase === "adrift",
    );
    const waiting = slots.map((slot) => ({ slot, session: slot.session }));
    const others = this.sessions.failOver(roster);
    assert.ok(!others.has(roster));
    for (const { slot, session } of waiting) {
      if (slot.roster === roster) continue;
      const client = this.clients.find(({ connection }) => connection === slot.connection);
      if (client !== undefined) client.from ??= { manager: manager.name, session };
    }
    roster.detach("manager-lost");
    assert.equal(roster.liveCount, 0);
  }

  check(): void {
    const { table } = this.sessions;
    const { slots } = table;
    const freed = slots.filter((slot) => slot.phase === "freed").map((slot) => slot.index);
    const free = [...table.freeList].sort((a, b) => a - b);
    assert.equal(free.join(), freed.join(), "the free list holds the freed slots");
    assert.equal(table.usedCount, slots.length - freed.length);
    const counts = this.sessions.slotCounts();
    assert.equal(counts.freed + counts.starting + counts.inUse + counts.stopping, slots.length);
    const adrift = slots.filter(({ phase }) => phase === "adrift").length;
    assert.equal(counts.inUse, this.sessions.liveCount + adrift);
    const holders = slots.flatMap(({ connection }) => (connection === undefined ? [] : [connection]));
    assert.equal(new Set(holders).size, holders.length, "two slots hold one connection");
    for (const slot of slots) {
      assert.equal(slot.session === 0, slot.phase === "freed");
      const hasJoined = slot.joinedWallAt !== 0;
      assert.equal(slot.roster !== undefined, hasJoined, "who has joined is somebody's, and nobody else is");
      this.#checkReading(slot);
    }
    for (const manager of this.managers) manager.check(slots);
    for (const client of this.clients) client.check();
  }

  /** A client is read if and only if nothing holds it, and nothing holds it for good. */
  #checkReading({ phase, holds, connection, roster }: Slot): void {
    if (!(connection instanceof FakeConnection) || !isOpen(phase)) return;
    assert.equal(connection.paused, holds !== 0);
    assert.equal((holds & Hold.admission) !== 0, phase !== "inUse", "who waits is held, and nobody else is");
    if (phase === "inUse") assert.equal((holds & Hold.link) !== 0, roster?.isPaused);
  }

  /** After the last step: who waits is announced, everybody goes, and every slot must be free. */
  wind(): void {
    for (const { roster } of this.managers) roster.rejoin(Number.POSITIVE_INFINITY);
    this.check();
    assert.ok(
      this.sessions.table.slots.every(({ phase }) => phase !== "adrift"),
      "a session is never announced",
    );
    for (const { connection } of this.clients) connection.goes();
    this.clock.advance(10_000);
    this.settle();
    this.clock.advance(10_000);
    this.check();
    assert.equal(this.sessions.table.usedCount, 0, "capacity leaked");
    for (const { known } of this.managers)
      assert.equal(known.size, 0, "a join was not followed by its disconnect");
    assert.equal(this.sessions.connectedCount, 0);
    assert.equal(this.gate.inside, 0, "somebody was let in and never let out");
    this.sessions.stop();
  }
}

/** @param pick decides about the rest */
type Step = (world: World, manager: Manager, pick: number) => void;

function one<T>(list: readonly T[], pick: number): T | undefined {
  return list[pick % Math.max(1, list.length)];
}

/** One of the clients that are there. */
function connectionOf({ clients }: World, pick: number): FakeConnection | undefined {
  const there = clients.filter(({ connection }) => !connection.gone);
  return one(there, pick)?.connection;
}

/** A session that a manager knows. */
function knownTo({ known }: Manager, pick: number): number {
  return one([...known.keys()], pick) ?? NOBODY;
}

/** A session that any manager was ever told of. */
function anyId({ managers }: World, pick: number): number {
  return one(one(managers, pick)?.ids ?? [], pick) ?? NOBODY;
}

/** Mostly to another one. */
function handOff(world: World, manager: Manager, pick: number, session: number): void {
  const others = world.managers.filter((other) => other !== manager);
  const to = pick % 10 === 0 ? manager : one(others, Math.floor(pick / 10));
  if (to !== undefined)
    world.handOff(manager, session, to, pick % 3 === 0 ? undefined : Buffer.of(pick % 256));
}

const steps: Record<string, Step> = {
  connect: (world) => world.connect(false),
  arrive: (world) => world.connect(true),
  shakeHands: (world, _, pick) => connectionOf(world, pick)?.shakesHands(),
  askManager(_, { roster }, pick) {
    roster.admission = pick % 3 === 0;
  },
  admit: (_, manager, pick) => manager.roster.admit(knownTo(manager, pick)),
  admitStale: (world, { roster }, pick) => roster.admit(anyId(world, pick)),
  data(world, _, pick) {
    const connection = connectionOf(world, pick);
    connection?.says(`from ${connection.port}`);
  },
  halfClose: (world, _, pick) => connectionOf(world, pick)?.halfCloses(),
  sayGoodbye: (world, _, pick) => connectionOf(world, pick)?.leaves(),
  leave: (world, _, pick) => connectionOf(world, pick)?.goes(),
  reset: (world, _, pick) => connectionOf(world, pick)?.goes("ECONNRESET"),
  settle: (world) => world.settle(),
  stick: (world, _, pick) => connectionOf(world, pick)?.unstick(true),
  unstick: (world, _, pick) => connectionOf(world, pick)?.unstick(false),
  send: (world, manager, pick) => manager.send(anyId(world, pick)),
  sendKnown: (_, manager, pick) => manager.send(knownTo(manager, pick)),
  sendAll: (_, manager) => manager.sendAll(),
  flush: (world) => world.sessions.flush(),
  drop: (_, manager, pick) => manager.roster.drop(knownTo(manager, pick)),
  discard: (_, manager, pick) => manager.roster.dropDiscard(knownTo(manager, pick)),
  dropAny(world, { roster }, pick) {
    const session = anyId(world, pick);
    const slot = world.sessions.table.find(session);
    const phase = slot?.phase;
    const isStrange = slot?.roster !== roster;
    if (pick % 2 === 0) roster.drop(session);
    else roster.dropDiscard(session);
    if (isStrange) assert.equal(slot?.phase, phase, "a manager has ended another's session");
  },
  dropInvented: (_, { roster }, pick) => roster.dropDiscard(pick * 7919),
  acknowledge(world, { roster, owed }, pick) {
    const [session] = owed.splice(pick % Math.max(1, owed.length), 1);
    if (session === undefined) return;
    roster.drop(session);
    assert.equal(world.sessions.table.find(session), undefined, "an acknowledgement frees no slot");
  },
  handOff: (world, manager, pick) => handOff(world, manager, pick, knownTo(manager, pick)),
  handOffStale: (world, manager, pick) => handOff(world, manager, pick, anyId(world, pick)),
  handOffToNobody(_, manager, pick) {
    const code = manager.roster.handOff(knownTo(manager, pick), { manager: "nobody" });
    assert.ok(code === "unknown-manager" || code === undefined);
  },
  handTooMuch(world, _, pick) {
    world.handsTooMuch = pick % 8 === 0;
  },
  wait: (world, _, pick) => world.clock.advance(pick % 1000),
  pause: (_, { roster }) => roster.setPaused(true),
  resume: (_, { roster }) => roster.setPaused(false),
  endAll: (world) => world.sessions.endAll("shutdown"),
  cutAll: (world) => world.sessions.cutAll("shutdown"),
  lose: (world, manager) => world.lose(manager),
  hold: (_, { roster }) => roster.hold(),
  release: (_, { roster }) => roster.release(),
  loseSight: (world, manager) => world.loseSight(manager),
  failOver: (world, manager) => world.failOver(manager),
  rejoin({ managers }, manager, pick) {
    const joinsOfOthers = () => managers.reduce((sum, one) => sum + (one === manager ? 0 : one.joins), 0);
    const before = joinsOfOthers();
    manager.roster.rejoin(pick % 4);
    assert.equal(joinsOfOthers(), before, "another's sessions were announced out of their turn");
  },
  close(_, { roster }) {
    roster.closedFor = "no-manager";
  },
  open(_, { roster }) {
    roster.closedFor = undefined;
  },
  fallBehind(_, { roster }, pick) {
    roster.behind = pick % 3 === 0;
  },
  resize(_, manager, pick) {
    manager.capacity = 1 + (pick % 6);
    manager.roster.resize(manager.capacity);
  },
};

/**
 * How often a step comes, where not as often as most. What ends sessions, or keeps them out or unread, comes more seldom than
 * what lets them in and has them speak, and what ends all of them at once the most seldom: or nothing would ever build up.
 */
const WEIGHTS: Readonly<Record<string, number>> = {
  ...{ endAll: 1, cutAll: 1, lose: 1, loseSight: 3, failOver: 3, close: 3, fallBehind: 5, resize: 5 },
  ...{
    leave: 8,
    reset: 6,
    drop: 6,
    discard: 6,
    dropAny: 8,
    halfClose: 4,
    sayGoodbye: 4,
    pause: 8,
    hold: 4,
    stick: 6,
  },
  ...{
    connect: 60,
    shakeHands: 30,
    data: 60,
    handOff: 60,
    rejoin: 20,
    release: 20,
    open: 20,
    admit: 20,
    settle: 30,
  },
};
const COMMON_WEIGHT = 12;

const anyStep = fc.record({
  name: fc.oneof(
    ...Object.keys(steps).map((name) => ({
      weight: WEIGHTS[name] ?? COMMON_WEIGHT,
      arbitrary: fc.constant(name),
    })),
  ),
  who: fc.nat(5),
  pick: fc.nat(1_000_000),
});

/** Two or three managers, and how many sessions each takes. */
const someManagers = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 3 });

test(`capacity never leaks, bytes never stray, and each join has one disconnect, over ${LEAST_STEPS} steps`, () => {
  let taken = 0;
  const lives = fc.array(anyStep, { minLength: STEPS_PER_RUN, maxLength: STEPS_PER_RUN });
  fc.assert(
    fc.property(someManagers, lives, (capacities, life) => {
      const world = new World(capacities);
      for (const { name, who, pick } of life) {
        const manager = one(world.managers, who);
        if (manager !== undefined) steps[name]?.(world, manager, pick);
        world.check();
        taken++;
      }
      world.wind();
    }),
    { numRuns: RUNS, seed: Number(process.env.PROPERTY_SEED ?? 20_261_121) },
  );
  assert.ok(taken >= LEAST_STEPS, `only ${taken} steps were taken`);
});
