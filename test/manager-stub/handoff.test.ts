/** Sessions that go to another manager of their gateway, and come from one: what a manager says, is told, and owes. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { ACK_AFTER_BYTES } from "../../link/acknowledger.ts";
import { HandoffError, type ManagerServerOptions, type Session } from "../../manager-stub/index.ts";
import { handoffRefusals, type Join } from "../../proto/bodies.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { at, startJoined } from "./joined.ts";
import { JOIN, RawGateway, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

const [first, second] = [session(0), session(1)];

/** A manager that is handing its first session over; `outcome` is what came of it, once something did. */
async function startHandingOver(t: TestContext, options: ManagerServerOptions = {}) {
  const joined = await startJoined(t, options, first, second);
  const outcome = outcomeOf(joined.manager.handoff({ gateway: 1, id: first }, "battle"));
  assert.deepEqual(await joined.gateway.sync(), [["Handoff", first, "battle"]]);
  return { ...joined, one: at(joined.manager, first), outcome };
}

/** `done`, or the code of what a handoff was rejected with. */
function outcomeOf(handoff: Promise<void>): Promise<string> {
  return handoff.then(
    () => "done",
    (error: Error) => (error instanceof HandoffError ? error.code : error.name),
  );
}

describe("a session that is handed over", () => {
  test("is told to the gateway at once, with data or without, as much as may be", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    const most = Buffer.alloc(61_440, "x");
    const name = "é".repeat(64);
    const outcomes = [
      outcomeOf(manager.handoff(at(manager, first), "battle")),
      outcomeOf(manager.handoff({ gateway: 1, id: second }, name, most)),
    ];
    assert.deepEqual(await gateway.sync(), [
      ["Handoff", first, "battle"],
      ["Handoff", second, name, most.toString()],
    ]);
    for (const id of [first, second]) gateway.handedOver(id);
    assert.deepEqual(await Promise.all(outcomes), ["done", "done"]);
  });

  test("leaves as handoff, and is not acknowledged", async (t) => {
    const { manager, gateway, told, one, outcome } = await startHandingOver(t);
    gateway.handedOver(first);
    assert.deepEqual(await gateway.sync(), [], "no Drop");
    assert.equal(await outcome, "done");
    assert.deepEqual(told, [`leave 1/${first}: manager handoff`]);
    assert.deepEqual([manager.session(one), one.dropped], [undefined, true]);
  });

  test("is gone already when its handoff is done", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    let left = false;
    manager.on("leave", () => {
      left = true;
    });
    const handoff = manager.handoff({ gateway: 1, id: first }, "battle").then(() => left);
    gateway.handedOver(first);
    assert.equal(await handoff, true);
  });

  test("can neither be sent to, nor named, nor dropped, meanwhile", async (t) => {
    const { manager, gateway, one } = await startHandingOver(t);
    const answers = [
      manager.send(one, "x"),
      manager.sendMany([one], "x"),
      manager.bind(one, "ann"),
      manager.unbind(one),
      manager.addToGroup(one, "red"),
      manager.removeFromGroup(one, "red"),
      manager.admit(one),
      manager.drop(one),
      manager.drop(one, { discard: true }),
    ];
    assert.deepEqual(answers, [false, 0, false, false, false, false, false, false, false]);
    assert.deepEqual(await gateway.sync(), []);
    assert.equal(one.dropped, false);
  });

  test("does not count for its user and its groups, and does again when it was refused", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    for (const id of [first, second]) {
      manager.bind(at(manager, id), "ann");
      manager.addToGroup(at(manager, id), "red");
    }
    await gateway.sync();
    const counts = () => [manager.sendToUser("ann", "x"), manager.sendToGroup("red", "x")];
    assert.deepEqual(counts(), [2, 2]);
    const outcome = outcomeOf(manager.handoff(at(manager, first), "battle"));
    assert.deepEqual(counts(), [1, 1]);
    gateway.refuseHandoff(first);
    await outcome;
    assert.deepEqual(counts(), [2, 2]);
    const again = outcomeOf(manager.handoff(at(manager, first), "battle"));
    gateway.handedOver(first);
    await again;
    assert.deepEqual(counts(), [1, 1]);
    gateway.disconnected(second);
    await gateway.sync();
    assert.deepEqual(counts(), [0, 0]);
  });

  test("is handed over once at a time", async (t) => {
    const { manager, gateway, one, outcome } = await startHandingOver(t);
    assert.equal(await outcomeOf(manager.handoff(one, "elsewhere")), "under-way");
    gateway.handedOver(first);
    assert.equal(await outcome, "done");
    assert.deepEqual(await gateway.sync(), []);
  });

  test("must be there, and not dropped", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    const gone = at(manager, second);
    manager.drop(at(manager, first));
    gateway.disconnected(second);
    await gateway.sync();
    for (const ref of [at(manager, first), gone, { gateway: 1, id: session(7) }, { gateway: 9, id: first }])
      assert.equal(await outcomeOf(manager.handoff(ref, "battle")), "no-session");
    assert.deepEqual(await gateway.sync(), []);
  });

  test("goes to a name of 1 to 64 characters, with 61,440 bytes at most", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    const wrong = [
      ["", undefined, "the length of a manager's name must be a whole number from 1 to 64, not 0"],
      [
        "x".repeat(65),
        undefined,
        "the length of a manager's name must be a whole number from 1 to 64, not 65",
      ],
      [
        "battle",
        Buffer.alloc(61_441),
        "the length of data must be a whole number from 0 to 61440, not 61441",
      ],
    ] as const;
    for (const [name, data, message] of wrong)
      await assert.rejects(manager.handoff(one, name, data), { name: "RangeError", message });
    assert.equal(manager.send(one, "x"), true, "it is where it was");
    assert.deepEqual(await gateway.sync(), [["Msg", first, "x"]]);
  });

  test("takes data as text too, and nothing else, whoever calls it", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    for (const [name, data, message] of [
      ["battle", { level: 3 }, "a payload must be text or bytes, not object"],
      [undefined, undefined, "a manager's name must be text, not undefined"],
    ] as unknown as [string, string, string][])
      await assert.rejects(manager.handoff(one, name, data), { name: "TypeError", message });
    manager.handoff(one, "battle", "level 3 é").catch(() => {});
    assert.deepEqual(await gateway.sync(), [["Handoff", first, "battle", "level 3 é"]]);
  });
});

