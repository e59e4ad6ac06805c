import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Patrol } from "../../gateway/slots/patrol.ts";
import type { SessionLimits } from "../../gateway/slots/sessions.ts";
import type { FakeConnection } from "../helpers/fake-connection.ts";
import { LIMITS } from "../helpers/sessions.ts";
import { SWEEP_MS, saysAtOnce, startSessions } from "./support.ts";

/** Every client is looked at about once a second. */
const ROUND_MS = 1000;

const start = (limits: Partial<SessionLimits>, more = {}) => startSessions({ limits, ...more });

/** Whether the client was ended. */
const isEnded = (client: FakeConnection) => client.finishing || client.ending !== undefined;

describe("a patrol", () => {
  for (const count of [1, 7, 1000]) {
    test(`looks at each of ${count} slots once a second, a share of them at a time`, () => {
      const { sessions } = start({}, { capacity: count });
      const looks = new Array<number>(count).fill(0);
      const slots = sessions.table.slots;
      for (const [index, slot] of slots.entries()) {
        Object.defineProperty(slot, "phase", {
          get() {
            looks[index] = (looks[index] ?? 0) + 1;
            return "freed";
          },
        });
      }
      const patrol = new Patrol({ ...LIMITS, idleTimeoutMs: 1 }, () => {});
      let most = 0;
      for (let now = SWEEP_MS; now <= 10 * ROUND_MS; now += SWEEP_MS) {
        const before = looks.reduce((sum, n) => sum + n, 0);
        patrol.walk(slots, now, SWEEP_MS);
        most = Math.max(most, looks.reduce((sum, n) => sum + n, 0) - before);
      }
      assert.ok(
        looks.every((n) => n === 9 || n === 10),
        `looked at ${Math.min(...looks)} to ${Math.max(...looks)} times`,
      );
      assert.ok(most <= Math.ceil((count * SWEEP_MS) / ROUND_MS) + 1, `${most} at a time`);
      patrol.walk(slots, 3_600_000, 3_600_000);
      assert.ok(
        looks.every((n) => n <= 11),
        "a long pause costs one round",
      );
      sessions.stop();
    });
  }
});

