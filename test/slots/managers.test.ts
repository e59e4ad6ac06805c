/** Sessions of several managers: who gets whom, who reaches whom, and how a session comes from one to another. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ManagerChoice } from "../../gateway/choice/choice.ts";
import { createChoice } from "../../gateway/choice/create-choice.ts";
import { parsePrefixes } from "../../gateway/choice/prefix.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { SessionLimits } from "../../gateway/slots/sessions.ts";
import type { ListenerTraits } from "../../gateway/transports/listener.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { addOpenManager, GAME, LIMITS, startKeeping, unacknowledged } from "../helpers/sessions.ts";
import { delivered, handshaking, refusalsOf, TestGate, TestTickets } from "./support.ts";

interface SetUp {
  readonly choice?: ManagerChoice;
  readonly capacities?: readonly [number, number];
  readonly limits?: Partial<SessionLimits>;
}

interface Joined {
  readonly client: FakeConnection;
  readonly id: number;
}

/** Two managers, `a` and `b`, and what each was told. */
function setUp({ choice, capacities: [ofA, ofB] = [4, 4], limits = {} }: SetUp = {}) {
  const clock = new FakeClock();
  const counters = new Counters();
  const sessions = startKeeping({
    clock,
    counters,
    gate: new TestGate(),
    tickets: new TestTickets(),
    limits: { ...LIMITS, ...limits },
    ...(choice !== undefined && { choice }),
  });
  let fits = true;
  const told = { a: [] as string[], b: [] as string[] };
  const add = (name: "a" | "b", capacity: number) =>
    addOpenManager(
      sessions,
      name,
      {
        joined({ session, transfer, rejoins, user, groups, lostBytes }) {
          const from = transfer && ` from ${transfer.manager}/${transfer.session}`;
          const data = transfer?.data && ` with ${Buffer.from(transfer.data)}`;
          const names = user || groups?.size ? ` as ${user ?? "-"} [${[...(groups ?? [])]}]` : "";
          const again = rejoins ? ` again, ${lostBytes} lost` : "";
          told[name].push(`join ${session}${from ?? ""}${data ?? ""}${names}${again}`);
        },
        message: ({ session }, bytes, start, end) =>
          told[name].push(`message ${session} ${bytes.toString("utf8", start, end)}`),
        disconnected: ({ session }, { by, reason }) => told[name].push(`end ${session} ${by} ${reason}`),
        canTell: () => fits,
      },
      capacity,
    );
  const a = add("a", ofA);
  const b = add("b", ofB);
  const connect = (
    origin: Partial<ListenerTraits> = {},
    change: (client: FakeConnection) => void = () => {},
  ) => {
    const client = new FakeConnection();
    change(client);
    sessions.accept(client, { ...GAME, ...origin });
    return client;
  };
  const slotOf = (client: FakeConnection) => sessions.table.slots.find((slot) => slot.connection === client);
  const idOf = (client: FakeConnection) => slotOf(client)?.session ?? 0;
  const ownerOf = (client: FakeConnection) => slotOf(client)?.roster?.name;
  /** A client that is in, with this manager. */
  const joinAt = (roster: Roster): Joined => {
    const other = roster === a ? b : a;
    other.closedFor = "no-manager";
    const client = connect();
    other.closedFor = undefined;
    return { client, id: idOf(client) };
  };
  const all = { sessions, clock, counters, told, a, b, connect, slotOf, idOf, ownerOf, joinAt };
  return { ...all, tooBig: () => (fits = false) };
}

const byFirstMessage = (...prefixes: string[]) =>
  createChoice({
    managerChoice: "first-message",
    manager: [{ name: "a" }, { name: "b" }],
    managerPrefixes: parsePrefixes(prefixes),
  });

