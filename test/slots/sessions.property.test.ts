/**
 * Capacity can't leak. Random lives of clients, managers and links are played against the sessions, and
 * after every step the first three invariants of docs/architecture.md must hold.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Counters } from "../../gateway/metrics/counters.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { EndCause, Slot } from "../../gateway/slots/slot.ts";
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

const SMALL = { ...LIMITS, clientBufferBytes: 64 };

/** What a link has heard of one session. */
interface Told {
  readonly connection: FakeConnection;
  readonly events: ("join" | "message" | "disconnect")[];
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
  readonly roster: Roster;
  readonly connections: FakeConnection[] = [];
  /** Every id that was ever handed out: the manager's frames may name any of them. */
  readonly ids: number[] = [];
  /** Sessions that the manager of this link knows and was not told the end of. */
  readonly known = new Map<number, Told>();
  /** Sessions whose end the manager was told and has not acknowledged. */
  readonly owed: number[] = [];
  capacity: number;
  #ports = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    const router: TestRouter = {
      joined: (slot) => this.joined(slot),
      message: (slot, bytes, start, end) => this.message(slot, bytes, start, end),
      disconnected: (slot, cause) => this.disconnected(slot, cause),
    };
    this.roster = addOpenManager(this.sessions, "manager", router, capacity);
  }

  joined(slot: Slot): void {
    assert.ok(!this.known.has(slot.session), "an id is handed out while its session is known");
    const connection = slot.connection;
    assert.ok(connection instanceof FakeConnection);
    this.known.set(slot.session, { connection, events: ["join"] });
    this.ids.push(slot.session);
  }

  message(slot: Slot, bytes: Buffer, start: number, end: number): void {
    const told = this.known.get(slot.session);
    assert.ok(told !== undefined, "a message came before the join or after the disconnect");
    assert.equal(bytes.toString("utf8", start, end), `from ${told.connection.port}`);
    told.events.push("message");
  }

  disconnected(slot: Slot, cause: EndCause): void {
    const told = this.known.get(slot.session);
    assert.ok(told !== undefined, "a session's end was told twice, or without a join");
    assert.ok(told.connection.gone, "a session's end was told while its connection was there");
    assert.equal(cause, slot.cause);
    assert.ok(slot.unsentBytes >= 0 && slot.unsentBytes <= slot.acceptedBytes);
    const delivered = told.connection.delivered.reduce((sum, bytes) => sum + bytes.length, 0);
    assert.equal(slot.acceptedBytes - slot.unsentBytes, delivered, "bytes were lost without being counted");
    this.known.delete(slot.session);
    if (slot.phase === "unacknowledged") this.owed.push(slot.session);
  }

  connect(handshaking: boolean): void {
    const connection = new FakeConnection(++this.#ports);
    connection.handshaking = handshaking;
    this.connections.push(connection);
    const roomBefore = this.sessions.table.usedCount < this.capacity;
    const before = this.counters.joins;
    this.sessions.accept(connection, GAME);
    assert.equal(this.counters.joins - before, roomBefore && !handshaking ? 1 : 0);
  }

  /** Everything that was ended from this side is gone now, and everything that finished both ways. */
  settle(): void {
    for (const connection of this.connections) if (connection.ending !== undefined) connection.goes();
  }

  loseLink(): void {
    this.roster.closedFor = "no-manager";
    this.roster.detach("manager-lost");
    this.known.clear();
    this.owed.length = 0;
    this.roster.closedFor = undefined;
  }

  /** The link is gone, and another manager takes its place, who knows nobody. */
  loseSight(): void {
    this.roster.hold();
    this.roster.orphan(unacknowledged());
    this.known.clear();
    this.owed.length = 0;
  }

  check(): void {
    const { table } = this.sessions;
    const freed = table.slots.filter((slot) => slot.phase === "freed").map((slot) => slot.index);
    assert.deepEqual(
      [...table.freeList].sort((a, b) => a - b),
      freed,
      "the free list holds the freed slots",
    );
    assert.equal(table.usedCount, table.slots.length - freed.length);
    const counts = this.sessions.slotCounts();
    assert.equal(counts.freed + counts.starting + counts.inUse + counts.stopping, table.slots.length);
    const adrift = table.slots.filter(({ phase }) => phase === "adrift").length;
    assert.equal(counts.inUse, this.sessions.liveCount + adrift);
    const holders = table.slots.flatMap(({ connection }) => (connection === undefined ? [] : [connection]));
    assert.equal(new Set(holders).size, holders.length, "two slots hold one connection");
    for (const slot of table.slots) {
      assert.equal(slot.session === 0, slot.phase === "freed");
      const announced = slot.phase === "inUse" || slot.phase === "asking";
      if (announced) assert.ok(this.known.has(slot.session));
      if (slot.phase === "adrift") assert.ok(!this.known.has(slot.session));
    }
    for (const session of this.known.keys())
      assert.ok(table.find(session) !== undefined, "a session vanished");
    for (const connection of this.connections) {
      const text = Buffer.concat(connection.delivered).toString();
      const strangers = text
        .split(";")
        .filter((one) => one !== "" && one !== "all" && one !== `to ${connection.port}`);
      assert.deepEqual(strangers, [], "a byte for one client reached another");
    }
  }

  /** After the last step: everybody goes, the manager acknowledges all, and every slot must be free. */
  wind(): void {
    for (const connection of this.connections) connection.goes();
    this.clock.advance(10_000);
    this.settle();
    this.clock.advance(10_000);
    assert.equal(this.sessions.table.usedCount, 0, "capacity leaked");
    assert.equal(this.known.size, 0, "a join was not followed by its disconnect");
    assert.equal(this.sessions.connectedCount, 0);
    assert.equal(this.gate.inside, 0, "somebody was let in and never let out");
    this.sessions.stop();
  }
}

