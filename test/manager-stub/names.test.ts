import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { at, startJoined } from "./joined.ts";
import { ENDPOINTS, JOIN, RawGateway, session } from "./raw-gateway.ts";

const [first, second, third] = [session(0), session(1), session(2)];
const MAX_FRAME = 65_536;
const web = { transport: "ws", host: "127.0.0.1", port: 7301, name: "web", framing: "websocket" };

/** A manager with a gateway `edge` that takes small frames, and has two plain clients and a framed one, the third. */
async function startSmall(t: TestContext, endpoints = [...ENDPOINTS]) {
  const { manager, link } = await startManager(t);
  const gateway = await RawGateway.registered(t, link, { name: "edge", maxFrame: MAX_FRAME });
  gateway.send((batch) => {
    toManager.listening(batch, endpoints);
    for (const id of [first, second]) toManager.join(batch, id, JOIN);
    toManager.join(batch, third, { ...JOIN, framing: "websocket" });
  });
  await gateway.sync();
  return { manager, link, gateway };
}

describe("sending to many", () => {
  test("is one frame to each gateway, for those that can be sent to", async (t) => {
    const { manager, link, gateway } = await startJoined(t, {}, first, second, third);
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    other.join(first);
    await other.sync();
    manager.drop(at(manager, second));
    await gateway.sync();
    const elsewhere = { gateway: 2, id: first };
    const gone = { gateway: 7, id: first };
    const never = { gateway: 2, id: third };
    const refs = [at(manager, first), elsewhere, at(manager, second), gone, never, at(manager, third)];
    assert.equal(manager.sendMany(refs, "grüß"), 3);
    assert.deepEqual(await gateway.sync(), [["MsgMany", [first, third], "grüß"]]);
    assert.deepEqual(await other.sync(), [["MsgMany", [first], "grüß"]]);
  });

  test("is nothing for nobody, and twice for who stands there twice", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    assert.equal(manager.sendMany([], "x"), 0);
    assert.equal(manager.sendMany([{ gateway: 1, id: third }], "x"), 0);
    assert.equal(manager.sendMany(new Set([one]), ""), 1);
    assert.equal(manager.sendMany([one, one], "x"), 2);
    assert.deepEqual(await gateway.sync(), [
      ["MsgMany", [first], ""],
      ["MsgMany", [first, first], "x"],
    ]);
  });

  test("is cut where it does not fit in one frame, with its sessions in each", async (t) => {
    const { manager, gateway } = await startSmall(t);
    const payload = Buffer.alloc(MAX_FRAME, "abc").toString();
    const refs = [at(manager, first), at(manager, second)];
    assert.equal(manager.sendMany(refs, payload), 2);
    const room = MAX_FRAME - 4 - 8;
    assert.deepEqual(await gateway.sync(), [
      ["MsgMany", [first, second], payload.slice(0, room)],
      ["MsgMany", [first, second], payload.slice(room)],
    ]);
  });

  test("is several frames for more sessions than one holds, each once, in order", async (t) => {
    const { manager, link } = await startManager(t, { capacity: 30_000 });
    const gateway = await RawGateway.registered(t, link, { maxFrame: MAX_FRAME });
    const ids = Array.from({ length: 20_000 }, (_, slot) => session(slot));
    gateway.join(...ids);
    await gateway.sync();
    const refs = ids.map((id) => ({ gateway: 1, id }));
    assert.equal(manager.sendMany(refs, "hi"), ids.length);
    const told = await gateway.sync();
    assert.ok(told.length < 5, `${told.length} frames`);
    assert.deepEqual(
      told.flatMap(([, some]) => some),
      ids,
    );
    assert.ok(told.every(([name, , text]) => name === "MsgMany" && text === "hi"));
  });

  test("with a framed client among them is whole: to fewer at once if need be, and else to nobody", async (t) => {
    const { manager, gateway } = await startSmall(t);
    const refs = [first, second, third].map((id) => at(manager, id));
    const most = "x".repeat(MAX_FRAME - 8);
    assert.equal(manager.sendMany(refs, most), 3);
    assert.deepEqual(
      await gateway.sync(),
      [first, second, third].map((id) => ["MsgMany", [id], most]),
    );
    assert.throws(() => manager.sendMany(refs, `${most}y`), {
      name: "RangeError",
      message: /^a message of 65529 bytes is over the 65528 that gateway 'edge' takes in one frame/,
    });
    assert.deepEqual(await gateway.sync(), []);
    assert.equal(
      manager.sendMany(refs.slice(0, 2), `${most}y`),
      2,
      "those without a framing take it in parts",
    );
  });
});