describe("managers of one gateway", () => {
  test("get a share of the sessions each, and each reaches its own alone", () => {
    const { sessions, counters, told, a, b, joinAt } = setUp();
    const [one, other] = [joinAt(a), joinAt(b)];
    a.sendAll(Buffer.from("all of a;"));
    b.send(one.id, Buffer.from("stolen"));
    b.sendMany([one.id, other.id], Buffer.from("many;"));
    b.drop(one.id);
    b.dropDiscard(one.id);
    b.admit(one.id);
    b.bind(one.id, "ann");
    b.addToGroup(one.id, "red");
    b.removeFromGroup(one.id, "red");
    b.handOff(one.id, { manager: "b" });
    sessions.flush();
    assert.deepEqual(
      [one, other].map(({ client }) => delivered(client)),
      ["all of a;", "many;"],
    );
    assert.equal(counters.staleFrames, 9);
    one.client.says("hello");
    assert.deepEqual(told, {
      a: [`join ${one.id}`, `message ${one.id} hello`],
      b: [`join ${other.id}`],
    });
    assert.deepEqual([a.liveCount, b.liveCount, sessions.liveCount], [1, 1, 2]);
  });

  test("have groups and users of their own, of names that others use too", () => {
    const { sessions, counters, a, b, joinAt } = setUp();
    const [one, other] = [joinAt(a), joinAt(b)];
    for (const [roster, { id }] of [[a, one] as const, [b, other] as const]) {
      roster.addToGroup(id, "red");
      roster.bind(id, "ann");
    }
    a.sendGroup("red", Buffer.from("group a;"));
    b.sendUser("ann", Buffer.from("user b;"));
    sessions.flush();
    assert.deepEqual(
      [one, other].map(({ client }) => delivered(client)),
      ["group a;", "user b;"],
    );
    a.removeFromGroup(one.id, "red");
    a.sendGroup("red", Buffer.from("nobody's"));
    sessions.flush();
    assert.deepEqual([delivered(other.client), counters.unknownNames], ["user b;", 1]);
  });

  test("share what becomes of a user's second session", () => {
    const { told, a, b, joinAt } = setUp({ limits: { userPolicy: "kick-old" } });
    const [one, other] = [joinAt(a), joinAt(b)];
    a.bind(one.id, "ann");
    b.bind(other.id, "ann");
    one.client.goes();
    assert.equal(told.a.at(-1), `end ${one.id} gateway replaced`);
  });

  test("are paused, held and read on each for itself", () => {
    const { a, b, joinAt } = setUp();
    const [one, other] = [joinAt(a), joinAt(b)];
    a.setPaused(true);
    b.hold();
    assert.deepEqual([one.client.paused, other.client.paused], [true, true]);
    a.setPaused(false);
    assert.deepEqual([one.client.paused, other.client.paused], [false, true]);
    b.release();
    assert.equal(other.client.paused, false);
  });

  test("lose their sessions each for itself", () => {
    const { sessions, told, a, b, joinAt } = setUp();
    const [one, other] = [joinAt(a), joinAt(b)];
    b.detach("manager-lost");
    assert.deepEqual([one.client.finishing, other.client.finishing], [false, true]);
    other.client.goes();
    assert.deepEqual([sessions.table.usedCount, told.b.length], [1, 1]);
  });

  test("have a capacity each, and slots for all of them together", () => {
    const { sessions, counters, a, b, connect, ownerOf } = setUp({ capacities: [1, 2] });
    assert.equal(sessions.table.capacity, 3);
    assert.deepEqual([connect(), connect(), connect()].map(ownerOf).sort(), ["a", "b", "b"]);
    connect();
    assert.deepEqual(refusalsOf({ counters }), { "no-slot": 1 });
    a.resize(2);
    assert.equal(ownerOf(connect()), "a");
    assert.deepEqual([a.sessionCount, b.sessionCount], [2, 2]);
  });

  test("have no more slots together than the gateway allows", () => {
    const { sessions, counters, connect } = setUp({ limits: { maxCapacity: 5 } });
    assert.equal(sessions.table.capacity, 5);
    for (let i = 0; i < 6; i++) connect();
    assert.deepEqual([sessions.liveCount, counters.refusals["no-slot"]], [5, 1]);
  });
});

describe("a client that comes", () => {
  test("is let in as long as one manager takes it", () => {
    const { counters, a, b, connect, ownerOf } = setUp();
    a.closedFor = "no-manager";
    assert.equal(ownerOf(connect()), "b");
    b.behind = true;
    connect();
    a.closedFor = undefined;
    assert.equal(ownerOf(connect()), "a");
    a.behind = true;
    connect();
    a.closedFor = "no-manager";
    b.closedFor = "no-manager";
    connect();
    assert.deepEqual(refusalsOf({ counters }), { "manager-behind": 2, "no-manager": 1 });
  });

  test("is refused for what keeps its own manager from taking it", () => {
    const choice = createChoice({
      managerChoice: "listener",
      manager: [{ name: "a" }, { name: "b" }],
      managerPrefixes: [],
    });
    const { counters, a, connect, ownerOf } = setUp({ choice, capacities: [1, 4] });
    const origin = { manager: "a" };
    assert.equal(ownerOf(connect(origin)), "a");
    connect(origin);
    a.behind = true;
    connect(origin);
    a.closedFor = "no-manager";
    connect(origin);
    assert.equal(ownerOf(connect({ manager: "b" })), "b");
    assert.deepEqual(refusalsOf({ counters }), { "no-slot": 1, "manager-behind": 1, "no-manager": 1 });
  });

  test("has its manager chosen when it joins: who has shaken hands meanwhile is nobody's", () => {
    const { a, b, connect, ownerOf } = setUp();
    const client = connect({}, handshaking);
    assert.equal(ownerOf(client), undefined);
    assert.deepEqual([a.sessionCount, b.sessionCount], [0, 0]);
    a.closedFor = "no-manager";
    client.shakesHands();
    assert.equal(ownerOf(client), "b");
  });
});

