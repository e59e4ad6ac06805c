/** Twenty thousand clients are announced to a manager that does not know them, no faster than it takes them. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { Lifecycle } from "../../gateway/lifecycle.ts";
import { ManagerLink } from "../../gateway/links/manager-link.ts";
import { ManagerLife } from "../../gateway/manager-life.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { ManagerRouter } from "../../gateway/routers/manager.ts";
import { FromGateway, fromGatewayBounds, isNumberedFromGateway } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { IDLE_HANDLER } from "../helpers/link-handler.ts";
import { GAME, LIMITS, startKeeping } from "../helpers/sessions.ts";
import { until } from "../helpers/wait.ts";
import { FakeStream } from "../link/fake-stream.ts";

const CLIENTS = 20_000;
const KIB = 1024;

const limits = {
  ...LIMITS,
  registerTimeoutMs: 1000,
  linkBufferBytes: 64 * KIB,
  retainBytes: 1024 * KIB,
  maxFrame: 1024 * KIB,
  maxCapacity: CLIENTS,
  reconnectMinMs: 10,
  reconnectMaxMs: 10,
  holdMs: 60_000,
  failover: false,
  drainMs: 0,
  shutdownAckMs: 100,
} as const;

/** The parts of a gateway, on streams that a test holds in its hands. */
function assemble() {
  const clock = new FakeClock();
  const streams: FakeStream[] = [];
  const counters = new Counters();
  const link: ManagerLink = new ManagerLink({
    dial(read) {
      const stream = new FakeStream().open(read);
      streams.push(stream);
      return stream;
    },
    identity: () => ({ name: "edge", pid: 1, endpoints: [] }),
    vitals: () => ({ sessions: sessions.liveCount, capacity: CLIENTS }),
    handler: {
      ...IDLE_HANDLER,
      registered: (registered, unacknowledged) => life.registered(registered, unacknowledged),
      readDone: () => sessions.flush(),
      congested: (congested) => life.congested(congested),
      behind: (behind) => {
        roster.behind = behind;
      },
      acknowledged: () => roster.acknowledged(),
      lost: (loss) => life.lost(loss),
    },
    limits,
    clock,
    random: Math.random,
  });
  const sessions = startKeeping({ limits, counters, clock });
  const roster = sessions.addManager("manager", new ManagerRouter(link, clock));
  const log = pino({ level: "silent" });
  const lifecycle = new Lifecycle({ sessions, counters, listeners: [], limits, log, ready() {} });
  const life = new ManagerLife({ link, roster, host: lifecycle, limits, clock, log });
  lifecycle.start([life]);
  return { roster, clock, streams, link, sessions, counters, lifecycle };
}

type Parts = ReturnType<typeof assemble>;

/** A manager's end of one stream. */
class Manager {
  readonly stream: FakeStream;
  /** The sessions that were announced over this stream before `Listening`. */
  readonly joins: number[] = [];
  listens = false;
  numbered = 0;
  readonly #reader: FrameReader;
  readonly #batch = new FrameBatch();

