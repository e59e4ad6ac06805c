/** Sessions without a link: held for the manager that knows them, or announced again to another. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionLimits } from "../../gateway/slots/sessions.ts";
import type { Slot } from "../../gateway/slots/slot.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { GAME, LIMITS, unacknowledged } from "../helpers/sessions.ts";
import { startSessions } from "./support.ts";

function setUp({ capacity = 4, ...limits }: Partial<SessionLimits> & { readonly capacity?: number } = {}) {
  const joined = ({ session, rejoins, admitted, lostBytes }: Slot) => {
    const again = rejoins ? ` again, ${admitted ? "in" : "not in"}, ${lostBytes} lost` : "";
    all.told.push(`join ${session}${again}`);
  };
  const all = startSessions({ capacity, limits, router: { joined } });
  const { roster, told } = all;
  /** Another manager has come, who knows nobody. */
  const orphan = (...lostBytes: (readonly [number, number])[]) => {
    roster.hold();
    roster.orphan(unacknowledged(lostBytes));
    roster.release();
    told.length = 0;
  };
  return { ...all, orphan };
}

describe("clients that are held", () => {
  test("are not read, and are read on where they were left", () => {
    const { roster, told, join } = setUp();
    const { client, id } = join();
    roster.hold();
    assert.equal(client.paused, true);
    client.says("unread");
    roster.release();
    assert.equal(client.paused, false);
    client.says("read");
    assert.deepEqual(told, [`join ${id}`, `message ${id} read`]);
  });

  test("stay unread for as long as either the link is gone or what was said waits", () => {
    const { roster, join } = setUp();
    const { client } = join();
    roster.setPaused(true);
    roster.hold();
    roster.setPaused(false);
    assert.equal(client.paused, true, "there is no link");
    roster.setPaused(true);
    roster.release();
    assert.equal(client.paused, true, "the link takes nothing");
    roster.setPaused(false);
    assert.equal(client.paused, false);
  });

  test("say what was read of them when they are gone, and then are", () => {
    const { roster, told, join } = setUp();
    const { client, id } = join();
    roster.hold();
    client.sink?.leaving(true);
    assert.equal(client.paused, false);
    client.says("last words");
    client.goes("ECONNRESET");
    assert.deepEqual(told.slice(1), [`message ${id} last words`, `end ${id} client client-reset`]);
  });

  test("do so no longer than one may that has shut down its sending side", () => {
    const { roster, clock, join } = setUp();
    const { client } = join();
    roster.hold();
    client.sink?.leaving(true);
    clock.advance(LIMITS.halfCloseMs - 50);
    assert.equal(client.finishing, false);
    clock.advance(100);
    assert.equal(client.finishing, true);
  });

  test("are closed when they are gone and were not admitted yet", () => {
    const { roster, told, join } = setUp();
    roster.admission = true;
    const { client, id } = join();
    client.sink?.leaving(false);
    assert.equal(client.ending, undefined);
    client.sink?.leaving(true);
    assert.equal(client.ending, "close");
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("that were dropped have no more time for being gone", () => {
    const { roster, clock, join } = setUp();
    const { client, id } = join();
    client.unstick(true);
    roster.send(id, Buffer.from("last words"));
    roster.drop(id);
    clock.advance(LIMITS.flushTimeoutMs - 50);
    client.sink?.leaving(true);
    clock.advance(100);
    assert.equal(client.ending, "reset");
  });

  test("are not held to a deadline for having shut down their sending side", () => {
    const { roster, clock, join } = setUp();
    const { client } = join();
    roster.hold();
    client.sink?.leaving(false);
    clock.advance(10 * LIMITS.halfCloseMs);
    assert.equal(client.finishing, false);
    assert.equal(client.paused, true);
  });

  test("still get what was sent to them before", () => {
    const { sessions, roster, join } = setUp();
    const { client, id } = join();
    roster.send(id, Buffer.from("before"));
    roster.hold();
    sessions.flush();
    assert.deepEqual(client.delivered.map(String), ["before"]);
  });

  test("are told to have left when they leave, and freed when nobody can acknowledge it", () => {
    const { sessions, roster, clock, counters, told, join } = setUp();
    const { client, id } = join();
    roster.hold();
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
    clock.advance(LIMITS.ackTimeoutMs + 60);
    assert.deepEqual([sessions.table.usedCount, counters.unacknowledged], [0, 1]);
  });

  test("that were dropped are flushed in their time", () => {
    const { roster, clock, join } = setUp();
    const { client, id } = join();
    client.unstick(true);
    roster.send(id, Buffer.from("last words"));
    roster.drop(id);
    roster.hold();
    clock.advance(LIMITS.flushTimeoutMs + 60);
    assert.equal(client.ending, "reset");
  });

  test("that wait to be admitted do so no longer than they may", () => {
    const { roster, clock, told, join } = setUp();
    roster.admission = true;
    const { client, id } = join();
    roster.hold();
    clock.advance(LIMITS.admitTimeoutMs + 60);
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway not-admitted`);
  });

  for (const [what, limits] of [
    ["silent", { idleTimeoutMs: 1000 }],
    ["silent from the beginning", { firstMessageTimeoutMs: 1000 }],
    ["slow in the middle of a message", { minMessageRate: 10, messageGraceMs: 1000 }],
  ] as const) {
    test(`are not taken for ${what}, since nobody hears them; after that they have their time again`, () => {
      const { roster, clock, join } = setUp(limits);
      const { client } = join();
      client.pendingBytes = "minMessageRate" in limits ? 1 : 0;
      clock.advance(900);
      roster.hold();
      clock.advance(60_000);
      roster.release();
      clock.advance(900);
      assert.equal(client.finishing, false);
      clock.advance(2200);
      assert.equal(client.finishing, true, "and no longer");
    });
  }

  test("are not taken for dead when their answer waits to be read", () => {
    const { sessions, roster, clock } = setUp();
    const client = new FakeConnection();
    sessions.accept(client, { ...GAME, pingMs: 1000 });
    clock.advance(2050);
    assert.equal(client.pings, 1);
    roster.hold();
    clock.advance(60_000);
    assert.equal(client.pings, 1, "nobody is asked who is not heard");
    roster.release();
    clock.advance(900);
    assert.equal(client.finishing, false);
    client.sink?.control(0);
    clock.advance(1000);
    assert.equal(client.finishing, false, "it has answered");
  });
});

describe("clients whose manager has lost sight of them", () => {
  test("are announced again with the id that they had, and what is known of them", () => {
    const { sessions, roster, counters, told, join, orphan } = setUp();
    const { client, id, slot } = join();
    slot.user = "anna";
    const { joinedAt, joinedWallAt } = slot;
    orphan([id, 7]);
    assert.deepEqual([slot.phase, sessions.liveCount, sessions.slotCounts().inUse], ["adrift", 0, 1]);
    assert.equal(client.paused, true);
    roster.rejoin(10);
    assert.deepEqual(told, [`join ${id} again, in, 7 lost`]);
    assert.deepEqual([slot.phase, slot.user, slot.joinedAt], ["inUse", "anna", joinedAt]);
    assert.equal(slot.joinedWallAt, joinedWallAt);
    assert.deepEqual([client.paused, sessions.liveCount], [false, 1]);
    assert.deepEqual([counters.joins, counters.rejoins], [1, 1]);
  });

  test("are announced as many at a time as is asked for, and are read one after the other", () => {
    const { roster, told, join, orphan } = setUp();
    const clients = [join(), join(), join()];
    orphan();
    roster.rejoin(2);
    assert.deepEqual([told.length, roster.adriftCount], [2, 1]);
    assert.deepEqual(
      clients.map(({ client }) => client.paused),
      [false, false, true],
    );
    roster.rejoin(2);
    assert.deepEqual([told.length, roster.adriftCount], [3, 0]);
  });

  test("count what was lost over all managers that they had", () => {
    const { roster, told, join, orphan } = setUp();
    const { id } = join();
    orphan([id, 7]);
    roster.rejoin(1);
    orphan([id, 4]);
    roster.rejoin(1);
    assert.deepEqual(told, [`join ${id} again, in, 11 lost`]);
  });

  test("are not part of anything before they are announced", () => {
    const { sessions, roster, counters, join, orphan } = setUp();
    const { client, id, slot } = join();
    orphan();
    roster.send(id, Buffer.from("a"));
    roster.sendAll(Buffer.from("b"));
    roster.drop(id);
    roster.dropDiscard(id);
    roster.admit(id);
    sessions.flush();
    assert.deepEqual([client.delivered, client.finishing, client.ending], [[], false, undefined]);
    assert.equal(counters.staleFrames, 4);
    assert.equal(slot.phase, "adrift");
  });

  test("lose nothing of what they had said by then, nor its order", () => {
    const { roster, told, join, orphan } = setUp();
    const { client, id, slot } = join();
    orphan();
    // It was on its way out of the connection when reading stopped.
    slot.received(Buffer.from("first"), 0, 5);
    roster.rejoin(1);
    client.says("second");
    assert.deepEqual(told.slice(1), [`message ${id} first`, `message ${id} second`]);
  });

  test("and that leave before they are announced are nobody's business", () => {
    const { sessions, roster, told, join, orphan } = setUp();
    const { client } = join();
    const next = join();
    orphan();
    client.goes();
    assert.equal(sessions.table.usedCount, 1);
    roster.rejoin(10);
    assert.deepEqual(told, [`join ${next.id} again, in, 0 lost`]);
  });

  test("and whose slot another has taken by then do not stand in its way", () => {
    const { roster, told, join, orphan } = setUp({ capacity: 1 });
    const { client } = join();
    orphan();
    client.goes();
    const newcomer = join();
    told.length = 0;
    roster.rejoin(10);
    assert.deepEqual(told, []);
    assert.equal(newcomer.slot.phase, "inUse");
  });

  test("and that have shut down their sending side end when their time is up", () => {
    const { roster, clock, told, join, orphan } = setUp();
    const { client, id } = join();
    client.halfCloses();
    orphan();
    roster.rejoin(1);
    assert.equal(client.finishing, false, "it is still sent to");
    clock.advance(LIMITS.halfCloseMs + 60);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
  });

  test("are in at once with a manager that asks, where one has admitted them; the others ask again", () => {
    const { roster, clock, told, join, orphan } = setUp();
    roster.admission = true;
    const [inside, outside] = [join(), join()];
    roster.admit(inside.id);
    clock.advance(LIMITS.admitTimeoutMs - 100);
    orphan();
    roster.rejoin(10);
    assert.deepEqual(told, [
      `join ${inside.id} again, in, 0 lost`,
      `join ${outside.id} again, not in, 0 lost`,
    ]);
    assert.deepEqual([inside.slot.phase, outside.slot.phase], ["inUse", "asking"]);
    assert.deepEqual([inside.client.paused, outside.client.paused], [false, true]);
    clock.advance(LIMITS.admitTimeoutMs - 100);
    assert.equal(outside.slot.phase, "asking", "the manager has all its time");
    clock.advance(200);
    assert.equal(outside.slot.phase, "ending");
  });

  test("are in at once with a manager that does not ask", () => {
    const { roster, join, orphan } = setUp();
    roster.admission = true;
    const { client, slot } = join();
    orphan();
    roster.admission = false;
    roster.rejoin(1);
    assert.deepEqual([slot.phase, client.paused], ["inUse", false]);
  });

  test("end with the gateway, flushed, when it ends before they are announced", () => {
    const { sessions, told, join, orphan } = setUp();
    const { client } = join();
    orphan();
    sessions.endAll("shutdown");
    assert.deepEqual([client.finishing, client.ending], [true, undefined]);
    client.goes();
    assert.deepEqual([told, sessions.table.usedCount], [[], 0]);
  });

  test("are closed when nobody waits for them any more", () => {
    const { sessions, roster, told, join, orphan } = setUp();
    const { client, slot } = join();
    orphan();
    roster.detach("manager-lost");
    assert.equal(client.ending, "close");
    assert.equal(slot.cause?.reason, "manager-lost");
    client.goes();
    assert.deepEqual([told, sessions.table.usedCount, roster.adriftCount], [[], 0, 0]);
  });
});

describe("sessions that were ending when their manager lost sight of them", () => {
  test("go on to their end, and nobody is told", () => {
    const { sessions, roster, told, join, orphan } = setUp();
    const [dropped, discarded, ending, left] = [join(), join(), join(), join()];
    dropped.client.unstick(true);
    roster.send(dropped.id, Buffer.from("last words"));
    roster.drop(dropped.id);
    roster.dropDiscard(discarded.id);
    ending.slot.faulted("bad-frame");
    left.client.goes();
    orphan();
    assert.equal(roster.adriftCount, 0);
    assert.equal(left.slot.phase, "freed", "nobody acknowledges it any more");
    assert.equal(dropped.client.ending, undefined, "it may take what is queued");
    for (const { client } of [dropped, discarded, ending]) client.goes();
    assert.deepEqual([told, sessions.table.usedCount], [[], 0]);
  });

  test("are cut when they do not take what is queued", () => {
    const { roster, clock, join, orphan } = setUp();
    const { client, id } = join();
    client.unstick(true);
    roster.send(id, Buffer.from("unread"));
    roster.drop(id);
    orphan();
    clock.advance(LIMITS.flushTimeoutMs + 60);
    assert.equal(client.ending, "close");
  });
});

describe("a manager that is behind with what it has to acknowledge", () => {
  test("gets nobody else: who comes is refused, and who is shaking hands turned away", () => {
    const { sessions, roster, counters, told, join } = setUp();
    const slow = new FakeConnection();
    slow.handshaking = true;
    sessions.accept(slow, GAME);
    roster.behind = true;
    const late = new FakeConnection();
    sessions.accept(late, GAME);
    slow.shakesHands();
    assert.deepEqual([late.finishing, slow.finishing], [true, true], "politely");
    assert.equal(counters.refusals["manager-behind"], 2);
    assert.deepEqual(told, []);
    roster.behind = false;
    join();
    assert.equal(told.length, 1);
  });

  test("is not spoken of while there is none", () => {
    const { sessions, roster, counters } = setUp();
    roster.behind = true;
    roster.closedFor = "no-manager";
    sessions.accept(new FakeConnection(), GAME);
    assert.deepEqual([counters.refusals["no-manager"], counters.refusals["manager-behind"]], [1, 0]);
  });
});