type Step = (world: World, pick: number) => void;

function one<T>(list: readonly T[], pick: number): T | undefined {
  return list[pick % Math.max(1, list.length)];
}

function sendTo(world: World, session: number): void {
  const told = world.known.get(session);
  const text = told === undefined ? "nobody may get this;" : `to ${told.connection.port};`;
  world.roster.send(session, Buffer.from(text));
}

const steps: Record<string, Step> = {
  connect: (world) => world.connect(false),
  arrive: (world) => world.connect(true),
  shakeHands: (world, pick) => one(world.connections, pick)?.shakesHands(),
  askManager(world, pick) {
    world.roster.admission = pick % 2 === 0;
  },
  admit: (world, pick) => world.roster.admit(one([...world.known.keys()], pick) ?? 7),
  admitStale: (world, pick) => world.roster.admit(one(world.ids, pick) ?? 7),
  data(world, pick) {
    const connection = one(world.connections, pick);
    connection?.says(`from ${connection.port}`);
  },
  halfClose: (world, pick) => one(world.connections, pick)?.halfCloses(),
  leave: (world, pick) => one(world.connections, pick)?.goes(),
  reset: (world, pick) => one(world.connections, pick)?.goes("ECONNRESET"),
  settle: (world) => world.settle(),
  stick: (world, pick) => one(world.connections, pick)?.unstick(true),
  unstick: (world, pick) => one(world.connections, pick)?.unstick(false),
  send: (world, pick) => sendTo(world, one(world.ids, pick) ?? 7),
  sendKnown: (world, pick) => sendTo(world, one([...world.known.keys()], pick) ?? 7),
  sendAll: (world) => world.roster.sendAll(Buffer.from("all;")),
  flush: (world) => world.sessions.flush(),
  drop: (world, pick) => world.roster.drop(one([...world.known.keys()], pick) ?? 7),
  discard: (world, pick) => world.roster.dropDiscard(one([...world.known.keys()], pick) ?? 7),
  dropStale: (world, pick) => world.roster.drop(one(world.ids, pick) ?? 7),
  dropInvented: (world, pick) => world.roster.dropDiscard(pick * 7919),
  acknowledge(world, pick) {
    const [session] = world.owed.splice(pick % Math.max(1, world.owed.length), 1);
    if (session !== undefined) world.roster.drop(session);
  },
  wait: (world, pick) => world.clock.advance(pick % 1000),
  pause: (world) => world.roster.setPaused(true),
  resume: (world) => world.roster.setPaused(false),
  endAll: (world) => world.sessions.endAll("shutdown"),
  cutAll: (world) => world.sessions.cutAll("shutdown"),
  loseLink: (world) => world.loseLink(),
  hold: (world) => world.roster.hold(),
  release: (world) => world.roster.release(),
  loseSight: (world) => world.loseSight(),
  rejoin: (world, pick) => world.roster.rejoin(pick % 4),
  resize(world, pick) {
    world.capacity = 1 + (pick % 12);
    world.roster.resize(world.capacity);
  },
};

/** Steps that end everything come seldom, or nothing would ever build up. */
const RARE = ["endAll", "cutAll", "loseLink", "loseSight", "resize"];
const COMMON_WEIGHT = 12;

const anyStep = fc.record({
  name: fc.oneof(
    ...Object.keys(steps).map((name) => ({
      weight: RARE.includes(name) ? 1 : COMMON_WEIGHT,
      arbitrary: fc.constant(name),
    })),
  ),
  pick: fc.nat(1_000_000),
});

test(`capacity never leaks, bytes never stray, and each join has one disconnect, over ${LEAST_STEPS} steps`, () => {
  let taken = 0;
  const lives = fc.array(anyStep, { minLength: STEPS_PER_RUN, maxLength: STEPS_PER_RUN });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), lives, (capacity, life) => {
      const world = new World(capacity);
      for (const { name, pick } of life) {
        steps[name]?.(world, pick);
        world.check();
        taken++;
      }
      world.wind();
    }),
    { numRuns: RUNS, seed: Number(process.env.PROPERTY_SEED ?? 20_261_121) },
  );
  assert.ok(taken >= LEAST_STEPS, `only ${taken} steps were taken`);
});
