import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionLimits } from "../../gateway/slots/sessions.ts";
import { unacknowledged } from "../helpers/sessions.ts";
import { SWEEP_MS, saysAtOnce, startSessions, TestTickets } from "./support.ts";

/** Two messages at once, and one more each second. */
const SLOW = { messageRate: 1, messageBurst: 2 } as const;

const start = (limits: Partial<SessionLimits> = SLOW) => startSessions({ limits });

describe("a client that says more messages than it may", () => {
  test("is not read until it has paid, and what it said is delivered all the same", () => {
    const { clock, counters, join, told } = start();
    const { client, id } = join();
    saysAtOnce(client, "1", "2");
    assert.equal(client.paused, false, "its burst is its own");
    client.says("3");
    assert.equal(client.paused, true);
    assert.deepEqual(
      told.slice(1),
      [1, 2, 3].map((n) => `message ${id} ${n}`),
    );
    assert.equal(counters.rateLimited, 1);
    clock.advance(1000 - SWEEP_MS);
    assert.equal(client.paused, true);
    clock.advance(2 * SWEEP_MS);
    assert.equal(client.paused, false);
  });

  test("waits the longer the more it owes", () => {
    const { clock, counters, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."12345");
    clock.advance(2900);
    assert.equal(client.paused, true);
    clock.advance(200);
    assert.equal(client.paused, false);
    assert.equal(counters.rateLimited, 1, "it was limited once");
  });

  test("is nobody else's trouble", () => {
    const { join } = start();
    const loud = join().client;
    const quiet = join().client;
    saysAtOnce(loud, ..."123");
    saysAtOnce(quiet, ..."12");
    assert.deepEqual([loud.paused, quiet.paused], [true, false]);
  });

  test("pays for its pings too", () => {
    const { join } = start();
    const { client } = join();
    client.sink?.control(0);
    client.sink?.control(0);
    assert.equal(client.paused, false);
    client.sink?.control(0);
    assert.equal(client.paused, true);
  });

  test("saves up no more than its burst", () => {
    const { clock, join } = start();
    const { client } = join();
    client.says("0");
    clock.advance(3_600_000);
    saysAtOnce(client, ..."12");
    assert.equal(client.paused, false);
    client.says("3");
    assert.equal(client.paused, true);
  });

  test("is closed instead where the policy says so, behind the message that was one too many", () => {
    const { join, told } = start({ ...SLOW, ratePolicy: "close" });
    const { client, id } = join();
    saysAtOnce(client, ..."1234");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "rate-limited"]);
    client.goes();
    assert.deepEqual(told.slice(1), [
      ...[1, 2, 3].map((n) => `message ${id} ${n}`),
      `end ${id} gateway rate-limited`,
    ]);
  });
});

describe("a client that says more bytes than it may", () => {
  test("is not read until it has paid for them", () => {
    const { clock, join } = start({ byteRate: 100, byteBurst: 10 });
    const { client } = join();
    client.says("1234567890");
    assert.equal(client.paused, false);
    client.says("x".repeat(50));
    assert.equal(client.paused, true);
    clock.advance(500 - SWEEP_MS);
    assert.equal(client.paused, true);
    clock.advance(2 * SWEEP_MS);
    assert.equal(client.paused, false);
  });

  test("may say them in as many messages as it likes", () => {
    const { join } = start({ byteRate: 100, byteBurst: 10 });
    const { client } = join();
    saysAtOnce(client, ..."1234567890");
    assert.equal(client.paused, false);
  });
});

describe("a client that is not read because it says too much", () => {
  test("stays so when a congestion of the link is over", () => {
    const { roster, clock, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."123");
    roster.setPaused(true);
    roster.setPaused(false);
    assert.equal(client.paused, true);
    clock.advance(1100);
    assert.equal(client.paused, false);
  });

  test("stays so while the link is congested, also when it has paid", () => {
    const { roster, clock, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."123");
    roster.setPaused(true);
    clock.advance(5000);
    assert.equal(client.paused, true);
    roster.setPaused(false);
    assert.equal(client.paused, false);
  });

  test("is read on in the end when its manager has lost sight of it meanwhile", () => {
    const { roster, clock, join, told } = start();
    const { client, id } = join();
    saysAtOnce(client, ..."123");
    roster.hold();
    roster.orphan(unacknowledged());
    roster.release();
    // It has paid long since when it is announced again.
    clock.advance(5000);
    roster.rejoin(1);
    clock.advance(2 * SWEEP_MS);
    assert.equal(client.paused, false);
    client.says("4");
    assert.equal(told.at(-1), `message ${id} 4`);
  });

  test("has still to pay what it owes when it is announced again", () => {
    const { roster, clock, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."12345");
    roster.hold();
    roster.orphan(unacknowledged());
    roster.release();
    clock.advance(1000);
    roster.rejoin(1);
    clock.advance(1900);
    assert.equal(client.paused, true);
    clock.advance(200);
    assert.equal(client.paused, false);
  });

  test("is read to its end when it is dropped, and stays so", () => {
    const { roster, clock, join } = start();
    const { client, id } = join();
    saysAtOnce(client, ..."123");
    roster.drop(id);
    assert.equal(client.paused, false);
    clock.advance(100);
    assert.equal(client.paused, false);
  });

  test("does not leave that to the next one in its slot", () => {
    const { roster, clock, join } = startSessions({ capacity: 1, limits: SLOW });
    const loud = join();
    saysAtOnce(loud.client, ..."12345");
    roster.dropDiscard(loud.id);
    loud.client.goes();
    const { client } = join();
    saysAtOnce(client, ..."12");
    assert.equal(client.paused, false, "its burst is its own");
    client.says("3");
    clock.advance(1100);
    assert.equal(client.paused, false, "what it owes is its own");
  });

  test("is charged for what it said before it was admitted, once it is", () => {
    const { roster, connect, slotOf } = startSessions({
      limits: SLOW,
      admission: true,
      tickets: new TestTickets(),
      origin: { ticket: "first-message", framing: "line" },
    });
    const client = connect();
    saysAtOnce(client, "good", ..."123");
    roster.admit(slotOf(client)?.session ?? 0);
    assert.equal(client.paused, true);
  });
});