describe("binding", () => {
  test("tells the gateway, and is what the session says from then on", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    assert.equal(one.user, undefined);
    assert.equal(manager.bind(one, "ann"), true);
    assert.equal(one.user, "ann");
    assert.equal(manager.bind(one, "ann"), false, "it is ann already");
    assert.equal(manager.bind({ gateway: 1, id: first }, "bøb"), true);
    assert.equal(manager.unbind(one), true);
    assert.equal(manager.unbind(one), false);
    assert.equal(one.user, undefined);
    assert.deepEqual(await gateway.sync(), [
      ["Bind", first, "ann"],
      ["Bind", first, "bøb"],
      ["Bind", first, ""],
    ]);
  });

  test("changes who came with a ticket", async (t) => {
    const { manager, gateway } = await startJoined(t);
    gateway.send((batch) => toManager.join(batch, first, { ...JOIN, user: "ann" }));
    await gateway.sync();
    const one = at(manager, first);
    assert.equal(manager.bind(one, "ann"), false);
    assert.equal(manager.sendToUser("ann", "hi"), 1);
    assert.equal(manager.bind(one, "bob"), true);
    assert.equal(manager.sendToUser("ann", "hi"), 0);
    assert.equal(manager.sendToUser("bob", "hi"), 1);
  });

  test("says no, and sends nothing, of who is dropped, gone, or was never there", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    const [dropped, gone] = [at(manager, first), at(manager, second)];
    manager.bind(dropped, "ann");
    manager.addToGroup(dropped, "red");
    manager.drop(dropped);
    gateway.disconnected(second);
    await gateway.sync();
    for (const one of [dropped, gone, { gateway: 1, id: third }, { gateway: 2, id: first }]) {
      const answers = [
        manager.bind(one, "bob"),
        manager.unbind(one),
        manager.addToGroup(one, "blue"),
        manager.removeFromGroup(one, "red"),
      ];
      assert.deepEqual(answers, [false, false, false, false]);
    }
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual([dropped.user, [...dropped.groups]], ["ann", ["red"]], "what it was is still known");
  });

  test("takes 1 to 128 bytes of UTF-8 for a name, and half a character for none", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    const calls = [
      (name: string) => manager.bind(one, name),
      (name: string) => manager.addToGroup(one, name),
      (name: string) => manager.removeFromGroup(one, name),
      (name: string) => manager.sendToGroup(name, "x"),
      (name: string) => manager.sendToUser(name, "x"),
    ];
    for (const call of calls) {
      for (const name of ["", "x".repeat(129), "é".repeat(65)]) {
        const wrong = { name: "RangeError", message: /name must have 1 to 128 bytes of UTF-8, not \d+$/ };
        assert.throws(() => call(name), wrong);
      }
    }
    assert.deepEqual(await gateway.sync(), []);
    manager.bind(one, "é".repeat(64));
    manager.bind(one, "\ud800");
    assert.deepEqual(await gateway.sync(), [
      ["Bind", first, "é".repeat(64)],
      ["Bind", first, "\ufffd"],
    ]);
    assert.equal(one.user, "\ufffd");
  });
});