describe("what a client says while its session is handed over", () => {
  const say = (gateway: RawGateway, ...texts: readonly string[]) => {
    for (const text of texts) gateway.message(first, text);
  };
  const heard = (...texts: readonly string[]) => texts.map((text) => `message 1/${first}: ${text}`);

  test("is behind all that the manager had read by then", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    say(gateway, "one", "two");
    await gateway.sync();
    outcomeOf(manager.handoff(at(manager, first), "battle"));
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [4]);
  });

  test("is behind the message at which it is", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first, second);
    manager.on("message", (session, payload) => {
      if (`${payload}` === "go") outcomeOf(manager.handoff(session, "battle"));
    });
    say(gateway, "one", "go", "three");
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [4]);
    assert.deepEqual(told, heard("one", "go"));
  });

  test("is the other manager's, once it has gone there", async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t);
    say(gateway, "one", "", "three");
    gateway.handedOver(first, 2);
    assert.equal(await outcome, "done");
    assert.deepEqual(told, [`leave 1/${first}: manager handoff`]);
  });

  test("is its own as far as the gateway says", async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t);
    say(gateway, "one", "two", "three");
    gateway.handedOver(first, 4);
    assert.equal(await outcome, "done");
    assert.deepEqual(told, [...heard("one", "two"), `leave 1/${first}: manager handoff`]);
  });

  test("is its own where the gateway does not know that it could be another's", async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t);
    say(gateway, "before the gateway knew");
    gateway.handedOver(first);
    assert.equal(await outcome, "done");
    assert.deepEqual(told, [...heard("before the gateway knew"), `leave 1/${first}: manager handoff`]);
  });

  test("is its own where the session ends by itself, and comes before the end", async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t);
    say(gateway, "one", "two");
    gateway.disconnected(first);
    assert.equal(await outcome, "session-ended");
    assert.deepEqual(told, [...heard("one", "two"), `leave 1/${first}: client client-closed`]);
  });

  test("is its own where the handoff is refused, and comes before what is said later", async (t) => {
    const { manager, gateway, told, outcome } = await startHandingOver(t);
    say(gateway, "one", "", "three");
    await gateway.sync();
    assert.deepEqual(told, [], "nothing until it is known");
    gateway.refuseHandoff(first);
    say(gateway, "four");
    assert.equal(await outcome, "no-slot");
    await gateway.sync();
    assert.deepEqual(told, heard("one", "", "three", "four"));
    outcomeOf(manager.handoff(at(manager, first), "battle"));
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [2, 7], "what it was told since, it has read");
  });

  test("is the other manager's again where one of it has the session handed over once more", async (t) => {
    const { manager, gateway, told } = await startHandingOver(t);
    manager.on("message", (session) => void outcomeOf(manager.handoff(session, "elsewhere")));
    say(gateway, "one", "two", "three");
    gateway.refuseHandoff(first);
    say(gateway, "four");
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [2, 3], "two joins, and one message");
    assert.deepEqual(told, heard("one"));
    gateway.refuseHandoff(first);
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [2, 3, 4]);
    gateway.handedOver(first, 4);
    await gateway.sync();
    assert.deepEqual(told, [...heard("one", "two"), `leave 1/${first}: manager handoff`]);
  });

  test("holds up nobody else", async (t) => {
    const { manager, gateway, told } = await startHandingOver(t);
    gateway.message(second, "hello");
    await gateway.sync();
    assert.deepEqual(told, [`message 1/${second}: hello`]);
    outcomeOf(manager.handoff(at(manager, second), "battle"));
    await gateway.sync();
    assert.deepEqual(gateway.readAtHandoff, [2, 3]);
    say(gateway, "x".repeat(ACK_AFTER_BYTES));
    await gateway.sync();
    assert.equal(gateway.acknowledged, 2, "what is behind the first of them is not acknowledged");
  });

  test("is not acknowledged before it is known whose it is", async (t) => {
    const { gateway } = await startHandingOver(t);
    say(gateway, "x".repeat(ACK_AFTER_BYTES));
    await gateway.sync();
    assert.equal(gateway.acknowledged, 2);
    gateway.refuseHandoff(first);
    await gateway.sync();
    assert.equal(gateway.acknowledged, 4, "and at once then");
  });

  test("is let go of with each handoff, however many there are", async (t) => {
    const { manager, gateway, told } = await startHandingOver(t, { sendBufferBytes: 2 ** 20 });
    for (let round = 0; round < 3; round++) {
      say(gateway, "x".repeat(2 ** 19));
      gateway.refuseHandoff(first);
      await gateway.sync();
      outcomeOf(manager.handoff(at(manager, first), "battle"));
    }
    assert.equal(told.length, 3);
  });

  test("ends the link where it is more than is held", async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t, { sendBufferBytes: 2 ** 20 });
    const most = "x".repeat(2 ** 19 - 12);
    say(gateway, most, most);
    await gateway.sync();
    say(gateway, "");
    await gateway.untilClosed();
    assert.equal(await outcome, "gateway-lost");
    assert.equal(told.at(-1), "down gateway-1: send-buffer");
  });
});

