import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { pino } from "pino";
import { Lifecycle } from "../../gateway/lifecycle.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import type { Listener } from "../../gateway/transports/listener.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { slotOf } from "../../proto/session-id.ts";
import { TestClient } from "../helpers/client.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { freePort } from "../helpers/pm2.ts";
import { redialled, startRawManager } from "../helpers/raw-manager.ts";
import { type RawRigOptions, startRawRig } from "../helpers/raw-rig.ts";
import { managerOf, type Settings, socketPath, startTestGateway } from "../helpers/rig.ts";
import { GAME, startKeeping } from "../helpers/sessions.ts";
import { next, until } from "../helpers/wait.ts";

const registered = (
  t: TestContext,
  settings: Settings = {},
  registration: RawRigOptions["registration"] = {},
  clock?: FakeClock,
) => startRawRig(t, { settings, registration, extra: clock === undefined ? {} : { clock } });

/** Listens on a port of loopback as another process would. */
async function take(t: TestContext, port: number): Promise<number> {
  const server = createServer().listen(port, "127.0.0.1");
  await next(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe("a gateway that could never listen", () => {
  const places: readonly (readonly [string, (t: TestContext) => string | Promise<string>, RegExp])[] = [
    [
      "on a port that is taken",
      async (t) => `tcp://127.0.0.1:${await take(t, 0)}`,
      /another process listens/,
    ],
    [
      "on a WebSocket's port that is taken",
      async (t) => `ws://127.0.0.1:${await take(t, 0)}`,
      /another process/,
    ],
    ["on an address of another machine", () => "tcp://192.0.2.1:0", /this machine has no such address/],
    ["where something else is", () => "unix:/dev/null", /is not a socket/],
    [
      "below what is no directory",
      () => "unix:/dev/null/game.sock",
      /^cannot listen on unix:\/dev\/null\/game/,
    ],
  ];

  for (const [where, place, why] of places) {
    test(`ends before it dials anybody: ${where}`, async (t) => {
      let dialled = 0;
      const manager = createServer(() => dialled++).listen(socketPath(t));
      t.after(() => manager.close());
      const listen = ["tcp://127.0.0.1:0?name=free", await place(t)];
      const gateway = await startTestGateway(t, `unix:${manager.address()}`, { listen });
      const { code, message } = await gateway.ended;
      assert.equal(code, 3);
      assert.match(message ?? "", why);
      assert.equal(dialled, 0);
    });
  }
});

describe("registration", () => {
  test("says who the gateway is, and tells the bound addresses before any client is let in", async (t) => {
    const { link, client } = await registered(t, { name: "edge-1", listen: ["tcp://127.0.0.1:0?name=game"] });
    const { body } = await link.wait("register");
    assert.equal(body.version, 1);
    assert.equal(body.name, "edge-1");
    assert.equal(body.pid, process.pid);
    assert.equal(body.maxFrame, 2 ** 20);
    assert.equal(body.nonce.length, 16);
    assert.deepEqual(body.endpoints, [{ transport: "tcp", host: "127.0.0.1", port: 0, name: "game" }]);
    const player = await client();
    const join = await link.wait("join");
    assert.deepEqual(
      link.heard.map(({ type }) => type),
      ["register", "listening", "join"],
    );
    const { at, ...rest } = join.body;
    assert.deepEqual(rest, {
      addr: "127.0.0.1",
      port: player.socket.localPort,
      transport: "tcp",
      listener: "game",
    });
    assert.ok(Math.abs(at - Date.now()) < 60_000);
  });

  test("listens nowhere before the manager has taken it on", async (t) => {
    const probe = createServer().listen(0, "127.0.0.1");
    await next(probe, "listening");
    const { port } = probe.address() as { port: number };
    probe.close();
    await next(probe, "close");
    const raw = await startRawManager(t);
    await startTestGateway(t, raw.link, { listen: [`tcp://127.0.0.1:${port}`] });
    const link = await raw.nextLink();
    const early = new TestClient(port);
    await until(() => early.closed, "the early client is refused");
    assert.equal(early.errorCode, "ECONNREFUSED");
    link.register();
    await link.wait("listening");
    const client = await TestClient.connect(port);
    client.close();
  });

  test("gives the capacity that the manager said, and refuses the client after the last", async (t) => {
    const { link, gateway, client } = await registered(t, {}, { capacity: 2 });
    await client();
    await client();
    await link.wait("join", 2);
    const third = await client();
    await third.untilEnded();
    assert.equal(third.errorCode, undefined);
    assert.equal(gateway.counters.refused, 1);
    assert.equal(link.all("join").length, 2);
  });

  test("that takes too long is given up and tried again", async (t) => {
    const clock = new FakeClock();
    const raw = await startRawManager(t);
    const gateway = await startTestGateway(t, raw.link, { registerTimeoutMs: 1000 }, { clock });
    t.after(() => gateway.drain("the test ends"));
    const link = await raw.nextLink();
    clock.advance(1000);
    await link.untilClosed();
    await redialled(raw, clock);
  });

  test("with more slots than this gateway allows is a protocol error", async (t) => {
    const raw = await startRawManager(t);
    await startTestGateway(t, raw.link, { maxCapacity: 10 });
    const link = await raw.nextLink();
    link.register({ capacity: 11 });
    await link.untilClosed();
    assert.equal(link.all("listening").length, 0);
    await raw.nextLink();
  });

  test("a second time on one link is a protocol error", async (t) => {
    const { link, raw } = await registered(t);
    link.register();
    await link.untilClosed();
    await raw.nextLink();
  });

  test("that is rejected for now is tried again", async (t) => {
    const raw = await startRawManager(t);
    await startTestGateway(t, raw.link);
    const link = await raw.nextLink();
    link.say((batch) => toGateway.rejected(batch, { code: "name-taken", message: "there is one" }));
    await link.untilClosed();
    const second = await raw.nextLink();
    second.register();
    await second.wait("listening");
  });

  test("that is rejected for good ends the gateway with its own exit code", async (t) => {
    const raw = await startRawManager(t);
    const gateway = await startTestGateway(t, raw.link);
    const link = await raw.nextLink();
    link.say((batch) => toGateway.rejected(batch, { code: "version", message: "only version 2" }));
    const { code, message } = await gateway.ended;
    assert.equal(code, 4);
    assert.match(message ?? "", /only version 2/);
  });

  test("ends the gateway with its own exit code when a port is taken by then, and it says that it goes", async (t) => {
    const port = await freePort();
    const raw = await startRawManager(t);
    const listen = ["tcp://127.0.0.1:0?name=first", `tcp://127.0.0.1:${port}?name=second`];
    const gateway = await startTestGateway(t, raw.link, { listen });
    const link = await raw.nextLink();
    await take(t, port);
    link.register();
    const { code, message } = await gateway.ended;
    assert.equal(code, 3);
    assert.match(message ?? "", new RegExp(`tcp://127.0.0.1:${port}: another process listens there`));
    await link.untilClosed();
    assert.deepEqual(
      link.heard.map(({ type }) => type),
      ["register", "draining"],
    );
    assert.deepEqual((await link.wait("draining")).body, { reason: message, drainMs: 0 });
    await assert.rejects(TestClient.connect(gateway.endpoints[0]?.port ?? 0), "the first listener is closed");
  });
});

describe("a lost link", () => {
  test("closes clients that are not to be held, refuses new ones, and is dialled again until a manager answers", async (t) => {
    const clock = new FakeClock();
    const { gateway, raw, link, port, client } = await registered(t, { holdMs: 0 }, { capacity: 2 }, clock);
    const player = await client();
    await link.wait("join");
    link.socket.destroy();
    await player.untilEnded();
    assert.equal(gateway.counters.linksLost, 1);
    const meanwhile = await TestClient.connect(port);
    await meanwhile.untilEnded();
    meanwhile.close();
    assert.equal(gateway.counters.refused, 1);
    player.close();

    const second = await redialled(raw, clock);
    second.register({ id: 2, capacity: 5 });
    const listening = await second.wait("listening");
    assert.equal(listening.body.endpoints[0]?.port, port, "the listener stayed open");
    assert.equal(gateway.sessions.table.capacity, 5);
    await client();
    const join = await second.wait("join");
    assert.ok(slotOf(join.session) < 5);
    assert.equal(second.all("disconnected").length, 0, "the new manager hears nothing of old sessions");
  });

  test("is dialled with waits that double up to the limit, each in its upper half", async (t) => {
    const clock = new FakeClock();
    const raw = await startRawManager(t);
    const limits = { reconnectMinMs: 100, reconnectMaxMs: 400 };
    const draws = [0, 0.999, 0.5, 0];
    const random = () => draws.shift() ?? 0;
    const gateway = await startTestGateway(t, raw.link, limits, { clock, random });
    t.after(() => gateway.drain("the test ends"));
    let link = await raw.nextLink();
    for (const waitMs of [50, 199.9, 300, 200, 200]) {
      link.socket.destroy();
      const following = raw.nextLink();
      let there = false;
      following.then(() => {
        there = true;
      });
      await until(
        () => managerOf(gateway).link.down && clock.timerCount === 3,
        "the wait for the next dial is on",
      );
      clock.advance(waitMs - 1);
      assert.equal(managerOf(gateway).link.down, true, `dialled before ${waitMs} ms had passed`);
      clock.advance(2);
      await until(() => there, `dialled after ${waitMs} ms`);
      link = await following;
    }
  });

  test("that answers nothing any more is taken for dead after three intervals", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, raw, client } = await registered(t, { holdMs: 0 }, { pingMs: 1000 }, clock);
    const player = await client();
    await link.wait("join");
    clock.advance(2900);
    assert.equal(managerOf(gateway).link.up, true);
    clock.advance(350);
    await link.untilClosed();
    await player.untilEnded();
    await redialled(raw, clock);
  });
});

