import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIMITS } from "../helpers/sessions.ts";
import { until } from "../helpers/wait.ts";
import {
  delivered,
  handshaking,
  refusalsOf,
  SWEEP_MS,
  saysAtOnce,
  startSessions,
  TestTickets,
} from "./support.ts";

const WITH_TICKET = { ticket: "first-message", framing: "u16be" } as const;

describe("a client that has to shake hands", () => {
  test("joins when its handshake is through, and not before", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    assert.equal(world.sessions.slotCounts().starting, 1);
    assert.deepEqual(world.told, []);
    client.shakesHands();
    assert.equal(world.told.length, 1);
    assert.equal(world.sessions.liveCount, 1);
    assert.deepEqual(refusalsOf(world), {});
  });

  test("is reset when it takes too long", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    world.clock.advance(LIMITS.handshakeTimeoutMs - 1);
    assert.equal(client.ending, undefined);
    world.clock.advance(1 + SWEEP_MS);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.deepEqual(refusalsOf(world), { "handshake-timeout": 1 });
    assert.equal(world.sessions.table.usedCount, 0);
    assert.deepEqual(world.gate.inside, []);
  });

  test("may stay once it is through, however long ago it came", () => {
    const { clock, connect, told } = startSessions();
    const client = connect(handshaking);
    clock.advance(LIMITS.handshakeTimeoutMs - 1);
    client.shakesHands();
    clock.advance(100 * LIMITS.handshakeTimeoutMs);
    assert.deepEqual([client.ending, client.finishing, told.length], [undefined, false, 1]);
  });

  test("is counted when it goes before", () => {
    const world = startSessions();
    world.connect(handshaking).goes("ECONNRESET");
    assert.deepEqual(refusalsOf(world), { "left-early": 1 });
    assert.deepEqual(world.told, []);
    assert.equal(world.sessions.table.usedCount, 0);
    assert.deepEqual(world.gate.inside, []);
  });

  test("is counted for what it failed at, once, whatever comes after", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    client.sink?.failed("tls-handshake");
    client.sink?.failed("bad-upgrade");
    world.clock.advance(LIMITS.handshakeTimeoutMs + SWEEP_MS);
    client.goes();
    assert.deepEqual(refusalsOf(world), { "tls-handshake": 1 });
    assert.equal(world.counters.refused, 1);
  });

  test("is turned away, and counted, when the gateway ends", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    world.sessions.endAll("shutdown");
    assert.equal(client.ending, "close");
    client.goes();
    assert.deepEqual(refusalsOf(world), { draining: 1 });
    assert.deepEqual(world.told, []);
  });

  test("is closed, and counted, when there are no managers any more", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    world.roster.closedFor = "no-manager";
    world.sessions.detachAll("shutdown");
    assert.equal(client.ending, "close");
    client.goes();
    assert.deepEqual(refusalsOf(world), { "no-manager": 1 });
    assert.equal(world.sessions.table.usedCount, 0);
    assert.deepEqual(world.gate.inside, []);
  });

  test("does not join when its handshake was through too late", () => {
    const { clock, connect, told } = startSessions();
    const client = connect(handshaking);
    clock.advance(LIMITS.handshakeTimeoutMs + SWEEP_MS);
    client.sink?.established(client);
    assert.deepEqual(told, []);
  });

  test("can't be sent to, dropped or admitted by an id that was guessed", () => {
    const { sessions, roster, counters, connect, slotOf } = startSessions();
    const client = connect(handshaking);
    const id = slotOf(client)?.session ?? 0;
    roster.send(id, Buffer.from("early"));
    roster.sendAll(Buffer.from("early"));
    roster.drop(id, { banMs: 1000 });
    roster.admit(id);
    sessions.flush();
    client.shakesHands();
    assert.deepEqual([delivered(client), client.finishing, counters.staleFrames], ["", false, 3]);
    assert.equal(sessions.liveCount, 1);
  });
});