describe("a handoff that the gateway refuses", () => {
  for (const code of [...handoffRefusals, "a code of a later version"]) {
    test(`as ${code} leaves the session as it was`, async (t) => {
      const { manager, gateway, told, one, outcome } = await startHandingOver(t);
      gateway.refuseHandoff(first, code);
      assert.equal(await outcome, code);
      assert.deepEqual([manager.send(one, "still here"), manager.drop(one)], [true, true]);
      assert.deepEqual(await gateway.sync(), [
        ["Msg", first, "still here"],
        ["Drop", first],
      ]);
      assert.deepEqual(told, []);
    });
  }

  test("says why", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const refused = assert.rejects(manager.handoff(at(manager, first), "battle"), {
      name: "HandoffError",
      code: "no-slot",
      message: "refused as no-slot",
    });
    gateway.refuseHandoff(first);
    await refused;
  });

  test("may be tried again", async (t) => {
    const { manager, gateway, one, outcome } = await startHandingOver(t);
    gateway.refuseHandoff(first);
    assert.equal(await outcome, "no-slot");
    const again = outcomeOf(manager.handoff(one, "elsewhere"));
    assert.deepEqual(await gateway.sync(), [["Handoff", first, "elsewhere"]]);
    gateway.handedOver(first);
    assert.equal(await again, "done");
    assert.deepEqual(await gateway.sync(), []);
  });

  test("because the session waits to be admitted can be once it is", async (t) => {
    const { manager, gateway } = await startJoined(t, { admit: true }, first);
    const one = at(manager, first);
    const outcome = outcomeOf(manager.handoff(one, "battle"));
    gateway.refuseHandoff(first, "not-admitted");
    assert.equal(await outcome, "not-admitted");
    assert.equal(manager.admit(one), true);
    const again = outcomeOf(manager.handoff(one, "battle"));
    gateway.handedOver(first);
    assert.equal(await again, "done");
    assert.deepEqual(await gateway.sync(), [
      ["Handoff", first, "battle"],
      ["Admit", first],
      ["Handoff", first, "battle"],
    ]);
  });

  test("does not give back a user that was refused meanwhile", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const one = at(manager, first);
    manager.bind(one, "ann");
    const outcome = outcomeOf(manager.handoff(one, "battle"));
    await gateway.sync();
    gateway.send((batch) => toManager.bindRefused(batch, first, "ann"));
    gateway.refuseHandoff(first);
    assert.equal(await outcome, "no-slot");
    assert.deepEqual([one.user, manager.sendToUser("ann", "x")], [undefined, 0]);
    assert.deepEqual(await gateway.sync(), [["Bind", first, ""]]);
  });
});