describe("a binding that the gateway refuses", () => {
  test("is told, and the session is nobody's at both ends", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    const one = at(manager, first);
    manager.bind(one, "ann");
    gateway.send((batch) => toManager.bindRefused(batch, first, "ann"));
    assert.deepEqual(await gateway.sync(), [
      ["Bind", first, "ann"],
      ["Bind", first, ""],
    ]);
    assert.deepEqual([one.user, manager.sendToUser("ann", "x")], [undefined, 0]);
    assert.deepEqual(told, [`bind refused 1/${first}: ann`]);
  });

  test("does not change what the session was bound to since", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    const one = at(manager, first);
    manager.bind(one, "ann");
    manager.bind(one, "bob");
    await gateway.sync();
    gateway.send((batch) => toManager.bindRefused(batch, first, "ann"));
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual([one.user, told], ["bob", [`bind refused 1/${first}: ann`]]);
  });

  test("is told of a session that was dropped meanwhile, and nothing is sent for it", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    const one = at(manager, first);
    manager.bind(one, "ann");
    manager.drop(one);
    await gateway.sync();
    gateway.send((batch) => toManager.bindRefused(batch, first, "ann"));
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual([one.user, told], [undefined, [`bind refused 1/${first}: ann`]]);
  });

  test("may be answered in its event", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    manager.on("bindRefused", (session, user) => {
      manager.send(session, `${user} is in already`);
      manager.drop(session);
    });
    manager.bind(at(manager, first), "ann");
    await gateway.sync();
    gateway.send((batch) => toManager.bindRefused(batch, first, "ann"));
    assert.deepEqual(await gateway.sync(), [
      ["Bind", first, ""],
      ["Msg", first, "ann is in already"],
      ["Drop", first],
    ]);
  });

  test("of a session that is not there ends the link", async (t) => {
    const { gateway, told } = await startJoined(t, { resumeMs: 0 }, first);
    gateway.send((batch) => toManager.bindRefused(batch, second, "ann"));
    await gateway.untilClosed();
    assert.equal(told.at(-1), "down gateway-1: unexpected-frame");
  });
});

describe("groups", () => {
  test("are told to the gateway as they change, and known of each session", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    assert.equal(manager.addToGroup(one, "red"), true);
    assert.equal(manager.addToGroup(one, "red"), false, "it is in it already");
    assert.equal(manager.addToGroup(one, "blue"), true);
    assert.equal(manager.removeFromGroup(one, "green"), false, "it is not in it");
    assert.equal(manager.removeFromGroup(one, "red"), true);
    assert.deepEqual([...one.groups], ["blue"]);
    assert.deepEqual(await gateway.sync(), [
      ["GroupAdd", first, "red"],
      ["GroupAdd", first, "blue"],
      ["GroupRemove", first, "red"],
    ]);
  });

  test("are no more than the gateway allows a session", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link, { maxGroups: 2 });
    gateway.join(first);
    await gateway.sync();
    const added = ["a", "b", "c"].map((group) => manager.addToGroup(at(manager, first), group));
    assert.deepEqual(added, [true, true, false]);
    manager.removeFromGroup(at(manager, first), "a");
    assert.equal(manager.addToGroup(at(manager, first), "c"), true);
    assert.deepEqual([...at(manager, first).groups], ["b", "c"]);
  });

  test("and the user of a session that is announced again are those that its gateway tells", async (t) => {
    const { manager, gateway } = await startJoined(t);
    const names = { user: "ann", groups: ["red", "blue"] };
    gateway.send((batch) => toManager.join(batch, first, { ...JOIN, rejoin: true, ...names }));
    await gateway.sync();
    const one = at(manager, first);
    assert.deepEqual([one.user, [...one.groups]], ["ann", ["red", "blue"]]);
    assert.equal(manager.addToGroup(one, "red"), false);
    assert.equal(manager.sendToGroup("blue", "hi"), 1);
    assert.deepEqual(await gateway.sync(), [["MsgGroup", "blue", "hi"]]);
  });
});

