import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { at } from "./joined.ts";
import { ENDPOINTS, JOIN, RawGateway, session } from "./raw-gateway.ts";

const [framed, plain] = [session(0), session(1)];
const MAX_FRAME = 65_536;
const web = { transport: "ws", host: "127.0.0.1", port: 7301, name: "web", framing: "websocket" };

/** A manager with a gateway that takes small frames, and has a client with a framing and one without. */
async function setUp(t: TestContext, endpoints = [...ENDPOINTS, web]) {
  const { manager, link } = await startManager(t);
  const gateway = await RawGateway.registered(t, link, { name: "edge", maxFrame: MAX_FRAME });
  gateway.send((batch) => {
    toManager.listening(batch, endpoints);
    toManager.join(batch, framed, { ...JOIN, framing: "websocket" });
    toManager.join(batch, plain, { ...JOIN, framing: "none" });
  });
  await gateway.sync();
  return { manager, link, gateway };
}

function tooLong(bytes: number, maxBytes: number) {
  return {
    name: "RangeError",
    message:
      `a message of ${bytes} bytes is over the ${maxBytes} that gateway 'edge' takes in one frame, ` +
      "and where messages are framed none can be cut",
  };
}

describe("a message to a client whose messages are framed", () => {
  test("is sent whole, up to the longest that fits in one frame", async (t) => {
    const { manager, gateway } = await setUp(t);
    const most = "x".repeat(MAX_FRAME - 4);
    for (const text of ["", "hello", most]) assert.equal(manager.send(at(manager, framed), text), true);
    assert.deepEqual(
      await gateway.sync(),
      ["", "hello", most].map((text) => ["Msg", framed, text]),
    );
  });

  test("is never cut: one that is too long is refused, and nothing of it is sent", async (t) => {
    const { manager, gateway } = await setUp(t);
    const one = at(manager, framed);
    for (const length of [MAX_FRAME - 3, MAX_FRAME, 1_000_000])
      assert.throws(() => manager.send(one, Buffer.alloc(length)), tooLong(length, MAX_FRAME - 4));
    assert.deepEqual(await gateway.sync(), []);
    assert.equal(manager.send(one, "go on"), true);
    assert.deepEqual(await gateway.sync(), [["Msg", framed, "go on"]]);
  });

  test("is counted in bytes, not in characters", async (t) => {
    const { manager } = await setUp(t);
    const text = "é".repeat(MAX_FRAME / 2 - 1);
    assert.throws(() => manager.send(at(manager, framed), text), tooLong(MAX_FRAME - 2, MAX_FRAME - 4));
  });

  test("is refused no more once the client is dropped: it says no", async (t) => {
    const { manager } = await setUp(t);
    manager.drop(at(manager, framed));
    assert.equal(manager.send(at(manager, framed), Buffer.alloc(MAX_FRAME)), false);
  });

  test("beside a client without a framing, for whom it is cut", async (t) => {
    const { manager, gateway } = await setUp(t);
    assert.equal(manager.send(at(manager, plain), "x".repeat(MAX_FRAME)), true);
    const parts = (await gateway.sync()).map(([name, id, text]) => [name, id, String(text).length]);
    assert.deepEqual(parts, [
      ["Msg", plain, MAX_FRAME - 4],
      ["Msg", plain, 4],
    ]);
  });
});

describe("a broadcast where a gateway has a listener with a framing", () => {
  test("goes out whole, up to the longest that fits in one frame", async (t) => {
    const { manager, gateway } = await setUp(t);
    const most = "x".repeat(MAX_FRAME);
    manager.broadcast(most);
    assert.deepEqual(await gateway.sync(), [["MsgAll", most]]);
  });

  test("is sent to nobody when it is too long for one of them, whichever that is", async (t) => {
    const { manager, link } = await startManager(t);
    const before = await RawGateway.registered(t, link, { name: "before" });
    const edge = { name: "edge", maxFrame: MAX_FRAME, endpoints: [web] };
    const gateway = await RawGateway.registered(t, link, edge);
    const after = await RawGateway.registered(t, link, { name: "after" });
    const payload = Buffer.alloc(MAX_FRAME + 1, "x");
    assert.throws(() => manager.broadcast(payload), tooLong(MAX_FRAME + 1, MAX_FRAME));
    assert.throws(() => manager.broadcast(payload, 2), tooLong(MAX_FRAME + 1, MAX_FRAME));
    assert.deepEqual([await before.sync(), await gateway.sync(), await after.sync()], [[], [], []]);
    manager.broadcast(payload, 1);
    assert.deepEqual(await before.sync(), [["MsgAll", payload.toString()]]);
  });

  test("is cut where no listener has one, or says that it has none", async (t) => {
    const { manager, gateway } = await setUp(t, [{ ...web, framing: "none" }]);
    manager.broadcast(Buffer.alloc(MAX_FRAME + 1, "x"));
    assert.equal((await gateway.sync()).length, 2);
  });

  test("counts the listeners that were stated last", async (t) => {
    const { manager, gateway } = await setUp(t);
    gateway.listening();
    await gateway.sync();
    manager.broadcast(Buffer.alloc(MAX_FRAME + 1, "x"));
    assert.equal((await gateway.sync()).length, 2);
  });

  test("counts those of a gateway that does not listen yet", async (t) => {
    const { manager, link } = await startManager(t);
    await RawGateway.registered(t, link, { name: "edge", maxFrame: MAX_FRAME, endpoints: [web] });
    assert.throws(() => manager.broadcast(Buffer.alloc(MAX_FRAME + 1)), tooLong(MAX_FRAME + 1, MAX_FRAME));
  });
});