describe("the gate", () => {
  test("counts who is in until its connection is gone, not only until its session ends", () => {
    const { roster, gate, join } = startSessions();
    const { client, id } = join();
    roster.drop(id);
    assert.deepEqual(gate.inside, ["192.0.2.1"]);
    client.goes();
    assert.deepEqual(gate.inside, []);
  });

  test("refuses a client before it takes a slot", () => {
    const world = startSessions();
    world.gate.refused.set("192.0.2.1", "address-rate");
    const client = world.connect();
    assert.deepEqual([client.ending, client.sink], ["close", undefined]);
    assert.deepEqual(refusalsOf(world), { "address-rate": 1 });
    assert.deepEqual([world.sessions.table.usedCount, world.gate.inside.length], [0, 0]);
  });

  test("is left again by a client for which there is no slot", () => {
    const world = startSessions({ capacity: 1 });
    world.join();
    world.connect();
    world.connect();
    assert.deepEqual(refusalsOf(world), { "no-slot": 2 });
    assert.deepEqual(world.gate.inside, ["192.0.2.1"]);
  });

  test("is not asked while nobody is let in", () => {
    const world = startSessions();
    for (const reason of ["no-manager", "draining"] as const) {
      world.roster.closedFor = reason;
      world.connect();
    }
    assert.deepEqual(refusalsOf(world), { "no-manager": 1, draining: 1 });
    assert.deepEqual(world.gate.inside, []);
  });

  test("is asked once a proxy has told the client's address, and the manager is told that one", () => {
    const { gate, connect, slotOf } = startSessions();
    const client = connect((one) => {
      handshaking(one);
      one.address = undefined;
    });
    assert.deepEqual(gate.inside, []);
    assert.equal(client.sink?.identified("203.0.113.9", 4711), undefined);
    assert.deepEqual(gate.inside, ["203.0.113.9"]);
    client.shakesHands();
    assert.deepEqual([slotOf(client)?.address, slotOf(client)?.port], ["203.0.113.9", 4711]);
    client.goes();
    assert.deepEqual(gate.inside, []);
  });

  test("that refuses that address is not left by it", () => {
    const world = startSessions();
    world.gate.refused.set("203.0.113.9", "denied");
    const client = world.connect((one) => {
      handshaking(one);
      one.address = undefined;
    });
    assert.equal(client.sink?.identified("203.0.113.9", 4711), "denied");
    client.sink?.failed("denied");
    client.goes();
    assert.deepEqual(refusalsOf(world), { denied: 1 });
    assert.deepEqual([world.sessions.table.usedCount, world.gate.inside.length], [0, 0]);
  });

  test("is not left by a client whose proxy never told who it is", () => {
    const world = startSessions();
    const client = world.connect((one) => {
      handshaking(one);
      one.address = undefined;
    });
    client.goes();
    assert.deepEqual(refusalsOf(world), { "left-early": 1 });
  });
});

describe("the ends that are counted", () => {
  test("are those of clients that have joined, and of no others", () => {
    const { connect, join, counters } = startSessions();
    connect(handshaking).goes();
    const late = connect(handshaking);
    late.sink?.failed("tls-handshake");
    late.goes("ECONNRESET");
    const counted = () => Object.fromEntries(Object.entries(counters.ends).filter(([, count]) => count > 0));
    assert.deepEqual(counted(), {});
    assert.deepEqual(refusalsOf({ counters }), { "left-early": 1, "tls-handshake": 1 });
    join().client.goes("ECONNRESET");
    assert.deepEqual(counted(), { "client-reset": 1 });
  });
});

describe("file descriptors", () => {
  test("that are spare are no client's", () => {
    const world = startSessions({ limits: { maxDescriptors: 100 } });
    const connectAt = (descriptor: number | undefined) =>
      world.connect((client) => {
        client.descriptor = descriptor;
      });
    assert.equal(connectAt(99).ending, undefined);
    assert.equal(connectAt(100).ending, "close");
    assert.equal(connectAt(101).ending, "close");
    assert.equal(connectAt(undefined).ending, undefined);
    assert.deepEqual(refusalsOf(world), { descriptors: 2 });
    assert.equal(world.gate.inside.length, 2);
  });

  test("are spared also while there is no manager", () => {
    const world = startSessions({ limits: { maxDescriptors: 100 } });
    world.roster.closedFor = "no-manager";
    const client = world.connect((one) => {
      one.descriptor = 100;
    });
    assert.deepEqual([client.ending, refusalsOf(world)], ["close", { descriptors: 1 }]);
  });
});

