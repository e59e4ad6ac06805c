import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Gateway, ManagerServerOptions } from "../../manager-stub/index.ts";
import type * as body from "../../proto/bodies.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { ENDPOINTS, RawGateway } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

const PING_MS = 100;
const TICK_MS = 25;

/** A manager with a gateway that listens, in a time that passes only when the test says so. */
async function setUp(t: TestContext, options: ManagerServerOptions = {}) {
  const { manager, link } = await startManager(t, { pingMs: PING_MS, ...options });
  let now = Math.round(performance.now());
  t.mock.method(performance, "now", () => now);
  t.mock.timers.enable({ apis: ["setInterval"] });
  const told = recordEvents(manager);
  const gateway = await RawGateway.registered(t, link);
  const up = next<[Gateway]>(manager, "gatewayUp");
  gateway.listening();
  const [view] = await up;
  const tick = (ms: number) => {
    now += ms;
    t.mock.timers.tick(TICK_MS);
  };
  /** Lets time pass, and what has been sent meanwhile arrive. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      tick(TICK_MS);
      await turn();
      await turn();
    }
  };
  // The first look at the link finds that it was heard: silence begins here.
  await pass(TICK_MS);
  told.length = 0;
  return { manager, gateway, view, told, tick, pass };
}

describe("a gateway's health", () => {
  test("is up once it listens, and its endpoints are those that it has bound", async (t) => {
    const { view } = await setUp(t);
    assert.equal(view.health, "up");
    assert.deepEqual(view.endpoints, ENDPOINTS);
  });

  test("is told as up once, however often it says that it listens", async (t) => {
    const { manager, gateway, told } = await setUp(t);
    const moved = [{ transport: "tcp", host: "127.0.0.1", port: 7301, name: "game" }];
    gateway.send((batch) => toManager.listening(batch, moved));
    await gateway.sync();
    assert.deepEqual(told, []);
    assert.deepEqual(manager.gateway(1)?.endpoints, moved);
  });

  test("is suspect when a heartbeat is half an interval late, and up again when it is heard", async (t) => {
    const { gateway, view, told, pass } = await setUp(t);
    await pass(125);
    assert.equal(view.health, "up");
    await pass(25);
    assert.equal(view.health, "suspect");
    gateway.ping();
    await pass(25);
    assert.equal(view.health, "up");
    assert.deepEqual(told, ["suspect gateway-1", "up gateway-1"]);
  });

  test("stays up for as long as it is heard", async (t) => {
    const { gateway, told, pass } = await setUp(t);
    for (let i = 0; i < 10; i++) {
      gateway.ping();
      await pass(PING_MS);
    }
    assert.deepEqual(told, []);
  });

  test("is kept by any frame, not by heartbeats alone", async (t) => {
    const { gateway, told, pass } = await setUp(t);
    for (let i = 0; i < 5; i++) {
      gateway.listening();
      await pass(PING_MS);
    }
    assert.deepEqual(told, []);
  });

  test("is down after three intervals of silence, and its link is closed", async (t) => {
    const { manager, gateway, view, told, pass } = await setUp(t, { resumeMs: 0 });
    await pass(275);
    assert.deepEqual(told, ["suspect gateway-1"]);
    const down = next(manager, "gatewayDown");
    await pass(25);
    await down;
    await gateway.untilClosed();
    assert.deepEqual(told, ["suspect gateway-1", "down gateway-1: link-dead"]);
    assert.equal(view.health, "down");
  });

  test("does not suffer from a pause of the manager itself, when what came meanwhile is there to be read", async (t) => {
    const { gateway, told, tick, pass } = await setUp(t);
    await turn();
    gateway.ping();
    tick(10 * PING_MS);
    await pass(TICK_MS);
    assert.deepEqual(told, []);
    assert.equal(gateway.closed, false);
  });

  test("counts from its registration on, whether it listens or not", async (t) => {
    const { link, manager } = await startManager(t, { pingMs: PING_MS, resumeMs: 0 });
    const down = next(manager, "gatewayDown");
    await RawGateway.registered(t, link);
    assert.equal((await down)[1], "link-dead");
  });
});

describe("a heartbeat", () => {
  test("is answered with its number and its time", async (t) => {
    const { gateway } = await setUp(t);
    gateway.ping({ seq: 41, at: 1_767_225_600_000.5 });
    gateway.ping({ seq: 42, at: 0 });
    const pongs = [
      ["Pong", { seq: 41, at: 1_767_225_600_000.5 }],
      ["Pong", { seq: 42, at: 0 }],
    ];
    assert.deepEqual(await gateway.sync(), pongs);
  });

  test("is answered before the gateway listens", async (t) => {
    const { link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link);
    assert.deepEqual(await gateway.sync(), []);
  });

  test("leaves what it says of the gateway with the manager", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link);
    assert.equal(manager.gateway(1)?.vitals, undefined);
    const vitals: body.Ping = {
      seq: 7,
      at: 8,
      sessions: 3,
      capacity: 10,
      slots: { freed: 6, starting: 0, inUse: 3, stopping: 1 },
      joins: 5,
      refused: 1,
      inBytes: 10,
      outBytes: 20,
      inMsgs: 1,
      outMsgs: 2,
      rssBytes: 50_000_000,
      cpuMs: 12.5,
      loopP99Ms: 1.25,
      rttMs: 0.125,
    };
    gateway.ping(vitals);
    gateway.listening();
    await next(manager, "gatewayUp");
    assert.deepEqual(manager.gateway(1)?.vitals, vitals);
  });
});
