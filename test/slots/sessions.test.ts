import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Slot } from "../../gateway/slots/slot.ts";
import { LIMITS } from "../helpers/sessions.ts";
import { delivered, refusalsOf, type SessionsSetUp, startSessions } from "./support.ts";

const setUp = (given: SessionsSetUp = {}) => startSessions({ capacity: 2, ...given });

describe("a client that leaves", () => {
  test("is told once its connection is gone, and holds its slot until the manager acknowledges", () => {
    const { sessions, roster, told, join } = setUp();
    const { client, id } = join();
    client.goes();
    assert.deepEqual(told, [`join ${id}`, `end ${id} client client-closed`]);
    assert.equal(sessions.slotCounts().stopping, 1);
    roster.drop(id);
    assert.equal(sessions.table.usedCount, 0);
    assert.equal(told.length, 2);
  });

  test("may be acknowledged by a discarding drop", () => {
    const { sessions, roster, join } = setUp();
    const { client, id } = join();
    client.goes();
    roster.dropDiscard(id);
    assert.equal(sessions.table.usedCount, 0);
  });

  test("frees the slot, counted, when the acknowledgement never comes", () => {
    const { sessions, clock, counters, join } = setUp();
    join().client.goes();
    clock.advance(LIMITS.ackTimeoutMs - 1);
    assert.equal(sessions.table.usedCount, 1);
    clock.advance(60);
    assert.equal(sessions.table.usedCount, 0);
    assert.equal(counters.unacknowledged, 1);
  });

  test("by a reset is told as such", () => {
    const { told, join } = setUp();
    const { client, id } = join();
    client.goes("ECONNRESET");
    assert.equal(told.at(-1), `end ${id} client client-reset`);
  });

  test("by another failure is told as an error", () => {
    const { told, join } = setUp();
    const { client, id } = join();
    client.goes("ETIMEDOUT");
    assert.equal(told.at(-1), `end ${id} client error`);
  });
});