  constructor(stream: FakeStream) {
    this.stream = stream;
    this.#reader = new FrameReader(fromGatewayBounds, 1024 * KIB, (type, bytes, start) => {
      if (isNumberedFromGateway(type)) this.numbered++;
      if (type === FromGateway.Listening) this.listens = true;
      if (type === FromGateway.CLJoin && !this.listens) this.joins.push(bytes.readUInt32LE(start));
    });
  }

  say(write: (batch: FrameBatch) => void): void {
    write(this.#batch);
    this.stream.feed(Buffer.concat(this.#batch.take()));
  }

  register(epoch: number, received?: number): void {
    const given = { id: 1, capacity: CLIENTS, pingMs: 60_000, maxFrame: 1024 * KIB, received: received ?? 0 };
    const registered = { ...given, epoch: Buffer.alloc(16, epoch), resumed: received !== undefined };
    this.say((batch) => toGateway.registered(batch, registered));
  }

  /** Reads what was written by now. */
  hear(): void {
    for (const bytes of this.stream.writes.splice(0)) this.#reader.push(bytes);
  }

  /** Reads what was written by now, and acknowledges it and `before`, which came over another stream. */
  acknowledge(before = 0): void {
    this.hear();
    this.say((batch) => toGateway.ack(batch, before + this.numbered));
  }
}

/** The manager's end of the next stream, once it is dialled. */
async function dialled({ streams, clock }: Parts, nth: number): Promise<Manager> {
  await until(() => {
    if (streams.length < nth) clock.advance(10);
    return streams.length === nth;
  }, `stream ${nth} is dialled`);
  const stream = streams[nth - 1];
  assert.ok(stream !== undefined);
  stream.emit("connect");
  await turn();
  return new Manager(stream);
}

/** The link is lost when some were announced on it; gives the next one. */
async function cutOff(parts: Parts, link: Manager): Promise<Manager> {
  link.register(2);
  await until(() => {
    link.hear();
    return link.joins.length > 3000;
  }, "some were announced");
  link.stream.destroy();
  return dialled(parts, 3);
}

/** A gateway that holds its clients: their manager is gone. */
async function held(t: TestContext) {
  const parts = assemble();
  const { sessions, roster, lifecycle, streams } = parts;
  t.after(async () => {
    for (const stream of streams) stream.destroy();
    for (const client of clients) client.goes();
    lifecycle.drain("the test ends");
    await lifecycle.ended;
  });
  const first = await dialled(parts, 1);
  first.register(1);
  await until(() => roster.closedFor === undefined, "clients are let in");
  const clients = Array.from({ length: CLIENTS }, () => new FakeConnection());
  for (const [index, client] of clients.entries()) {
    sessions.accept(client, GAME);
    if (index % 1000 !== 999) continue;
    await turn();
    first.acknowledge();
  }
  assert.equal(sessions.liveCount, CLIENTS);
  first.stream.destroy();
  const next = await dialled(parts, 2);
  const known = sessions.table.slots.map(({ session }) => session);
  return { ...parts, parts, clients, next, known };
}

describe("twenty thousand clients that are announced again", () => {
  test("come each once, in many turns, and never more at a time than the link may hold", async (t) => {
    const { link, next, known, clients } = await held(t);
    next.register(2);
    let turns = 0;
    let most = 0;
    await until(() => {
      turns++;
      most = Math.max(most, link.queuedBytes);
      next.acknowledge();
      return next.listens;
    }, "the gateway listens");
    assert.deepEqual(next.joins.toSorted(), known.toSorted());
    assert.ok(turns >= 40, `${turns} turns`);
    assert.ok(most <= 256 * KIB, `${most} bytes waited`);
    assert.ok(clients.every(({ paused }) => !paused));
  });

  test("wait, costing nothing, while the manager does not read, and go on when it does", async (t) => {
    const { link, sessions, next } = await held(t);
    next.stream.holding = true;
    next.register(2);
    await until(() => link.congested, "the link is full");
    const announced = sessions.liveCount;
    for (let i = 0; i < 100; i++) await turn();
    assert.equal(sessions.liveCount, announced);
    assert.ok(announced < CLIENTS / 10, `${announced} were announced`);
    next.stream.release();
    await until(() => {
      next.acknowledge();
      return next.listens;
    }, "the gateway listens");
    assert.equal(next.joins.length, CLIENTS);
  });

  test("wait for acknowledgements too, so that what is kept stays within its bound", async (t) => {
    const { link, sessions, next } = await held(t);
    next.register(2);
    await until(() => link.congested, "too much is kept");
    const announced = sessions.liveCount;
    for (let i = 0; i < 100; i++) await turn();
    next.hear();
    assert.deepEqual([sessions.liveCount, next.joins.length], [announced, announced]);
    assert.ok(announced < CLIENTS);
    await until(() => {
      next.acknowledge();
      return next.listens;
    }, "the gateway listens");
    assert.equal(next.joins.length, CLIENTS);
  });

  for (const [what, received] of [
    ["goes on", true],
    ["is another", false],
  ] as const) {
    test(`wait for acknowledgements no longer than the link is there, and then for those of the next, which ${what}`, async (t) => {
      const { parts, link, next, known } = await held(t);
      next.register(2);
      await until(() => link.congested, "too much is kept");
      for (let i = 0; i < 10; i++) await turn();
      next.hear();
      next.stream.destroy();
      const last = await dialled(parts, 3);
      if (received) last.register(2, next.numbered - 1);
      else last.register(3);
      const before = received ? next.numbered - 1 : 0;
      await until(() => {
        last.acknowledge(before);
        return last.listens;
      }, "the gateway listens");
      const told = [...next.joins.slice(0, before), ...last.joins];
      assert.deepEqual(told.toSorted(), known.toSorted());
    });
  }

  test("end with the gateway, also while they wait for acknowledgements", async (t) => {
    const { link, next, clients, sessions, lifecycle, clock } = await held(t);
    next.register(2);
    await until(() => link.congested, "too much is kept");
    const announced = sessions.liveCount;
    assert.ok(announced < CLIENTS);
    for (let i = 0; i < 10; i++) await turn();
    lifecycle.drain("SIGTERM");
    await until(() => {
      clock.advance(1);
      return clients.every(({ finishing }) => finishing);
    }, "everybody is told");
    assert.equal(link.up, true, "it has not taken the link's end");
    let over = false;
    lifecycle.ended.then(() => {
      over = true;
    });
    await until(() => {
      for (const client of clients) client.goes();
      clock.advance(10);
      return over;
    }, "the gateway has ended");
    assert.equal(next.listens, false);
  });

  test("and whose announcement is cut off go on where it was, once the link does", async (t) => {
    const { parts, next, known, sessions } = await held(t);
    const last = await cutOff(parts, next);
    assert.ok(sessions.liveCount < CLIENTS);
    assert.equal(last.listens, false);
    last.register(2, next.numbered);
    await until(() => {
      last.acknowledge(next.numbered);
      return last.listens;
    }, "the gateway listens");
    assert.deepEqual([...next.joins, ...last.joins].toSorted(), known.toSorted());
  });

  test("and whose manager is gone again meanwhile are announced to the next one, all of them", async (t) => {
    const { parts, next, known } = await held(t);
    const last = await cutOff(parts, next);
    last.register(3);
    await until(() => {
      last.acknowledge();
      return last.listens;
    }, "the gateway listens");
    assert.deepEqual(last.joins.toSorted(), known.toSorted());
  });
});