describe("a client that is chosen for by what it says first", () => {
  test("joins once that is told apart, and all that it said comes behind its join", () => {
    const { told, idOf, ownerOf, connect } = setUp({ choice: byFirstMessage("HELLO=a", "HELP=b") });
    const client = connect();
    client.says("HE");
    client.says("L");
    assert.deepEqual([ownerOf(client), told.a, told.b], [undefined, [], []]);
    client.says("P me");
    client.says(" now");
    const id = idOf(client);
    assert.deepEqual(told.b, [
      `join ${id}`,
      ...["HE", "L", "P me", " now"].map((text) => `message ${id} ${text}`),
    ]);
    assert.deepEqual(told.a, []);
  });

  test("is told apart by one message, where messages are framed", () => {
    const { told, counters, idOf, connect } = setUp({ choice: byFirstMessage("HELLO=a", "HELP=b") });
    const client = connect({ framing: "line" });
    client.says("HELP");
    assert.deepEqual(told.b, [`join ${idOf(client)}`, `message ${idOf(client)} HELP`]);
    const cut = connect({ framing: "line" });
    cut.says("HEL");
    assert.equal(cut.finishing, true);
    assert.deepEqual(refusalsOf({ counters }), { "unknown-manager": 1 });
  });

  test("says it behind its ticket, where that is a first message too", () => {
    const { told, idOf, connect } = setUp({ choice: byFirstMessage("HELLO=a", "=b") });
    const client = connect({ ticket: "first-message" });
    client.says("good");
    assert.deepEqual([told.a, told.b], [[], []]);
    client.says("HELLO");
    const id = idOf(client);
    assert.deepEqual(told.a, [`join ${id} as ann []`, `message ${id} HELLO`]);
  });

  test("has as long for it as for its handshake", () => {
    const { clock, counters, connect } = setUp({ choice: byFirstMessage("HELLO=a") });
    const client = connect();
    client.says("HEL");
    clock.advance(LIMITS.handshakeTimeoutMs + 60);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.deepEqual(refusalsOf({ counters }), { "handshake-timeout": 1 });
  });

  test("waits with it, unread, until it is admitted", () => {
    const { told, a, idOf, connect } = setUp({ choice: byFirstMessage("HELLO=a") });
    a.admission = true;
    const client = connect();
    client.says("HELLO");
    const id = idOf(client);
    assert.deepEqual([told.a, client.paused], [[`join ${id}`], true]);
    a.admit(id);
    assert.deepEqual([told.a.at(-1), client.paused], [`message ${id} HELLO`, false]);
  });
});

