import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { at, startJoined } from "./joined.ts";
import { RawGateway, session } from "./raw-gateway.ts";

const [first, second, third] = [session(0), session(1), session(2)];

describe("sending", () => {
  test("carries text as UTF-8, and bytes as they are", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    assert.equal(manager.send(one, "grüß\n"), true);
    assert.equal(manager.send(one, Buffer.from("buffer")), true);
    const inTheMiddle = new Uint8Array(Buffer.from("--middle--")).subarray(2, 8);
    assert.equal(manager.send(one, inTheMiddle), true);
    assert.equal(manager.send(one, ""), true);
    assert.deepEqual(
      await gateway.sync(),
      ["grüß\n", "buffer", "middle", ""].map((text) => ["Msg", first, text]),
    );
  });

  test("needs no more than the ids", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    assert.equal(manager.send({ gateway: 1, id: first }, "hi"), true);
    assert.deepEqual(await gateway.sync(), [["Msg", first, "hi"]]);
  });

  test("copies the payload, which may change at once", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const payload = Buffer.from("before");
    manager.send(at(manager, first), payload);
    manager.broadcast(payload);
    payload.fill("x");
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, "before"],
      ["MsgAll", "before"],
    ]);
  });

  test("says no, and sends nothing, to who is dropped, gone, or was never there", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    const [dropped, gone] = [at(manager, first), at(manager, second)];
    manager.drop(dropped);
    gateway.disconnected(second);
    await gateway.sync();
    const never = [
      { gateway: 1, id: third },
      { gateway: 2, id: first },
    ];
    for (const one of [dropped, gone, ...never]) assert.equal(manager.send(one, "x"), false);
    assert.deepEqual(await gateway.sync(), []);
  });

  test("what the gateway does not take in one frame is cut", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link, { maxFrame: 65_536 });
    gateway.join(first);
    await gateway.sync();
    const most = "x".repeat(65_532);
    assert.equal(manager.send(at(manager, first), `${most}y`), true);
    manager.broadcast(`${most}xxxxy`);
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, most],
      ["Msg", first, "y"],
      ["MsgAll", `${most}xxxx`],
      ["MsgAll", "y"],
    ]);
  });

  test("cuts what the gateway does not take in one frame, so that it does not cost it its link", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link, { maxFrame: 65_536 });
    gateway.join(first);
    await gateway.sync();
    for (const length of [65_532, 65_533, 200_000]) {
      const payload = Buffer.alloc(length, "abc").toString();
      assert.equal(manager.send(at(manager, first), payload), true);
      const told = await gateway.sync();
      const frames = Array.from({ length: Math.ceil(length / 65_532) }, () => ["Msg", first]);
      assert.deepEqual(
        told.map(([name, id]) => [name, id]),
        frames,
      );
      assert.equal(told.map(([, , part]) => part).join(""), payload);
    }
  });
});

describe("a broadcast", () => {
  test("is one frame to each gateway, or to one of them", async (t) => {
    const { manager, link, gateway } = await startJoined(t, {}, first, second);
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    manager.broadcast("to all");
    manager.broadcast("to one", 2);
    manager.broadcast("to nobody", 3);
    assert.deepEqual(await gateway.sync(), [["MsgAll", "to all"]]);
    assert.deepEqual(await other.sync(), [
      ["MsgAll", "to all"],
      ["MsgAll", "to one"],
    ]);
  });

  test("keeps its place between the messages to one client", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    manager.send(at(manager, first), "1");
    manager.broadcast("2");
    manager.send(at(manager, first), "3");
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, "1"],
      ["MsgAll", "2"],
      ["Msg", first, "3"],
    ]);
  });

  test("is cut for each gateway as that one needs it", async (t) => {
    const { manager, link, gateway } = await startJoined(t);
    const small = await RawGateway.registered(t, link, { name: "small", maxFrame: 65_536 });
    const payload = Buffer.alloc(65_537, "abc").toString();
    manager.broadcast(payload);
    assert.deepEqual(await gateway.sync(), [["MsgAll", payload]]);
    assert.deepEqual(await small.sync(), [
      ["MsgAll", payload.slice(0, 65_536)],
      ["MsgAll", payload.slice(65_536)],
    ]);
  });
});