for (const [what, id] of [
  ["of a session that was not to be handed over", second],
  ["of a session that is not there", session(7)],
] as const) {
  test(`a HandoffRefused ${what} ends the link`, async (t) => {
    const { gateway, told, outcome } = await startHandingOver(t, { resumeMs: 0 });
    gateway.refuseHandoff(id);
    await gateway.untilClosed();
    assert.equal(told.at(-1), "down gateway-1: unexpected-frame");
    assert.equal(await outcome, "gateway-lost");
  });
}

test("a second HandoffRefused ends the link", async (t) => {
  const { gateway, told, outcome } = await startHandingOver(t, { resumeMs: 0 });
  gateway.refuseHandoff(first);
  gateway.refuseHandoff(first);
  await gateway.untilClosed();
  assert.equal(await outcome, "no-slot");
  assert.equal(told.at(-1), "down gateway-1: unexpected-frame");
});

describe("a session that ends while it is being handed over", () => {
  for (const [by, reason] of [
    ["client", "client-closed"],
    ["gateway", "slow-consumer"],
    ["gateway", "shutdown"],
  ] as const) {
    test(`by ${reason} is acknowledged as ever`, async (t) => {
      const { gateway, told, outcome } = await startHandingOver(t);
      gateway.disconnected(first, { by, reason });
      assert.equal(await outcome, "session-ended");
      assert.deepEqual(await gateway.sync(), [["Drop", first]]);
      assert.deepEqual(told, [`leave 1/${first}: ${by} ${reason}`]);
    });
  }

  test("and whose end crosses the Handoff is acknowledged behind it", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    gateway.disconnected(first);
    const outcome = outcomeOf(manager.handoff({ gateway: 1, id: first }, "battle"));
    assert.deepEqual(await gateway.sync(), [
      ["Handoff", first, "battle"],
      ["Drop", first],
    ]);
    assert.equal(await outcome, "session-ended");
  });

  test("because its gateway is given up tells so, before anything can be sent to it", async (t) => {
    const { manager, gateway, told, one, outcome } = await startHandingOver(t, { resumeMs: 0 });
    const down = next(manager, "gatewayDown");
    gateway.close();
    await down;
    assert.equal(await outcome, "gateway-lost");
    assert.equal(manager.send(one, "x"), false);
    assert.deepEqual(told.slice(0, 2), [
      `leave 1/${first}: gateway manager-lost`,
      `leave 1/${second}: gateway manager-lost`,
    ]);
  });

  test("because its manager closes tells so", async (t) => {
    const { manager, outcome } = await startHandingOver(t);
    await manager.close();
    assert.equal(await outcome, "gateway-lost");
  });

  test("because too much waits for its gateway tells so at once", async (t) => {
    const { manager, gateway } = await startJoined(t, { sendBufferBytes: 2 ** 20 }, first, second);
    const lost = next(manager, "gatewayLost");
    gateway.close();
    await lost;
    for (let sent = 0; sent < 17; sent++) manager.send({ gateway: 1, id: second }, Buffer.alloc(60_000));
    const data = Buffer.alloc(61_440);
    assert.equal(await outcomeOf(manager.handoff({ gateway: 1, id: first }, "battle", data)), "gateway-lost");
    assert.equal(manager.gateways.length, 0);
  });
});