for (const [kind, frame] of [
  ["group", "MsgGroup"],
  ["user", "MsgUser"],
] as const) {
  describe(`sending to a ${kind}`, () => {
    type Manager = Awaited<ReturnType<typeof startManager>>["manager"];
    const call = (manager: Manager, id: number, name: string, gateway = 1) =>
      kind === "group" ? manager.addToGroup({ gateway, id }, name) : manager.bind({ gateway, id }, name);
    const send = (manager: Manager, name: string, payload: string, gateway?: number) =>
      kind === "group"
        ? manager.sendToGroup(name, payload, gateway)
        : manager.sendToUser(name, payload, gateway);

    test("is one frame to each gateway that has some of it, or to one of them", async (t) => {
      const { manager, link, gateway } = await startJoined(t, {}, first, second);
      const other = await RawGateway.registered(t, link, { name: "gateway-2" });
      const nobody = await RawGateway.registered(t, link, { name: "gateway-3" });
      other.join(first);
      await other.sync();
      for (const id of [first, second]) call(manager, id, "red");
      call(manager, first, "red", 2);
      await Promise.all([gateway.sync(), other.sync()]);
      assert.equal(send(manager, "red", "all"), 3);
      assert.equal(send(manager, "red", "here", 2), 1);
      assert.equal(send(manager, "red", "nowhere", 3), 0);
      assert.equal(send(manager, "blue", "nobody"), 0);
      assert.deepEqual(await gateway.sync(), [[frame, "red", "all"]]);
      assert.deepEqual(await other.sync(), [
        [frame, "red", "all"],
        [frame, "red", "here"],
      ]);
      assert.deepEqual(await nobody.sync(), []);
    });

    test("counts those who can get it: neither the dropped, nor who is gone, nor who is not let in", async (t) => {
      const { manager, gateway } = await startJoined(t, { admit: true }, first, second, third);
      for (const id of [first, second, third]) call(manager, id, "red");
      assert.equal(send(manager, "red", "x"), 0);
      for (const id of [first, second, third]) manager.admit({ gateway: 1, id });
      assert.equal(send(manager, "red", "x"), 3);
      manager.drop(at(manager, first));
      manager.drop(at(manager, first), { discard: true });
      assert.equal(send(manager, "red", "x"), 2);
      gateway.disconnected(first, { by: "manager", reason: "dropped" });
      gateway.disconnected(second);
      await gateway.sync();
      assert.equal(send(manager, "red", "x"), 1);
      gateway.disconnected(third);
      await gateway.sync();
      assert.equal(send(manager, "red", "x"), 0);
      assert.deepEqual(await gateway.sync(), []);
    });

    test("goes nowhere once the gateway is given up", async (t) => {
      const { manager, gateway, told } = await startJoined(t, { resumeMs: 0 }, first);
      call(manager, first, "red");
      const down = new Promise((resolve) => manager.once("gatewayDown", resolve));
      gateway.close();
      await down;
      assert.equal(send(manager, "red", "x"), 0);
      assert.equal(told.length, 2);
    });

    test("is cut where no listener has a framing, and refused where one has", async (t) => {
      const { manager, link, gateway } = await startSmall(t);
      call(manager, first, "réd");
      await gateway.sync();
      const room = MAX_FRAME - 1 - 4;
      const payload = "x".repeat(room);
      assert.equal(send(manager, "réd", `${payload}y`), 1);
      assert.deepEqual(await gateway.sync(), [
        [frame, "réd", payload],
        [frame, "réd", "y"],
      ]);
      const framed = await RawGateway.registered(t, link, {
        name: "web",
        maxFrame: MAX_FRAME,
        endpoints: [web],
      });
      framed.join(first);
      await framed.sync();
      assert.equal(send(manager, "réd", `${payload}y`), 1, "it has nobody of that name");
      call(manager, first, "réd", 2);
      await Promise.all([gateway.sync(), framed.sync()]);
      assert.throws(() => send(manager, "réd", `${payload}y`), {
        name: "RangeError",
        message: new RegExp(`is over the ${room} that gateway 'web' takes in one frame`),
      });
      assert.deepEqual(await gateway.sync(), [], "then it goes to nobody");
      assert.equal(send(manager, "réd", payload), 2);
    });
  });
}