describe("a drop", () => {
  test("carries its reason and its code", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second, third);
    assert.equal(manager.drop(at(manager, first), { reason: "kicked", code: 4001 }), true);
    assert.equal(manager.drop(at(manager, second), { discard: true, reason: "cheating" }), true);
    assert.equal(manager.drop(at(manager, third), { discard: true, code: 0 }), true);
    assert.deepEqual(await gateway.sync(), [
      ["Drop", first, { reason: "kicked", code: 4001 }],
      ["DropDiscard", second, { reason: "cheating" }],
      ["DropDiscard", third, { code: 0 }],
    ]);
  });

  test("carries how long the client's address is to stay away", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second, third);
    const yearMs = 31_536_000_000;
    manager.drop(at(manager, first), { banMs: 0 });
    manager.drop(at(manager, second), { banMs: yearMs, reason: "cheating" });
    manager.drop(at(manager, third), { banMs: 1000, discard: true });
    for (const banMs of [-1, yearMs + 1, 0.5, Number.NaN]) {
      const wrong = { name: "RangeError", message: /^banMs must be a whole number from 0 to 31536000000, / };
      assert.throws(() => manager.drop(at(manager, first), { banMs, discard: true }), wrong);
    }
    assert.deepEqual(await gateway.sync(), [
      ["Drop", first, { banMs: 0 }],
      ["Drop", second, { reason: "cheating", banMs: yearMs }],
      ["DropDiscard", third, { banMs: 1000 }],
    ]);
  });

  test("happens once, and may still become a discarding one", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    assert.equal(one.dropped, false);
    assert.equal(manager.drop(one), true);
    assert.equal(one.dropped, true);
    assert.equal(manager.drop(one), false);
    assert.equal(manager.drop(one, { discard: true }), true);
    assert.deepEqual(await gateway.sync(), [
      ["Drop", first],
      ["DropDiscard", first],
    ]);
    assert.equal(manager.session(one), one, "it is there until its end is told");
  });

  test("follows what was sent before it", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    manager.send(at(manager, first), "bye");
    manager.drop(at(manager, first));
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, "bye"],
      ["Drop", first],
    ]);
  });

  test("of who is gone, or was never there, says no and sends nothing", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const gone = at(manager, first);
    gateway.disconnected(first);
    await gateway.sync();
    for (const one of [gone, { gateway: 1, id: second }, { gateway: 2, id: first }]) {
      assert.equal(manager.drop(one), false);
      assert.equal(manager.drop(one, { discard: true }), false);
    }
    assert.deepEqual(await gateway.sync(), []);
  });

  test("cuts a reason that the gateway would not take, and refuses a code that it would not", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    for (const code of [-1, 65_536, 1.5]) {
      assert.throws(() => manager.drop(at(manager, first), { code }), {
        name: "RangeError",
        message: /^code /,
      });
    }
    manager.drop(at(manager, first), { reason: "x".repeat(1025) });
    assert.deepEqual(await gateway.sync(), [["Drop", first, { reason: "x".repeat(1024) }]]);
  });
});

describe("a shutdown", () => {
  test("carries its reason and its time, or nothing", async (t) => {
    const { manager, gateway } = await startJoined(t);
    assert.equal(manager.shutdown(1), true);
    assert.equal(manager.shutdown(1, { reason: "update", drainMs: 5000 }), true);
    assert.equal(manager.shutdown(1, { reason: "x".repeat(2000), drainMs: 0 }), true);
    assert.deepEqual(await gateway.sync(), [
      ["Shutdown"],
      ["Shutdown", { reason: "update", drainMs: 5000 }],
      ["Shutdown", { reason: "x".repeat(1024), drainMs: 0 }],
    ]);
  });

  test("of a gateway that is not there says no", async (t) => {
    const { manager, gateway } = await startJoined(t);
    assert.equal(manager.shutdown(2), false);
    for (const drainMs of [-1, 86_400_001, 0.5]) {
      assert.throws(() => manager.shutdown(1, { drainMs }), { name: "RangeError", message: /^drainMs / });
    }
    assert.deepEqual(await gateway.sync(), []);
  });

  test("is told as draining when the gateway says so, and its sessions go on", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    gateway.send((batch) => toManager.draining(batch, { reason: "update", drainMs: 5000 }));
    gateway.message(first, "still here");
    await gateway.sync();
    assert.equal(manager.send(at(manager, first), "so am I"), true);
    assert.deepEqual(told, ["draining gateway-1", `message 1/${first}: still here`]);
    assert.equal(manager.gateway(1)?.ending, true);
  });
});