describe("a ticket in the first message", () => {
  const start = (more = {}) => startSessions({ tickets: new TestTickets(), origin: WITH_TICKET, ...more });

  test("lets its client in, tells who it is, and is not passed on", () => {
    const { connect, told, slotOf } = start();
    const client = connect();
    assert.deepEqual(told, []);
    client.says("good");
    const id = slotOf(client)?.session;
    assert.deepEqual(told, [`join ${id} ann red team`]);
    client.says("hello");
    assert.equal(told.at(-1), `message ${id} hello`);
    assert.deepEqual([slotOf(client)?.inMsgs, slotOf(client)?.inBytes], [1, 5]);
  });

  test("is checked against the client's address", () => {
    const tickets = new TestTickets();
    const { connect } = start({ tickets });
    const client = connect((one) => {
      handshaking(one);
      one.address = undefined;
    });
    client.sink?.identified("203.0.113.9", 4711);
    client.shakesHands();
    client.says("good");
    assert.deepEqual(tickets.shownFrom, ["203.0.113.9"]);
  });

  for (const [ticket, refusal] of [
    ["forged", "bad-ticket"],
    ["", "bad-ticket"],
    ["old", "expired-ticket"],
  ] as const) {
    test(`that is '${ticket}' ends its client as ${refusal}, who hears why`, () => {
      const world = start();
      const client = world.connect();
      saysAtOnce(client, ticket, "good", "hello");
      assert.deepEqual([client.finishing, client.farewell?.reason], [true, refusal]);
      client.goes();
      assert.deepEqual(refusalsOf(world), { [refusal]: 1 });
      assert.deepEqual(world.told, []);
      assert.deepEqual([world.sessions.table.usedCount, world.gate.inside.length], [0, 0]);
    });
  }

  test("that was used before lets nobody else in", () => {
    const world = start();
    world.connect().says("good");
    const second = world.connect();
    second.says("good");
    assert.equal(second.farewell?.reason, "replayed-ticket");
    second.goes();
    assert.deepEqual(refusalsOf(world), { "replayed-ticket": 1 });
    assert.equal(world.told.length, 1);
  });

  test("that breaks the framing is a bad ticket", () => {
    const world = start();
    const client = world.connect();
    client.sink?.faulted("too-big");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "bad-ticket"]);
    client.goes();
    assert.deepEqual([refusalsOf(world), world.told], [{ "bad-ticket": 1 }, []]);
  });

  test("must come in time, counted from when the client connected", () => {
    const world = start();
    const client = world.connect(handshaking);
    world.clock.advance(LIMITS.handshakeTimeoutMs / 2);
    client.shakesHands();
    world.clock.advance(LIMITS.handshakeTimeoutMs / 2 + SWEEP_MS);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.deepEqual([refusalsOf(world), world.told], [{ "handshake-timeout": 1 }, []]);
  });

  test("that never comes, because the client shuts down its sending side, is leaving early", () => {
    const world = start();
    const client = world.connect();
    client.halfCloses();
    assert.equal(client.finishing, true);
    client.goes();
    assert.deepEqual(refusalsOf(world), { "left-early": 1 });
  });

  test("that never comes, because the client says that it goes, is leaving early", () => {
    const world = start();
    const client = world.connect();
    client.leaves();
    assert.equal(client.finishing, true);
    client.goes();
    assert.deepEqual(refusalsOf(world), { "left-early": 1 });
  });

  test("does not swallow the messages behind it", () => {
    const { connect, told, slotOf } = start();
    const client = connect();
    saysAtOnce(client, "good", "one", "", "two");
    const id = slotOf(client)?.session;
    assert.deepEqual(told, [
      `join ${id} ann red team`,
      `message ${id} one`,
      `message ${id} `,
      `message ${id} two`,
    ]);
  });

  test("may be read while the link is congested, and nothing behind it is", () => {
    const { roster, connect, told } = start();
    roster.setPaused(true);
    const client = connect();
    client.says("good");
    assert.equal(told.length, 1);
    assert.equal(client.paused, true);
    client.says("hello");
    roster.setPaused(false);
    assert.equal(client.paused, false);
    assert.equal(told.length, 1);
  });

  test("is bad where nothing checks tickets", () => {
    const world = startSessions({ origin: WITH_TICKET });
    const client = world.connect();
    client.says("good");
    assert.equal(client.farewell?.reason, "bad-ticket");
  });

  test("turns its client away, and does not count it twice, when the gateway ends", () => {
    const world = start();
    const client = world.connect();
    world.sessions.endAll("shutdown");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "draining"]);
    client.says("good");
    client.goes();
    assert.deepEqual([refusalsOf(world), world.told], [{ draining: 1 }, []]);
  });
});