describe("the heartbeat", () => {
  test("tells how the gateway is, and keeps the round trip", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, client } = await registered(t, {}, { pingMs: 1000, capacity: 10 }, clock);
    const player = await client();
    await link.wait("join");
    player.send("hello");
    await link.wait("message");
    clock.advance(1000);
    const first = (await link.wait("ping")).body;
    assert.deepEqual([first.seq, first.at, first.sessions, first.capacity], [1, clock.wall(), 1, 10]);
    assert.deepEqual(first.slots, { freed: 9, starting: 0, inUse: 1, stopping: 0 });
    assert.deepEqual([first.joins, first.refused, first.inBytes, first.inMsgs], [1, 0, 5, 1]);
    assert.deepEqual([first.outBytes, first.outMsgs, first.rttMs], [0, 0, undefined]);
    assert.ok((first.rssBytes ?? 0) > 10_000_000 && (first.cpuMs ?? 0) > 0 && (first.loopP99Ms ?? -1) >= 0);
    clock.advance(7);
    link.say((batch) => toGateway.pong(batch, { seq: first.seq, at: first.at }));
    await until(() => managerOf(gateway).link.rttMs !== undefined, "the answer is there");
    assert.equal(managerOf(gateway).link.rttMs, 7);
    clock.advance(1000);
    assert.equal((await link.wait("ping", 2)).body.rttMs, 7);
  });

  test("knows nothing of the round trip on a link before", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, raw } = await registered(t, {}, { pingMs: 60_000 }, clock);
    clock.advance(60_000);
    const { seq, at } = (await link.wait("ping")).body;
    link.say((batch) => toGateway.pong(batch, { seq, at }));
    await until(() => managerOf(gateway).link.rttMs !== undefined, "the answer is there");
    link.socket.destroy();
    const next = await redialled(raw, clock);
    next.register({ pingMs: 60_000 });
    await next.wait("listening");
    assert.equal(managerOf(gateway).link.rttMs, undefined);
    clock.advance(60_000);
    const { body } = await next.wait("ping");
    assert.deepEqual([body.seq, body.rttMs], [1, undefined]);
  });
});

