import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { startManager, startRig } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { at, startJoined } from "./joined.ts";
import { RawGateway, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

const [first, second] = [session(0), session(1)];

describe("a manager that lets its clients in one by one", () => {
  test("says so when a gateway registers, and says nothing of it otherwise", async (t) => {
    for (const admit of [true, false, undefined]) {
      const { link } = await startManager(t, admit === undefined ? {} : { admit });
      const gateway = await RawGateway.connect(t, link);
      const registered = await gateway.register();
      assert.deepEqual(["admit" in registered, registered.admit], [admit === true, admit || undefined]);
    }
  });

  test("lets in whom it wants to, once", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true }, first, second);
    const one = at(manager, first);
    assert.equal(one.admitted, false);
    assert.equal(manager.admit(one), true);
    assert.equal(one.admitted, true);
    assert.equal(manager.admit(one), false);
    assert.deepEqual(await gateway.sync(), [["Admit", first]]);
    assert.equal(at(manager, second).admitted, false);
    assert.equal(manager.admit({ gateway: 1, id: second }), true);
    assert.deepEqual(await gateway.sync(), [["Admit", second]]);
  });

  test("can do it as soon as it is told of the client", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true });
    manager.on("join", (one) => manager.admit(one));
    gateway.join(first);
    assert.deepEqual(await gateway.sync(), [["Admit", first]]);
  });

  test("does not let in who is dropped, gone, or was never there", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true }, first, second);
    const [dropped, gone] = [at(manager, first), at(manager, second)];
    manager.drop(dropped);
    gateway.disconnected(second);
    await gateway.sync();
    const never = [
      { gateway: 1, id: session(2) },
      { gateway: 2, id: first },
    ];
    for (const one of [dropped, gone, ...never]) assert.equal(manager.admit(one), false);
    assert.deepEqual(await gateway.sync(), []);
  });

  test("can send to a client and drop it before", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true }, first);
    const one = at(manager, first);
    assert.equal(manager.send(one, "who are you?"), true);
    assert.equal(manager.drop(one, { reason: "not you" }), true);
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, "who are you?"],
      ["Drop", first, { reason: "not you" }],
    ]);
  });

  test("hears what a client says from then on", async (t) => {
    const { manager, gateway, told } = await startJoined(t, { admit: true }, first);
    manager.admit(at(manager, first));
    await gateway.sync();
    gateway.message(first, "hello");
    await gateway.sync();
    assert.deepEqual(told, [`message 1/${first}: hello`]);
  });

  test("ends the link of a gateway that has let one in by itself", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true }, first);
    const down = next<[unknown, string, string]>(manager, "gatewayDown");
    gateway.message(first, "hello");
    const [, code, message] = await down;
    assert.equal(code, "unexpected-frame");
    assert.match(message, /^Msg for session \d+, which was not admitted,/);
  });
});

describe("a manager that does not ask", () => {
  test("has let everybody in already", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    assert.equal(at(manager, first).admitted, true);
    assert.equal(manager.admit(at(manager, first)), false);
    assert.deepEqual(await gateway.sync(), []);
  });
});

describe("a client of a gateway whose manager lets clients in one by one", () => {
  test("is told nothing that is for all, and is not heard, before it is in", async (t) => {
    const { manager, client } = await startRig(t, { manager: { admit: true } });
    const joined = next<[Session]>(manager, "join");
    const player = await client();
    const [one] = await joined;
    const told = recordEvents(manager);
    player.send("open\n");
    manager.broadcast("not for you\n");
    manager.send(one, "wait\n");
    await player.expect("wait\n");
    assert.deepEqual(told, []);
    const heard = next<[Session, Buffer]>(manager, "message");
    manager.admit(one);
    assert.equal((await heard)[1].toString(), "open\n");
    manager.broadcast("for all\n");
    await player.expect("wait\nfor all\n");
  });

  test("does not wait for ever", async (t) => {
    const { manager, client } = await startRig(t, {
      manager: { admit: true },
      settings: { admitTimeoutMs: 60 },
    });
    const left = next<[Session, SessionEnd]>(manager, "leave");
    const player = await client();
    await player.untilEnded();
    player.close();
    const [, { by, reason }] = await left;
    assert.deepEqual([by, reason], ["gateway", "not-admitted"]);
  });
});