describe("a ticket in the handshake", () => {
  test("lets its client in, or says why not", () => {
    const { connect, told, slotOf } = startSessions({
      tickets: new TestTickets(),
      origin: { ticket: "query", framing: "websocket" },
    });
    const client = connect(handshaking);
    assert.equal(client.sink?.presented("old"), "expired-ticket");
    assert.equal(client.sink?.presented("forged"), "bad-ticket");
    assert.equal(client.sink?.presented("good"), undefined);
    assert.deepEqual(told, []);
    client.shakesHands();
    assert.deepEqual(told, [`join ${slotOf(client)?.session} ann red team`]);
    assert.equal(connect(handshaking).sink?.presented("good"), "replayed-ticket");
  });
});

describe("a client that the manager is asked about", () => {
  const start = (more = {}) => startSessions({ admission: true, ...more });

  test("is announced, and neither read nor one of all until it is admitted", () => {
    const { sessions, roster, join, told } = start();
    const { client, id } = join();
    assert.deepEqual(told, [`join ${id}`]);
    assert.equal(client.paused, true);
    assert.deepEqual([sessions.liveCount, sessions.slotCounts().starting], [0, 1]);
    roster.sendAll(Buffer.from("for all"));
    sessions.flush();
    roster.admit(id);
    assert.equal(client.paused, false);
    assert.deepEqual([sessions.liveCount, sessions.slotCounts().inUse], [1, 1]);
    roster.sendAll(Buffer.from("for all that are in"));
    sessions.flush();
    assert.equal(delivered(client), "for all that are in");
    client.says("hello");
    assert.deepEqual(told, [`join ${id}`, `message ${id} hello`]);
  });

  test("can be sent to before", () => {
    const { sessions, roster, join } = start();
    const { client, id } = join();
    roster.send(id, Buffer.from("who are "));
    roster.send(id, Buffer.from("you?"));
    sessions.flush();
    assert.deepEqual(client.delivered.map(String), ["who are you?"]);
  });

  test("is a slow consumer also before", () => {
    const { sessions, roster, join, told } = start();
    const { client, id } = join();
    client.unstick(true);
    roster.send(id, Buffer.alloc(LIMITS.clientBufferBytes + 1));
    sessions.flush();
    assert.equal(client.ending, "reset");
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway slow-consumer`);
  });

  test("is told no by a drop, and reads what was sent to it", () => {
    const { sessions, roster, join, told } = start();
    const { client, id } = join();
    roster.send(id, Buffer.from("we are full"));
    roster.drop(id, { reason: "full", code: 4000 });
    assert.equal(delivered(client), "we are full");
    assert.deepEqual(client.farewell, { reason: "dropped", code: 4000, text: "full" });
    assert.equal(client.paused, false, "it is read to its end");
    client.says("but why?");
    client.goes();
    assert.deepEqual(told, [`join ${id}`, `end ${id} manager dropped`]);
    assert.equal(sessions.table.usedCount, 0, "a drop needs no acknowledgement");
  });

  test("is told no by a discarding drop", () => {
    const { sessions, roster, join, told } = start();
    const { client, id } = join();
    roster.dropDiscard(id);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.deepEqual(told, [`join ${id}`, `end ${id} manager drop-discarded`]);
    assert.equal(sessions.table.usedCount, 0);
  });

  test("that goes before owes the manager an acknowledgement like any other", () => {
    const { sessions, roster, join, told, gate } = start();
    const { client, id } = join();
    client.goes();
    assert.deepEqual(told, [`join ${id}`, `end ${id} client client-closed`]);
    roster.admit(id);
    assert.deepEqual([sessions.liveCount, sessions.slotCounts().stopping], [0, 1]);
    roster.drop(id);
    assert.deepEqual([sessions.table.usedCount, gate.inside.length], [0, 0]);
  });

  test("ends as not admitted when nobody says anything", () => {
    const world = start();
    const { client, id } = world.join();
    world.clock.advance(LIMITS.admitTimeoutMs - 1);
    assert.equal(client.finishing, false);
    world.clock.advance(1 + SWEEP_MS);
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "not-admitted"]);
    world.roster.admit(id);
    client.goes();
    assert.deepEqual(world.told, [`join ${id}`, `end ${id} gateway not-admitted`]);
    assert.equal(world.counters.ends["not-admitted"], 1);
    assert.deepEqual(refusalsOf(world), {});
  });

  test("has no deadline any more once it is in", () => {
    const { roster, clock, join } = start();
    const { client, id } = join();
    roster.admit(id);
    clock.advance(100 * LIMITS.admitTimeoutMs);
    assert.deepEqual([client.finishing, client.ending], [false, undefined]);
  });

  test("is admitted once: what comes later is ignored", () => {
    const { sessions, roster, counters, join } = start();
    const { id } = join();
    roster.admit(id);
    roster.admit(id);
    assert.deepEqual([sessions.liveCount, counters.staleFrames], [1, 0]);
    roster.admit(id + 1);
    roster.admit(0);
    assert.equal(counters.staleFrames, 2);
  });

  test("has what it said meanwhile delivered, in order, and nothing of it twice", () => {
    const tickets = new TestTickets();
    const { roster, connect, told, slotOf } = start({ tickets, origin: WITH_TICKET });
    const client = connect();
    saysAtOnce(client, "good", "one", "two");
    const id = slotOf(client)?.session ?? 0;
    assert.deepEqual(told, [`join ${id} ann red team`]);
    assert.equal(client.paused, true);
    roster.admit(id);
    client.says("three");
    assert.deepEqual(told.slice(1), [`message ${id} one`, `message ${id} two`, `message ${id} three`]);
    assert.equal(slotOf(client)?.inMsgs, 3);
  });

  test("has what it said meanwhile kept in about as much memory, however many messages it is", async () => {
    const { roster, connect, told, slotOf } = start();
    const client = connect();
    const slot = slotOf(client);
    saysAtOnce(client, ...Array<string>(10_000).fill(""));
    assert.ok((slot?.unread?.memoryBytes ?? 0) <= 20_000, `${slot?.unread?.memoryBytes} bytes`);
    roster.admit(slot?.session ?? 0);
    // It takes turns, like whoever else has much to say.
    assert.ok(told.length < 1000);
    await until(() => told.length === 10_001, "it has said all of it");
    assert.equal(slot?.unread, undefined);
  });

  test("that is dropped takes what it said meanwhile with it", () => {
    const tickets = new TestTickets();
    const { roster, connect, told, slotOf } = start({ tickets, origin: WITH_TICKET });
    const client = connect();
    saysAtOnce(client, "good", "one");
    const id = slotOf(client)?.session ?? 0;
    roster.drop(id);
    roster.admit(id);
    client.goes();
    assert.deepEqual(told.slice(1), [`end ${id} manager dropped`]);
  });

  test("is not read when it is admitted while the link is congested, until that is over", () => {
    const { roster, join } = start();
    const { client, id } = join();
    roster.setPaused(true);
    roster.admit(id);
    assert.equal(client.paused, true);
    roster.setPaused(false);
    assert.equal(client.paused, false);
  });

  test("is not read because a congestion of the link is over", () => {
    const { roster, join } = start();
    const { client, id } = join();
    roster.setPaused(true);
    roster.setPaused(false);
    assert.equal(client.paused, true);
    roster.admit(id);
    assert.equal(client.paused, false);
  });

  test("that has said something and shut down its sending side is heard also when it is admitted late", () => {
    const tickets = new TestTickets();
    const { roster, clock, connect, told, slotOf } = start({ tickets, origin: WITH_TICKET });
    const client = connect();
    saysAtOnce(client, "good", "last words");
    const id = slotOf(client)?.session ?? 0;
    client.halfCloses();
    clock.advance(LIMITS.halfCloseMs + SWEEP_MS);
    assert.equal(client.finishing, false);
    roster.admit(id);
    assert.equal(told.at(-1), `message ${id} last words`);
    clock.advance(LIMITS.halfCloseMs + SWEEP_MS);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("that has said something, and that it goes, is heard also when it is admitted late", () => {
    const tickets = new TestTickets();
    const { roster, clock, connect, told, slotOf } = start({ tickets, origin: WITH_TICKET });
    const client = connect();
    saysAtOnce(client, "good", "last words");
    const id = slotOf(client)?.session ?? 0;
    client.leaves();
    assert.equal(client.finishing, false);
    roster.admit(id);
    assert.equal(told.at(-1), `message ${id} last words`);
    clock.advance(LIMITS.halfCloseMs + SWEEP_MS);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("that says that it goes, and has nothing to be told, is not kept", () => {
    const { join, told } = start();
    const { client, id } = join();
    client.leaves();
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("that has shut down its sending side and is not admitted is not kept for ever either", () => {
    const { clock, join, told } = start();
    const { client, id } = join();
    client.halfCloses();
    clock.advance(LIMITS.admitTimeoutMs + SWEEP_MS);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("that has shut down its sending side meanwhile is not kept for ever once it is in", () => {
    const { sessions, roster, clock, join, told } = start();
    const { client, id } = join();
    client.halfCloses();
    roster.admit(id);
    roster.send(id, Buffer.from("answer"));
    sessions.flush();
    assert.deepEqual([delivered(client), client.finishing], ["answer", false]);
    clock.advance(LIMITS.halfCloseMs + SWEEP_MS);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("is ended with all others, and closed with the link", () => {
    const { sessions, roster, join, told } = start();
    const { client, id } = join();
    sessions.endAll("shutdown");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "shutdown"]);
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway shutdown`);
    const next = join();
    roster.detach("manager-lost");
    assert.equal(next.client.ending, "close");
    next.client.goes();
    assert.equal(told.length, 3);
  });

  test("is not asked about any more once a manager does not want it", () => {
    const { sessions, roster, join } = start();
    const asked = join();
    roster.admission = false;
    const { client } = join();
    assert.deepEqual([asked.client.paused, client.paused, sessions.liveCount], [true, false, 1]);
  });
});