describe("a client that says nothing", () => {
  const IDLE = { idleTimeoutMs: 5000 };

  test("is ended as idle, and told so", () => {
    const { clock, join, told } = start(IDLE);
    const { client, id } = join();
    clock.advance(5000 - SWEEP_MS);
    assert.equal(isEnded(client), false);
    clock.advance(SWEEP_MS + ROUND_MS);
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "idle"]);
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway idle`);
  });

  test("is not, while it says something now and then", () => {
    const { clock, join } = start(IDLE);
    const { client } = join();
    for (let round = 0; round < 10; round++) {
      clock.advance(4000);
      if (round % 2 === 0) client.says("still here");
      else client.sink?.control(0);
    }
    assert.equal(isEnded(client), false);
    clock.advance(5000 + ROUND_MS);
    assert.equal(isEnded(client), true);
  });

  test("is still so when it is only sent to", () => {
    const { sessions, roster, clock, join } = start(IDLE);
    const { client, id } = join();
    for (let round = 0; round < 4; round++) {
      clock.advance(2000);
      if (isEnded(client)) continue;
      roster.send(id, Buffer.from("are you there?"));
      sessions.flush();
    }
    assert.equal(isEnded(client), true);
  });

  test("may, where nothing is limited", () => {
    const { clock, join } = start({});
    const { client } = join();
    clock.advance(24 * 3_600_000);
    assert.equal(isEnded(client), false);
  });

  test("is found among many within a round", () => {
    const { clock, join } = start(IDLE, { capacity: 1000 });
    const clients = Array.from({ length: 1000 }, () => join().client);
    clock.advance(4000);
    for (const [index, client] of clients.entries()) if (index % 2 === 0) client.says("here");
    clock.advance(1000 + ROUND_MS + SWEEP_MS);
    assert.deepEqual(
      clients.filter(isEnded),
      clients.filter((_, index) => index % 2 === 1),
    );
  });

  test("is judged by its own silence, not by that of who had its slot", () => {
    const { roster, clock, join } = start(IDLE, { capacity: 1 });
    const before = join();
    clock.advance(4000);
    roster.dropDiscard(before.id);
    before.client.goes();
    const { client } = join();
    clock.advance(4000);
    assert.equal(isEnded(client), false);
  });
});

describe("a client that has never said anything", () => {
  const FIRST = { firstMessageTimeoutMs: 3000 };

  test("is ended as idle, however often it pings", () => {
    const { clock, join } = start(FIRST);
    const { client } = join();
    for (let waited = 0; waited < 3000 - SWEEP_MS; waited += SWEEP_MS) {
      client.sink?.control(0);
      clock.advance(SWEEP_MS);
    }
    assert.equal(isEnded(client), false);
    clock.advance(SWEEP_MS + ROUND_MS);
    assert.equal(client.farewell?.reason, "idle");
  });

  test("is not once it has, for ever after", () => {
    const { clock, join } = start(FIRST);
    const { client } = join();
    clock.advance(2000);
    client.says("hello");
    clock.advance(3_600_000);
    assert.equal(isEnded(client), false);
  });

  test("is not held to it before it was admitted", () => {
    const { roster, clock, join } = start({ ...FIRST, admitTimeoutMs: 60_000 }, { admission: true });
    const { client, id } = join();
    clock.advance(10_000);
    roster.admit(id);
    clock.advance(2000);
    assert.equal(isEnded(client), false);
    clock.advance(1000 + ROUND_MS);
    assert.equal(isEnded(client), true);
  });
});

describe("a message under way", () => {
  /** Ten bytes a second, over two seconds. */
  const DRIP = { minMessageRate: 10, messageGraceMs: 2000 };

  /** Lets a message grow by `bytes` in each second, for so many of them. */
  function grow(
    world: ReturnType<typeof start>,
    client: FakeConnection,
    bytes: number,
    seconds: number,
  ): void {
    for (let second = 0; second < seconds; second++) {
      client.pendingBytes += bytes;
      world.clock.advance(1000);
    }
  }

  test("that grows too slowly ends its client as idle", () => {
    const world = start(DRIP);
    const { client } = world.join();
    grow(world, client, 9, 5);
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "idle"]);
  });

  test("that stops in its midst ends its client too", () => {
    const world = start(DRIP);
    const { client } = world.join();
    grow(world, client, 5000, 3);
    assert.equal(isEnded(client), false);
    grow(world, client, 0, 6);
    assert.equal(isEnded(client), true);
  });

  test("that grows quickly enough may take as long as it likes", () => {
    const world = start(DRIP);
    const { client } = world.join();
    grow(world, client, 11, 600);
    assert.equal(isEnded(client), false);
  });

  test("has its grace", () => {
    const world = start(DRIP);
    const { client } = world.join();
    client.pendingBytes = 1;
    world.clock.advance(2000 - SWEEP_MS);
    assert.equal(isEnded(client), false);
  });

  test("is not the one before it, of which as much was there", () => {
    const world = start(DRIP);
    const { client } = world.join();
    for (let second = 0; second < 60; second++) {
      client.pendingBytes = 0;
      client.says("whole");
      client.pendingBytes = 3;
      world.clock.advance(1000);
    }
    assert.equal(isEnded(client), false);
  });

  test("is no message under way when there is none", () => {
    const world = start(DRIP);
    const { client } = world.join();
    world.clock.advance(3_600_000);
    assert.equal(isEnded(client), false);
  });

  test("may be as slow as it likes where nothing is asked of it", () => {
    const world = start({ ...DRIP, minMessageRate: 0 });
    const { client } = world.join();
    client.pendingBytes = 1;
    world.clock.advance(3_600_000);
    assert.equal(isEnded(client), false);
  });
});

describe("a client that can be pinged", () => {
  const PINGED = { origin: { transport: "ws", framing: "websocket", pingMs: 4000 } };

  test("is pinged when it says nothing, and ended as idle when it does not answer", () => {
    const { clock, join } = start({}, PINGED);
    const { client } = join();
    clock.advance(4000 - SWEEP_MS);
    assert.equal(client.pings, 0);
    clock.advance(SWEEP_MS + ROUND_MS);
    assert.equal(client.pings, 1);
    clock.advance(4000 - ROUND_MS - SWEEP_MS);
    assert.equal(isEnded(client), false);
    clock.advance(2 * ROUND_MS + SWEEP_MS);
    assert.deepEqual([client.finishing, client.farewell?.reason, client.pings], [true, "idle", 1]);
  });

  test("lives as long as it answers", () => {
    const { clock, join } = start({}, PINGED);
    const { client } = join();
    let answered = 0;
    for (let waited = 0; waited < 60_000; waited += SWEEP_MS) {
      clock.advance(SWEEP_MS);
      if (client.pings === answered) continue;
      answered = client.pings;
      client.sink?.control(0);
    }
    assert.equal(isEnded(client), false);
    assert.ok(answered >= 11 && answered <= 15, `${answered} pings in a minute`);
  });

  test("is not pinged while it talks", () => {
    const { clock, join } = start({}, PINGED);
    const { client } = join();
    for (let waited = 0; waited < 60_000; waited += 2000) {
      clock.advance(2000);
      client.says("hello");
    }
    assert.equal(client.pings, 0);
  });

  test("is not taken for dead in the middle of a message, in which it can't answer", () => {
    const { clock, join } = start({}, PINGED);
    const { client } = join();
    clock.advance(4000 + ROUND_MS);
    assert.equal(client.pings, 1);
    client.pendingBytes = 1000;
    clock.advance(60_000);
    assert.equal(isEnded(client), false);
  });

  test("is not pinged where the listener does not want it", () => {
    const { clock, join } = start({}, { origin: { pingMs: 0 } });
    const { client } = join();
    clock.advance(3_600_000);
    assert.deepEqual([client.pings, isEnded(client)], [0, false]);
  });
});

describe("a client that is not read", () => {
  const ALL = {
    idleTimeoutMs: 3000,
    firstMessageTimeoutMs: 3000,
    minMessageRate: 10,
    messageGraceMs: 2000,
  };
  const PINGED = { origin: { pingMs: 1000 } };

  test("for a congestion of the link is not held to anything, and has all its time afterwards", () => {
    const { roster, clock, join } = start(ALL, PINGED);
    const silent = join().client;
    const talking = join().client;
    talking.says("hello");
    talking.pendingBytes = 5;
    clock.advance(1500);
    roster.setPaused(true);
    clock.advance(60_000);
    roster.setPaused(false);
    clock.advance(1900);
    assert.deepEqual([isEnded(silent), isEnded(talking)], [false, false]);
    clock.advance(3000 + ROUND_MS);
    assert.deepEqual([isEnded(silent), isEnded(talking)], [true, true]);
  });

  test("is looked for about once a second, since nothing may tell of its end", () => {
    const { roster, clock, join } = start({});
    const { client } = join();
    clock.advance(5 * ROUND_MS);
    assert.equal(client.looks, 0, "who is read is seen to end");
    roster.setPaused(true);
    clock.advance(5 * ROUND_MS);
    assert.equal(client.looks, 5);
  });

  test("because it says too much is idle all the same", () => {
    const { clock, join } = start({ idleTimeoutMs: 3000, messageRate: 1, messageBurst: 1 });
    const { client } = join();
    saysAtOnce(client, ...Array.from({ length: 11 }, () => "."));
    assert.equal(client.paused, true);
    clock.advance(2900);
    assert.equal(isEnded(client), false);
    clock.advance(100 + ROUND_MS);
    assert.equal(isEnded(client), true);
  });

  test("because it says too much is not held to what it can't do", () => {
    const { clock, join } = start({ ...ALL, idleTimeoutMs: 0, messageRate: 1, messageBurst: 1 }, PINGED);
    const { client } = join();
    saysAtOnce(client, ...Array.from({ length: 11 }, () => "."));
    client.pendingBytes = 5;
    clock.advance(10_500);
    assert.equal(isEnded(client), false);
    assert.equal(client.paused, true);
    clock.advance(700);
    assert.equal(client.paused, false, "it has paid by now");
    clock.advance(1900);
    assert.equal(isEnded(client), false);
    clock.advance(3000 + ROUND_MS);
    assert.equal(isEnded(client), true);
  });
});