test("clients are let in for the first time once, however often there is a link", async (t) => {
  const clock = new FakeClock();
  const raw = await startRawManager(t);
  let told = 0;
  const ready = () => {
    told++;
  };
  await startTestGateway(t, raw.link, {}, { clock, ready });
  for (let round = 0; round < 3; round++) {
    const link = await redialled(raw, clock);
    if (round === 0) assert.equal(told, 0);
    link.register();
    await link.wait("listening");
    await until(() => told > 0, "it is told");
    link.socket.destroy();
  }
  assert.equal(told, 1);
});

describe("a drain", () => {
  test("closes the listeners before the sessions that are there have left", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, port, client } = await registered(t, {}, {}, clock);
    const player = await client();
    const { session } = await link.wait("join");
    gateway.drain("update");
    await link.wait("draining");
    const late = new TestClient(port);
    await until(() => late.errorCode !== undefined || late.socket.readyState === "open", "it has an answer");
    link.say((batch) => toGateway.message(batch, session, Buffer.from("still here")));
    await player.expect("still here");
    late.close();
    player.reset();
    link.say((batch) => toGateway.drop(batch, session));
    await gateway.ended;
    assert.deepEqual([late.errorCode, gateway.counters.refused], ["ECONNREFUSED", 0]);
  });

  test("opens no listener any more that is not open yet", async () => {
    const counters = new Counters();
    const clock = new FakeClock();
    const sessions = startKeeping({ counters, clock });
    const done: string[] = [];
    const fake = (name: string, opened: () => void = () => {}): Listener => ({
      address: parseListenAddress("tcp://127.0.0.1:0"),
      origin: GAME,
      endpoint: { transport: "tcp", host: "127.0.0.1", port: 0, name },
      files: [],
      reload() {},
      async tryOut() {},
      async open() {
        done.push(`opens ${name}`);
        opened();
      },
      async close() {
        done.push(`closes ${name}`);
      },
    });
    const lifecycle: Lifecycle = new Lifecycle({
      sessions,
      counters,
      listeners: [fake("one", () => lifecycle.drain("update")), fake("two")],
      limits: { drainMs: 0, shutdownAckMs: 0 },
      log: pino({ enabled: false }),
      ready() {},
    });
    await lifecycle.openListeners();
    assert.equal((await lifecycle.ended).code, 0);
    assert.deepEqual(done, ["opens one", "closes one"]);
  });

  test("on Shutdown lets sessions go on, ends those that are left, waits for the manager, and ends", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, port, client } = await registered(t, { shutdownExitCode: 64 }, {}, clock);
    const leaver = await client();
    const stayer = await client();
    const joins = [await link.wait("join", 1), await link.wait("join", 2)];
    link.say((batch) => toGateway.shutdown(batch, { reason: "update", drainMs: 5000 }));
    const draining = await link.wait("draining");
    assert.deepEqual(draining.body, { reason: "update", drainMs: 5000 });
    const late = new TestClient(port);
    await until(() => late.closed, "a late client is refused");
    assert.equal(late.errorCode, "ECONNREFUSED");

    stayer.send("still playing");
    assert.equal(String((await link.wait("message")).payload), "still playing");
    leaver.close();
    clock.advance(4900);
    assert.equal(stayer.ended, false);
    clock.advance(100);
    await stayer.untilEnded();
    const stayerPort = stayer.socket.localPort;
    stayer.close();
    const ends = [await link.wait("disconnected", 1), await link.wait("disconnected", 2)];
    const stayed = joins.find((join) => join.body.port === stayerPort)?.session;
    const end = ends.find(({ session }) => session === stayed)?.body;
    assert.deepEqual([end?.by, end?.reason], ["gateway", "shutdown"]);
    assert.equal(gateway.sessions.table.usedCount, 2, "both ends await their acknowledgement");
    for (const { session } of ends) link.say((batch) => toGateway.drop(batch, session));
    assert.deepEqual(await gateway.ended, { code: 64 });
    await link.untilClosed();
  });

  test("ends at once when nobody is there", async (t) => {
    const clock = new FakeClock();
    const { gateway, link } = await registered(t, { drainMs: 60_000 }, {}, clock);
    gateway.drain("SIGTERM");
    assert.deepEqual(await gateway.ended, { code: 0 });
    assert.equal((await link.wait("draining")).body.reason, "SIGTERM");
    assert.equal(clock.timerCount, 0, "no timer is left");
  });

  test("does not wait longer than it may for a manager that does not acknowledge", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, client } = await registered(t, { drainMs: 1000, shutdownAckMs: 500 }, {}, clock);
    const player = await client();
    player.socket.on("end", () => player.socket.end());
    await link.wait("join");
    gateway.drain("SIGTERM");
    await link.wait("draining");
    clock.advance(1000);
    await link.wait("disconnected");
    let over = false;
    gateway.ended.then(() => {
      over = true;
    });
    assert.equal(over, false);
    await until(() => {
      clock.advance(10);
      return over;
    }, "the gateway ends");
    assert.equal((await gateway.ended).code, 0);
  });

  test("resets a client that does not take its end, and still tells the manager", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, client } = await registered(t, { drainMs: 0, shutdownAckMs: 500 }, {}, clock);
    const stubborn = await client();
    await link.wait("join");
    gateway.drain("SIGTERM");
    await until(() => {
      clock.advance(10);
      return link.all("disconnected").length === 1;
    }, "the manager is told");
    const end = await link.wait("disconnected");
    assert.deepEqual([end.body.by, end.body.reason], ["gateway", "shutdown"]);
    await until(() => {
      clock.advance(10);
      return link.closed;
    }, "the gateway ends");
    await gateway.ended;
    await until(() => {
      if (!stubborn.closed) stubborn.send("am I still here?");
      return stubborn.closed;
    }, "the client finds itself cut");
  });

  test("a second time changes nothing", async (t) => {
    const { gateway, link } = await registered(t);
    gateway.drain("SIGTERM");
    gateway.drain("SIGINT");
    await gateway.ended;
    assert.deepEqual(
      link.all("draining").map(({ body }) => body.reason),
      ["SIGTERM"],
    );
  });

  test("ends at once when the manager goes away meanwhile", async (t) => {
    const clock = new FakeClock();
    const { gateway, link, client } = await registered(t, { drainMs: 60_000 }, {}, clock);
    const player = await client();
    await link.wait("join");
    gateway.drain("SIGTERM");
    await link.wait("draining");
    link.socket.destroy();
    assert.deepEqual(await gateway.ended, { code: 0 });
    await player.untilEnded();
  });

  test("before the manager has answered ends too", async (t) => {
    const raw = await startRawManager(t);
    const gateway = await startTestGateway(t, raw.link);
    await raw.nextLink();
    gateway.drain("SIGTERM");
    assert.deepEqual(await gateway.ended, { code: 0 });
  });

  test("while no manager can be reached ends too", async (t) => {
    const raw = await startRawManager(t);
    await raw.close();
    const gateway = await startTestGateway(t, raw.link);
    await until(() => managerOf(gateway).link.down, "the dial has failed");
    gateway.drain("SIGTERM");
    assert.deepEqual(await gateway.ended, { code: 0 });
  });
});