describe("a gateway that is lost while it hands a session over, and comes back", () => {
  async function cut(t: TestContext) {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.connect(t, link);
    const { epoch } = await gateway.register();
    gateway.join(first);
    gateway.listening();
    await gateway.sync();
    const outcome = outcomeOf(manager.handoff({ gateway: 1, id: first }, "battle", Buffer.from("level 3")));
    const told = recordEvents(manager);
    await gateway.sync();
    const lost = next(manager, "gatewayLost");
    gateway.close();
    await lost;
    const resume = async (received: number) => {
      const again = await RawGateway.connect(t, link);
      await again.register({ resume: { epoch, received } });
      assert.deepEqual(await again.sync(), received === 0 ? [HANDOFF] : []);
      return again;
    };
    return { manager, link, outcome, told, resume };
  }
  const HANDOFF = ["Handoff", first, "battle", "level 3"];

  test("hears it again when it has not heard it, and does it", async (t) => {
    const { outcome, told, resume } = await cut(t);
    const gateway = await resume(0);
    gateway.handedOver(first);
    assert.equal(await outcome, "done");
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual(told, ["lost gateway-1: link-closed", `leave 1/${first}: manager handoff`]);
  });

  test("has done it meanwhile", async (t) => {
    const { outcome, resume } = await cut(t);
    const gateway = await resume(1);
    gateway.handedOver(first);
    assert.equal(await outcome, "done");
    assert.deepEqual(await gateway.sync(), []);
  });

  test("has refused it meanwhile", async (t) => {
    const { manager, outcome, resume } = await cut(t);
    const gateway = await resume(1);
    assert.equal(manager.send({ gateway: 1, id: first }, "x"), false, "nobody knows yet");
    gateway.refuseHandoff(first);
    assert.equal(await outcome, "no-slot");
    assert.equal(manager.send({ gateway: 1, id: first }, "x"), true);
  });

  test("has lost the client meanwhile", async (t) => {
    const { outcome, resume } = await cut(t);
    const gateway = await resume(1);
    gateway.disconnected(first);
    assert.equal(await outcome, "session-ended");
    assert.deepEqual(await gateway.sync(), [["Drop", first]]);
  });

  test("says again what its clients said meanwhile, and it is told once", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.connect(t, link);
    const { epoch } = await gateway.register();
    gateway.join(first, second);
    gateway.listening();
    await gateway.sync();
    const outcome = outcomeOf(manager.handoff({ gateway: 1, id: first }, "battle"));
    const told = recordEvents(manager);
    const speeches = (to: RawGateway) => {
      to.message(first, "one");
      to.message(second, "two");
    };
    speeches(gateway);
    const lost = next(manager, "gatewayLost");
    gateway.socket.end();
    await lost;
    const again = await RawGateway.connect(t, link);
    const { resumed, received } = await again.register({ resume: { epoch, received: 0 } });
    assert.deepEqual([resumed, received], [true, 2], "none of it is acknowledged");
    speeches(again);
    again.message(second, "three");
    again.refuseHandoff(first);
    assert.equal(await outcome, "no-slot");
    assert.deepEqual(told, [
      `message 1/${second}: two`,
      "lost gateway-1: link-closed",
      `message 1/${second}: three`,
      `message 1/${first}: one`,
    ]);
  });

  test("is another epoch's when it does not: then nothing is known of it", async (t) => {
    const { link, outcome, told } = await cut(t);
    await RawGateway.registered(t, link);
    assert.equal(await outcome, "gateway-lost");
    assert.deepEqual(told.at(-1), "down gateway-1: replaced");
  });
});