describe("when the lists have changed", () => {
  const at = (address: string) => (client: { address: string | undefined }) => {
    client.address = address;
  };

  test("whoever may not be in any more is ended as denied at the next sweep, and nobody else", () => {
    const world = startSessions();
    const bad = world.join(at("192.0.2.66"));
    const good = world.join(at("192.0.2.7"));
    world.gate.refused.set("192.0.2.66", "not-allowed");
    world.clock.advance(10 * SWEEP_MS);
    assert.equal(bad.client.finishing, false, "it is looked at when there is a reason to");
    world.roster.send(bad.id, Buffer.from("bye"));
    world.sessions.recheck();
    world.clock.advance(SWEEP_MS);
    assert.deepEqual([bad.client.finishing, bad.client.farewell?.reason], [true, "denied"]);
    assert.equal(delivered(bad.client), "bye");
    assert.deepEqual([good.client.finishing, good.client.ending], [false, undefined]);
    bad.client.goes();
    assert.equal(world.told.at(-1), `end ${bad.id} gateway denied`);
    assert.deepEqual(refusalsOf(world), {}, "it had joined: it is no refusal");
  });

  test("so is who waits to be admitted", () => {
    const world = startSessions({ admission: true });
    const { client, id } = world.join();
    world.gate.refused.set("192.0.2.1", "denied");
    world.sessions.recheck();
    world.clock.advance(SWEEP_MS);
    client.goes();
    assert.equal(world.told.at(-1), `end ${id} gateway denied`);
  });

  test("who shakes hands is refused for it", () => {
    const world = startSessions();
    const client = world.connect(handshaking);
    world.gate.refused.set("192.0.2.1", "banned");
    world.sessions.recheck();
    world.clock.advance(SWEEP_MS);
    assert.equal(client.ending, "close");
    client.goes();
    assert.deepEqual([refusalsOf(world), world.told], [{ banned: 1 }, []]);
    assert.deepEqual(world.gate.inside, []);
  });

  test("who has not told its address yet is left alone", () => {
    const world = startSessions();
    const client = world.connect((one) => {
      handshaking(one);
      one.address = undefined;
    });
    world.gate.refused.set("", "not-allowed");
    world.sessions.recheck();
    world.clock.advance(SWEEP_MS);
    assert.equal(client.ending, undefined);
  });

  test("who is being ended already keeps its reason", () => {
    const world = startSessions();
    const { client, id } = world.join();
    world.roster.drop(id);
    world.gate.refused.set("192.0.2.1", "denied");
    world.sessions.recheck();
    world.clock.advance(SWEEP_MS);
    client.goes();
    assert.equal(world.told.at(-1), `end ${id} manager dropped`);
  });
});