describe("a client that shuts down its sending side", () => {
  test("is still sent to, then ends as client-closed", () => {
    const { sessions, roster, clock, told, join } = setUp();
    const { client, id } = join();
    client.halfCloses();
    clock.advance(LIMITS.halfCloseMs - 1);
    roster.send(id, Buffer.from("answer"));
    sessions.flush();
    assert.equal(delivered(client), "answer");
    assert.equal(client.finishing, false);
    clock.advance(60);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("keeps that cause when the manager drops it meanwhile, and owes no acknowledgement", () => {
    const { sessions, roster, told, join } = setUp();
    const { client, id } = join();
    client.halfCloses();
    roster.drop(id);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
    assert.equal(sessions.table.usedCount, 0);
  });
});

describe("a client that says that it goes", () => {
  test("is ended at once, behind what was sent to it before", () => {
    const { sessions, roster, told, join } = setUp();
    const { client, id } = join();
    roster.send(id, Buffer.from("answer"));
    client.leaves();
    assert.deepEqual([delivered(client), client.finishing], ["answer", true]);
    assert.equal(sessions.slotCounts().stopping, 1);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("and does not take that in time is cut", () => {
    const { clock, told, join } = setUp();
    const { client, id } = join();
    client.leaves();
    clock.advance(LIMITS.flushTimeoutMs + 60);
    assert.equal(client.ending, "reset");
    client.goes("ECONNRESET");
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("while it is being dropped changes nothing", () => {
    const { roster, told, join } = setUp();
    const { client, id } = join();
    roster.drop(id);
    client.leaves();
    client.goes();
    assert.equal(told.at(-1), `end ${id} manager dropped`);
  });
});

describe("a drop", () => {
  test("sends what was sent before in the same turn, then finishes", () => {
    const { sessions, roster, told, join } = setUp();
    const { client, id } = join();
    roster.send(id, Buffer.from("good"));
    roster.send(id, Buffer.from("bye"));
    roster.drop(id);
    assert.equal(delivered(client), "goodbye");
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} manager dropped`);
    assert.equal(sessions.table.usedCount, 0);
  });

  test("lets nothing more through, either way", () => {
    const { sessions, roster, counters, told, join } = setUp();
    const { client, id } = join();
    roster.drop(id);
    roster.send(id, Buffer.from("late"));
    roster.sendAll(Buffer.from("late"));
    sessions.flush();
    client.says("late");
    assert.equal(delivered(client), "");
    assert.equal(counters.staleFrames, 1);
    assert.deepEqual(told, [`join ${id}`]);
  });

  test("cuts a client that does not take what is queued", () => {
    const { roster, clock, told, join } = setUp();
    const { client, id } = join();
    client.unstick(true);
    roster.send(id, Buffer.from("unread"));
    roster.drop(id);
    clock.advance(LIMITS.flushTimeoutMs + 60);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.equal(told.at(-1), `end ${id} manager dropped`);
  });

  test("that crosses the gateway's own end is the acknowledgement", () => {
    const { sessions, roster, told, join } = setUp();
    const { client, id } = join();
    sessions.endAll("shutdown");
    roster.drop(id);
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway shutdown`);
    assert.equal(sessions.table.usedCount, 0);
  });

  test("that discards resets at once, also while another is flushing", () => {
    const { roster, told, join } = setUp();
    const { client, id, slot } = join();
    client.unstick(true);
    roster.send(id, Buffer.from("unread"));
    roster.drop(id);
    assert.equal(client.ending, undefined);
    roster.dropDiscard(id);
    assert.equal(client.ending, "reset");
    client.goes();
    assert.equal(told.at(-1), `end ${id} manager dropped`);
    assert.equal(slot?.phase, "freed");
  });

  test("that discards does not send what was held in the same turn, and counts it", () => {
    const { sessions, roster, counters, join } = setUp();
    const { client, id } = join();
    roster.send(id, Buffer.from("held"));
    roster.dropDiscard(id);
    sessions.flush();
    client.goes();
    assert.equal(delivered(client), "");
    assert.equal(counters.unsentBytes, 4);
  });

  test("for an id that is stale or invented is counted and nothing else", () => {
    const { roster, counters, join } = setUp();
    const { client, id } = join();
    client.goes();
    roster.drop(id);
    const next = join();
    roster.drop(id);
    roster.dropDiscard(0);
    assert.equal(counters.staleFrames, 2);
    assert.equal(next.client.finishing, false);
  });
});

describe("what goes to a client", () => {
  test("is one write for all that was sent in a turn", () => {
    const { sessions, roster, join } = setUp();
    const { client, id } = join();
    for (const part of ["a", "b", "c"]) roster.send(id, Buffer.from(part));
    roster.sendAll(Buffer.from("d"));
    sessions.flush();
    assert.deepEqual(client.delivered.map(String), ["abcd"]);
  });

  test("over the limit closes it as a slow consumer, and nobody else", () => {
    const { sessions, roster, counters, told, join } = setUp();
    const slow = join();
    const quick = join();
    slow.client.unstick(true);
    for (let sent = 0; sent <= LIMITS.clientBufferBytes; sent += 10) {
      roster.sendAll(Buffer.alloc(10, "x"));
      sessions.flush();
    }
    assert.equal(slow.client.ending, "reset");
    assert.equal(quick.client.ending, undefined);
    assert.equal(delivered(quick.client).length, 110);
    slow.client.goes();
    assert.equal(told.at(-1), `end ${slow.id} gateway slow-consumer`);
    assert.equal(counters.ends["slow-consumer"], 1);
    assert.equal(counters.unsentBytes, 110);
    assert.equal(sessions.slotCounts().stopping, 1, "its end awaits the acknowledgement");
  });
});

describe("what was not sent", () => {
  test("is never more than was to be sent, though a connection has something of its own to say", () => {
    const unsent: number[] = [];
    const { roster, counters, join } = setUp({
      router: { disconnected: ({ unsentBytes }: Slot) => unsent.push(unsentBytes) },
    });
    const [told, untold] = [join(), join()];
    for (const { client } of [told, untold]) Object.defineProperty(client, "unsentBytes", { value: 7 });
    roster.send(told.id, Buffer.from("hello"));
    for (const { client } of [told, untold]) client.goes();
    assert.deepEqual(unsent, [5, 0]);
    assert.equal(counters.unsentBytes, 5);
  });
});

describe("a client that finds no place", () => {
  test("is told that it may not come in at all, where it may not", () => {
    const { gate, connect, ...world } = setUp({ capacity: 1 });
    connect();
    gate.refused.set("192.0.2.1", "denied");
    assert.equal(connect().ending, "close");
    assert.deepEqual(refusalsOf(world), { denied: 1 });
    gate.refused.clear();
    assert.equal(connect().ending, undefined);
    assert.deepEqual(refusalsOf(world), { denied: 1, "no-slot": 1 });
    assert.deepEqual(gate.inside.length, 1, "who finds no place is not in");
  });

  test("is refused politely and counted, and the next ones are closed at once", () => {
    const { clock, counters, told, connect } = setUp({ capacity: 1 });
    connect();
    const polite = connect();
    const abrupt = connect();
    assert.equal(counters.refused, 2);
    assert.deepEqual([polite.finishing, polite.ending], [true, undefined]);
    assert.equal(abrupt.ending, "close");
    clock.advance(1000);
    assert.equal(polite.ending, "close");
    assert.equal(told.length, 1);
  });

  test("leaves the spare place to the next when it has gone", () => {
    const { connect } = setUp({ capacity: 1 });
    connect();
    connect().goes();
    const next = connect();
    assert.deepEqual([next.finishing, next.ending], [true, undefined]);
  });

  test("is refused while there is no manager", () => {
    const { sessions, roster, counters, connect } = setUp();
    roster.closedFor = "no-manager";
    connect();
    assert.equal(counters.refused, 1);
    assert.equal(sessions.table.usedCount, 0);
  });
});

describe("backpressure from the link", () => {
  test("pauses who is in, and who comes, until it is lifted", () => {
    const { roster, told, join } = setUp();
    const first = join().client;
    roster.setPaused(true);
    const second = join().client;
    assert.deepEqual([first.paused, second.paused], [true, true]);
    first.says("unread");
    assert.equal(told.length, 2);
    roster.setPaused(false);
    assert.deepEqual([first.paused, second.paused], [false, false]);
  });

  test("does not keep a dropped client from being read to its end", () => {
    const { roster, join } = setUp();
    const { client, id } = join();
    roster.setPaused(true);
    roster.drop(id);
    assert.equal(client.paused, false);
  });
});

describe("a lost manager", () => {
  test("closes everybody, tells nobody, and frees every slot once the connections are gone", () => {
    const { sessions, roster, counters, told, join } = setUp({ capacity: 4 });
    const [inUse, dropped, left] = [join(), join(), join()];
    roster.drop(dropped.id);
    left.client.goes();
    told.length = 0;
    roster.detach("manager-lost");
    assert.equal(inUse.client.ending, "close");
    assert.equal(dropped.client.ending, "close");
    inUse.client.goes();
    dropped.client.goes();
    assert.deepEqual(told, []);
    assert.equal(sessions.table.usedCount, 0);
    const { "manager-lost": lost, dropped: drops, "client-closed": closed } = counters.ends;
    assert.deepEqual([lost, drops, closed], [1, 1, 1], "each is counted all the same");
  });
});

describe("waiting for the sessions", () => {
  test("ends when the condition is met", async () => {
    const { sessions, roster, clock, join } = setUp();
    const { client, id } = join();
    const empty = sessions.waitUntil(() => sessions.table.usedCount === 0, 1000);
    client.goes();
    roster.drop(id);
    assert.equal(await empty, true);
    assert.equal(clock.timerCount, 1, "only the sweeper's timer is left");
  });

  test("ends when the time is up", async () => {
    const { sessions, clock, join } = setUp();
    join();
    const empty = sessions.waitUntil(() => sessions.table.usedCount === 0, 1000);
    clock.advance(1000);
    assert.equal(await empty, false);
  });
});

describe("the memory that a manager's bytes lie in", () => {
  test("is not given back while a write needs it, also when the session was dropped in the same turn", () => {
    const { sessions, roster, join } = setUp();
    const { client, id } = join();
    client.write = () => false;
    roster.send(id, Buffer.from("bye"));
    roster.drop(id);
    assert.equal(sessions.flush(), false);
    assert.equal(sessions.flush(), true, "the next turn's memory is its own");
  });
});