describe("a session that comes from another manager", () => {
  const moved: Join = {
    ...JOIN,
    user: "ann",
    groups: ["red"],
    context: "shard-3",
    admitted: true,
    from: "login",
    fromSession: 2_097_159,
  };

  /** Tells a manager of such a session, and gives what its `join` told. */
  async function joined(t: TestContext, options: ManagerServerOptions, join: Join) {
    const started = await startJoined(t, options);
    const event = next<[Session, Buffer?]>(started.manager, "join");
    started.gateway.send((batch) => toManager.join(batch, first, join));
    const [one, data] = await event;
    return { ...started, one, data };
  }

  test("tells where it comes from, and has what it had there", async (t) => {
    const { manager, one, data } = await joined(t, {}, moved);
    assert.deepEqual(one.from, { manager: "login", session: 2_097_159 });
    assert.deepEqual([one.user, one.context, [...one.groups]], ["ann", "shard-3", ["red"]]);
    assert.deepEqual([one.rejoined, one.admitted, data], [false, true, undefined]);
    assert.deepEqual([manager.sendToUser("ann", "x"), manager.sendToGroup("red", "x")], [1, 1]);
  });

  test("is in at once where others have to be admitted", async (t) => {
    const { manager, gateway, one, told } = await joined(t, { admit: true }, moved);
    assert.equal(manager.admit(one), false);
    gateway.message(first, "hello");
    await gateway.sync();
    assert.equal(told.at(-1), `message 1/${first}: hello`);
  });

  test("tells what was given along once, for its receiver to keep", async (t) => {
    const { manager, gateway, one, data } = await joined(t, {}, { ...moved, data: Buffer.from("level 3") });
    for (let id = 2; id < 12; id++) {
      const other = { ...moved, data: Buffer.alloc(10_000, id) };
      gateway.send((batch) => toManager.join(batch, session(id), other));
      await gateway.sync();
    }
    assert.equal(data?.toString(), "level 3");
    assert.equal(Object.hasOwn(one, "data"), false);
    assert.deepEqual(one, at(manager, first));
  });

  test("tells that nothing was given along, or that it was empty", async (t) => {
    assert.equal((await joined(t, {}, { ...moved, data: Buffer.alloc(0) })).data?.length, 0);
    assert.equal((await joined(t, {}, moved)).data, undefined);
  });

  test("was somebody's who is lost: it is announced again, with what was lost", async (t) => {
    const { one } = await joined(t, {}, { ...moved, rejoin: true, lostBytes: 17 });
    assert.deepEqual([one.rejoined, one.lostBytes, one.from?.manager], [true, 17, "login"]);
  });

  test("may be handed on, and come back", async (t) => {
    const { manager, gateway, told, one } = await joined(t, {}, moved);
    const outcome = outcomeOf(manager.handoff(one, "login"));
    gateway.handedOver(first);
    gateway.send((batch) => toManager.join(batch, second, { ...moved, fromSession: 3_145_735 }));
    assert.deepEqual(await gateway.sync(), [["Handoff", first, "login"]]);
    assert.equal(await outcome, "done");
    assert.deepEqual(told, [`join 1/${first}`, `leave 1/${first}: manager handoff`, `join 1/${second}`]);
    assert.equal(at(manager, second).from?.session, 3_145_735);
  });
});