describe("a session that is handed over", () => {
  test("is the other manager's from there on, under another id, and its client notices nothing", () => {
    const { sessions, counters, told, a, b, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    a.bind(id, "ann");
    a.addToGroup(id, "red");
    a.send(id, Buffer.from("from a;"));
    client.says("to a");
    assert.equal(a.handOff(id, { manager: "b", data: Buffer.from("level 7") }), undefined);
    const newId = idOf(client);
    assert.notEqual(newId, id);
    client.says("to b");
    b.send(newId, Buffer.from("from b;"));
    b.sendGroup("red", Buffer.from("red of b;"));
    a.sendGroup("red", Buffer.from("red of a;"));
    a.sendAll(Buffer.from("all of a;"));
    sessions.flush();
    assert.equal(delivered(client), "from a;from b;red of b;");
    assert.deepEqual(told, {
      a: [`join ${id}`, `message ${id} to a`, `end ${id} manager handoff`],
      b: [`join ${newId} from a/${id} with level 7 as ann [red]`, `message ${newId} to b`],
    });
    assert.deepEqual([a.sessionCount, b.sessionCount, a.liveCount, b.liveCount], [0, 1, 0, 1]);
    assert.deepEqual(
      [client.paused, client.finishing, counters.handoffs, counters.rejoins],
      [false, false, 1, 0],
    );
  });

  test("can't be reached any more by who had it, whatever is still under way", () => {
    const { sessions, counters, a, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    a.handOff(id, { manager: "b" });
    a.send(id, Buffer.from("late"));
    a.drop(id);
    a.handOff(id, { manager: "b" });
    sessions.flush();
    assert.deepEqual([delivered(client), client.finishing, counters.staleFrames], ["", false, 3]);
    assert.notEqual(idOf(client), 0);
  });

  test("is read as its new manager's link allows", () => {
    const { a, b, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    b.setPaused(true);
    a.handOff(id, { manager: "b" });
    assert.equal(client.paused, true);
    a.setPaused(true);
    b.handOff(idOf(client), { manager: "a" });
    assert.equal(client.paused, true);
    a.handOff(idOf(client), { manager: "b" });
    b.setPaused(false);
    assert.equal(client.paused, false);
  });

  test("is in at once, also where its new manager wants to be asked about those who come", () => {
    const { a, b, told, idOf, slotOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    b.admission = true;
    a.handOff(id, { manager: "b" });
    client.says("hello");
    assert.equal(slotOf(client)?.admitted, true);
    assert.equal(told.b.at(-1), `message ${idOf(client)} hello`);
  });

  test("keeps what its client has shut down, and ends as its new manager's", () => {
    const { clock, told, a, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    client.halfCloses();
    a.handOff(id, { manager: "b" });
    const newId = idOf(client);
    clock.advance(LIMITS.halfCloseMs + 60);
    client.goes();
    assert.deepEqual(told.a, [`join ${id}`, `end ${id} manager handoff`]);
    assert.equal(told.b.at(-1), `end ${newId} client client-closed`);
  });

  test("frees its slot when its new manager acknowledges its end, and owes the old one nothing", () => {
    const { sessions, counters, clock, a, b, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    a.handOff(id, { manager: "b" });
    const newId = idOf(client);
    client.goes();
    a.drop(id);
    assert.equal(sessions.table.usedCount, 1);
    b.drop(newId);
    clock.advance(60_000);
    assert.deepEqual([sessions.table.usedCount, counters.unacknowledged, b.sessionCount], [0, 0, 0]);
  });

  for (const [code, spoil] of [
    ["unknown-manager", () => "c"],
    ["same-manager", () => "a"],
    [
      "no-manager",
      ({ b }) => {
        b.closedFor = "no-manager";
        return "b";
      },
    ],
    [
      "no-manager",
      ({ b }) => {
        b.behind = true;
        return "b";
      },
    ],
    [
      "no-slot",
      ({ b }) => {
        b.resize(0);
        return "b";
      },
    ],
    [
      "too-big",
      ({ tooBig }) => {
        tooBig();
        return "b";
      },
    ],
  ] as [string, (all: ReturnType<typeof setUp>) => string][]) {
    test(`stays where it is, and goes on, when that can't be done: ${code}`, () => {
      const all = setUp();
      const { told, counters, a, joinAt } = all;
      const { client, id } = joinAt(a);
      assert.equal(a.handOff(id, { manager: spoil(all), data: Buffer.from("x") }), code);
      client.says("hello");
      assert.deepEqual(told, { a: [`join ${id}`, `message ${id} hello`], b: [] });
      assert.deepEqual([a.liveCount, counters.handoffs, counters.staleFrames], [1, 0, 0]);
    });
  }

  test("stays where it is while it waits to be admitted itself", () => {
    const { a, joinAt } = setUp();
    a.admission = true;
    const { id } = joinAt(a);
    assert.equal(a.handOff(id, { manager: "b" }), "not-admitted");
    a.admit(id);
    assert.equal(a.handOff(id, { manager: "b" }), undefined);
  });

  test("has ended when it was ending already: that is told as ever, and the handoff is stale", () => {
    const { sessions, counters, told, a, joinAt } = setUp();
    const { client, id } = joinAt(a);
    client.goes();
    assert.equal(a.handOff(id, { manager: "b" }), undefined);
    assert.deepEqual(told.a.at(-1), `end ${id} client client-closed`);
    assert.deepEqual([counters.staleFrames, sessions.table.usedCount, told.b], [1, 1, []]);
    a.drop(id);
    assert.equal(sessions.table.usedCount, 0);
  });

  test("is still handed over while the gateway drains", () => {
    const { sessions, told, a, joinAt } = setUp();
    const { id } = joinAt(a);
    sessions.closedFor = "draining";
    assert.equal(a.handOff(id, { manager: "b" }), undefined);
    assert.equal(told.b.length, 1);
  });

  test("says where it comes from again to a manager that never acknowledged it", () => {
    const { told, a, b, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    const data = Buffer.from("level 7");
    a.handOff(id, { manager: "b", data });
    const newId = idOf(client);
    b.orphan({
      lostBytes: new Map([[newId, 5]]),
      transfers: new Map([[newId, { manager: "a", session: id, data }]]),
    });
    b.rejoin(9);
    assert.equal(told.b.at(-1), `join ${newId} from a/${id} with level 7 again, 5 lost`);
    b.orphan(unacknowledged());
    b.rejoin(9);
    assert.equal(told.b.at(-1), `join ${newId} again, 5 lost`, "but not to one that has acknowledged");
  });
});

describe("what a manager gave along", () => {
  test("is left out, and counted, when it does not fit any more beside what the session has got since", () => {
    const { told, counters, a, b, idOf, joinAt, tooBig } = setUp();
    const { client, id } = joinAt(a);
    const data = Buffer.from("level 7");
    a.handOff(id, { manager: "b", data });
    const newId = idOf(client);
    tooBig();
    b.orphan({ lostBytes: new Map(), transfers: new Map([[newId, { manager: "a", session: id, data }]]) });
    b.rejoin(9);
    assert.equal(told.b.at(-1), `join ${newId} from a/${id} again, 0 lost`);
    assert.equal(counters.lostBytes, data.length);
  });
});

describe("a manager that is lost for good", () => {
  test("leaves its sessions to another, which they are announced to like those that were there before", () => {
    const { sessions, counters, told, a, b, idOf, joinAt } = setUp();
    const { client, id } = joinAt(a);
    a.bind(id, "ann");
    a.hold();
    a.closedFor = "no-manager";
    a.orphan(unacknowledged([[id, 3]]));
    assert.deepEqual([...sessions.failOver(a)], [[b, 1]]);
    a.detach("manager-lost");
    assert.deepEqual([a.sessionCount, b.sessionCount, b.adriftCount], [0, 1, 1]);
    assert.equal(client.paused, true);
    b.rejoin(9);
    const newId = idOf(client);
    assert.notEqual(newId, id);
    assert.deepEqual(told.b, [`join ${newId} from a/${id} as ann [] again, 3 lost`]);
    assert.deepEqual(told.a, [`join ${id}`]);
    client.says("hello");
    assert.equal(told.b.at(-1), `message ${newId} hello`);
    assert.deepEqual([client.paused, counters.failovers, counters.rejoins], [false, 1, 1]);
  });

  test("leaves no more than there is room for, and the others end", () => {
    const { sessions, a, b, joinAt } = setUp({ capacities: [3, 2] });
    const clients = [joinAt(a), joinAt(a), joinAt(a)].map(({ client }) => client);
    a.closedFor = "no-manager";
    a.orphan(unacknowledged());
    sessions.failOver(a);
    a.detach("manager-lost");
    b.rejoin(9);
    assert.deepEqual(
      clients.map(({ finishing }) => finishing),
      [false, false, true],
    );
    assert.deepEqual([a.liveCount, b.liveCount], [0, 2]);
  });

  test("leaves none of those that were ending", () => {
    const { sessions, told, a, b, joinAt } = setUp();
    const [one, other, third] = [joinAt(a), joinAt(a), joinAt(a)];
    a.drop(one.id);
    other.client.goes();
    a.orphan(unacknowledged());
    third.client.goes();
    assert.deepEqual([...sessions.failOver(a)], []);
    a.detach("manager-lost");
    one.client.goes();
    b.rejoin(9);
    assert.deepEqual([sessions.table.usedCount, told.b], [0, []]);
  });

  test("is asked, where it is the next, about those that no manager has admitted", () => {
    const { sessions, told, a, b, idOf, joinAt } = setUp();
    a.admission = true;
    b.admission = true;
    const { client, id } = joinAt(a);
    a.orphan(unacknowledged());
    sessions.failOver(a);
    a.detach("manager-lost");
    b.rejoin(9);
    assert.deepEqual([told.b, b.liveCount], [[`join ${idOf(client)} from a/${id} again, 0 lost`], 0]);
    b.admit(idOf(client));
    assert.equal(b.liveCount, 1);
  });
});