describe("a ban", () => {
  test("that comes with a drop is for the client's address", () => {
    const { roster, gate, join } = startSessions();
    const first = join();
    const second = join();
    roster.drop(first.id, { banMs: 1000 });
    roster.dropDiscard(second.id, { banMs: 0 });
    assert.deepEqual(gate.bans, [
      ["192.0.2.1", 1000],
      ["192.0.2.1", 0],
    ]);
  });

  test("may come with the acknowledgement, when the slot is free at once", () => {
    const { sessions, roster, gate, join } = startSessions();
    const { client, id } = join();
    client.goes();
    roster.drop(id, { banMs: 1000 });
    assert.deepEqual([gate.bans, sessions.table.usedCount], [[["192.0.2.1", 1000]], 0]);
  });

  test("may come with a discarding drop behind a drop", () => {
    const { roster, gate, join } = startSessions();
    const { id } = join();
    roster.drop(id);
    roster.dropDiscard(id, { banMs: 1000 });
    assert.deepEqual(gate.bans, [["192.0.2.1", 1000]]);
  });

  test("is nobody's without a time, or for an id that is not live", () => {
    const { roster, gate, join } = startSessions();
    const { id } = join();
    roster.drop(id + 1, { banMs: 1000 });
    roster.drop(id);
    assert.deepEqual(gate.bans, []);
  });
});

