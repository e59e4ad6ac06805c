import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionLimits } from "../../gateway/slots/sessions.ts";
import { LIMITS, unacknowledged } from "../helpers/sessions.ts";
import { SWEEP_MS, saysAtOnce, startSessions, TestTickets } from "./support.ts";

/** Two messages at once, and one more each second. */
const SLOW = { messageRate: 1, messageBurst: 2 } as const;

const start = (limits: Partial<SessionLimits> = SLOW) => startSessions({ limits });

describe("a client that says as many messages as it may", () => {
  test("is not read until it may say one more", () => {
    const { clock, counters, join, told } = start();
    const { client, id } = join();
    client.says("1");
    assert.equal(client.paused, false, "its burst is its own");
    client.says("2");
    assert.equal(client.paused, true);
    assert.deepEqual(
      told.slice(1),
      [1, 2].map((n) => `message ${id} ${n}`),
    );
    assert.equal(counters.rateLimited, 1);
    clock.advance(1000 - SWEEP_MS);
    assert.equal(client.paused, true);
    clock.advance(2 * SWEEP_MS);
    assert.equal(client.paused, false);
  });

  test("waits the longer the more was said in one moment that no pause could stop", () => {
    const { clock, counters, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."1234");
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
    saysAtOnce(loud, ..."12");
    quiet.says("1");
    assert.deepEqual([loud.paused, quiet.paused], [true, false]);
  });

  test("pays for its pings too", () => {
    const { join } = start();
    const { client } = join();
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
    client.says("1");
    assert.equal(client.paused, false);
    client.says("2");
    assert.equal(client.paused, true);
  });

  test("is closed instead where the policy says so, and the message that was one too many is not delivered", () => {
    const { counters, join, told } = start({ ...SLOW, ratePolicy: "close" });
    const { client, id } = join();
    saysAtOnce(client, ..."12");
    assert.equal(client.finishing, false);
    saysAtOnce(client, ..."34");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "rate-limited"]);
    client.goes();
    assert.deepEqual(told.slice(1), [
      ...[1, 2].map((n) => `message ${id} ${n}`),
      `end ${id} gateway rate-limited`,
    ]);
    assert.equal(counters.rateLimited, 1);
  });

  test("finds that again when it goes and comes back", () => {
    const { clock, join, told } = start();
    const first = join();
    saysAtOnce(first.client, ..."12");
    first.client.goes("ECONNRESET");
    const { client } = join();
    assert.equal(client.paused, true, "it may say nothing yet");
    const elsewhere = join((other) => {
      other.address = "192.0.2.2";
    });
    elsewhere.client.says("1");
    assert.equal(elsewhere.client.paused, false);
    clock.advance(1100);
    assert.equal(client.paused, false);
    assert.equal(told.filter((line) => line.startsWith("message")).length, 3);
  });
});

describe("a client from whose address as much was said as may be", () => {
  test("is not heard before it may speak, though its manager was chosen by what it said", () => {
    const { clock, connect, told } = startSessions({
      limits: SLOW,
      choice: { needsOpening: true, choose: (_client, open) => open[0] ?? "no-manager" },
    });
    const heard = () => told.filter((line) => line.startsWith("message")).length;
    const first = connect();
    saysAtOnce(first, "1", "2");
    first.goes();
    const second = connect();
    second.says("3");
    assert.deepEqual([heard(), second.paused], [2, true]);
    clock.advance(1100);
    assert.equal(heard(), 3);
  });

  test("is read where it would be closed for saying more, and is closed for that", () => {
    const { join, told } = start({ ...SLOW, ratePolicy: "close" });
    const first = join();
    saysAtOnce(first.client, "1", "2");
    first.client.goes();
    const { client } = join();
    assert.deepEqual([client.paused, client.finishing], [false, false]);
    client.says("3");
    assert.equal(client.farewell?.reason, "rate-limited");
    assert.equal(told.filter((line) => line.startsWith("message")).length, 2);
  });
});

describe("a client that says as many bytes as it may", () => {
  test("is not read until it has paid for them, of which the last message may be more than it had", () => {
    const { clock, join } = start({ byteRate: 100, byteBurst: 10 });
    const { client } = join();
    client.says("123456789");
    assert.equal(client.paused, false);
    client.says("x".repeat(51));
    assert.equal(client.paused, true);
    clock.advance(500 - SWEEP_MS);
    assert.equal(client.paused, true);
    clock.advance(3 * SWEEP_MS);
    assert.equal(client.paused, false);
  });

  test("may say them in as many messages as it likes", () => {
    const { join } = start({ byteRate: 100, byteBurst: 10 });
    const { client } = join();
    saysAtOnce(client, ..."123456789");
    assert.equal(client.paused, false);
  });

  test("is closed where it would have to pay for longer than half a minute", () => {
    const { join, told } = start({ byteRate: 10, byteBurst: 10 });
    const [patient, impatient] = [join(), join()];
    patient.client.says("x".repeat(300));
    assert.equal(patient.client.finishing, false);
    impatient.client.says("x".repeat(320));
    assert.deepEqual([impatient.client.finishing, impatient.client.farewell?.reason], [true, "rate-limited"]);
    impatient.client.goes();
    assert.equal(told.at(-1), `end ${impatient.id} gateway rate-limited`);
  });
});

describe("a client that is not read because it says too much", () => {
  test("stays so when a congestion of the link is over", () => {
    const { roster, clock, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."12");
    roster.setPaused(true);
    roster.setPaused(false);
    assert.equal(client.paused, true);
    clock.advance(1100);
    assert.equal(client.paused, false);
  });

  test("is watched, so that it may leave, unless something else holds it too", () => {
    const { roster, join } = start();
    const { client } = join();
    saysAtOnce(client, ..."12");
    assert.deepEqual([client.paused, client.watched], [true, true]);
    roster.setPaused(true);
    assert.deepEqual([client.paused, client.watched], [true, false]);
    roster.setPaused(false);
    assert.deepEqual([client.paused, client.watched], [true, true]);
  });

  test("is closed when it is gone, though not all that it said was received", () => {
    const { join } = start();
    const { client } = join();
    saysAtOnce(client, ..."12");
    client.sink?.leaving(true);
    assert.equal(client.ending, "close");
  });

  test("has as long as anybody once it has shut down its sending side", () => {
    const { clock, join, told } = start({ messageRate: 1, messageBurst: 1 });
    const { client, id } = join();
    saysAtOnce(client, ..."12345");
    client.sink?.leaving(false);
    clock.advance(LIMITS.halfCloseMs - SWEEP_MS);
    assert.equal(client.finishing, false);
    clock.advance(2 * SWEEP_MS);
    assert.equal(client.finishing, true);
    client.goes();
    assert.equal(told.at(-1), `end ${id} client client-closed`);
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
    saysAtOnce(client, ..."1234");
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
    const { client } = join((other) => {
      other.address = "192.0.2.2";
    });
    client.says("1");
    assert.equal(client.paused, false, "its burst is its own");
    client.says("2");
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