describe("a farewell", () => {
  test("says the drop's code and text, and those of the first drop only", () => {
    const { roster, join } = startSessions();
    const { client, id } = join();
    roster.drop(id, { code: 4001, reason: "cheating" });
    roster.drop(id, { code: 4002, reason: "again" });
    assert.deepEqual(client.farewell, { reason: "dropped", code: 4001, text: "cheating" });
  });

  test("says why the gateway ends a client", () => {
    const { sessions, join } = startSessions();
    const shut = join().client;
    sessions.endAll("shutdown");
    assert.deepEqual(shut.farewell, { reason: "shutdown" });
    const broken = join().client;
    broken.sink?.faulted("bad-frame");
    assert.deepEqual(broken.farewell, { reason: "bad-frame" });
  });

  test("says also to those who lose their manager why, and does not wait for them", () => {
    const { roster, join } = startSessions();
    const { client } = join();
    roster.detach("manager-lost");
    assert.deepEqual([client.farewell, client.ending], [{ reason: "manager-lost" }, "close"]);
  });

  test("is said to who finds no place", () => {
    const { roster, connect } = startSessions({ capacity: 1 });
    connect();
    const second = connect();
    assert.deepEqual([second.finishing, second.farewell?.reason], [true, "no-slot"]);
    second.goes();
    roster.closedFor = "draining";
    assert.equal(connect().farewell?.reason, "draining");
  });
});
