/** A gateway whose link is cut, as its manager sees it: kept for a while, gone on with, or given up. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { ACK_AFTER_BYTES } from "../../link/acknowledger.ts";
import type { ManagerServer, ManagerServerOptions, Session } from "../../manager-stub/index.ts";
import type * as body from "../../proto/bodies.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { at } from "./joined.ts";
import { JOIN, LEFT, RawGateway, REGISTER, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

const [first, second] = [session(0), session(1)];

/** A gateway that listens and has these sessions, with its epoch; `told` is what the manager tells from then on. */
async function start(t: TestContext, options: ManagerServerOptions = {}, ...joined: readonly number[]) {
  const { manager, link } = await startManager(t, options);
  const gateway = await RawGateway.connect(t, link);
  const { epoch } = await gateway.register();
  gateway.join(...joined);
  gateway.listening();
  await gateway.sync();
  return { manager, link, gateway, epoch, told: recordEvents(manager) };
}

/** Ends the link, and waits until the manager knows. */
async function lose(manager: ManagerServer, gateway: RawGateway): Promise<void> {
  const lost = next(manager, "gatewayLost");
  gateway.socket.end();
  await lost;
}

/** Another link, which asks to go on. */
async function resume(t: TestContext, link: string, epoch: Uint8Array, received = 0) {
  const gateway = await RawGateway.connect(t, link);
  const registered = await gateway.register({ resume: { epoch, received } });
  return { gateway, registered };
}

function say(manager: ManagerServer, ...texts: readonly string[]): void {
  for (const text of texts) assert.equal(manager.send({ gateway: 1, id: first }, text), true);
}

describe("a gateway whose link is cut", () => {
  test("is lost, its sessions are there, and it is up again once it has gone on and listens", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, { capacity: 5 }, first, second);
    const before = at(manager, first);
    await lose(manager, gateway);
    const [view] = manager.gateways;
    assert.deepEqual([view?.health, view?.sessionCount, manager.gateways.length], ["lost", 2, 1]);
    const { gateway: again, registered } = await resume(t, link, epoch);
    const { id, capacity, resumed, received } = registered;
    assert.deepEqual({ id, capacity, resumed, received }, { id: 1, capacity: 5, resumed: true, received: 2 });
    assert.deepEqual(Buffer.from(registered.epoch), Buffer.from(epoch));
    assert.equal(view?.health, "lost", "until it listens");
    again.listening();
    again.message(first, "hello");
    assert.deepEqual(await again.sync(), []);
    assert.equal(manager.gateways[0], view);
    assert.equal(view?.health, "up");
    assert.equal(at(manager, first), before);
    assert.deepEqual(told, ["lost gateway-1: link-closed", "up gateway-1", `message 1/${first}: hello`]);
  });

  test("is told how many frames of it were handled: none that came in part", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first);
    const batch = new FrameBatch();
    toManager.message(batch, first, Buffer.from("whole"), 0, 5);
    toManager.ping(batch, { seq: 1, at: 2, sessions: 0, capacity: 10 });
    toManager.message(batch, first, Buffer.from("cut"), 0, 3);
    const bytes = Buffer.concat(batch.take());
    gateway.socket.write(bytes.subarray(0, bytes.length - 1));
    await until(() => told.length === 1, "the first is handled");
    await lose(manager, gateway);
    const { gateway: again, registered } = await resume(t, link, epoch);
    assert.equal(registered.received, 2);
    again.message(first, "cut");
    await again.sync();
    assert.deepEqual(told, [
      `message 1/${first}: whole`,
      "lost gateway-1: link-closed",
      `message 1/${first}: cut`,
    ]);
  });

  for (const received of [0, 1, 2, 3, 4]) {
    test(`is told again what it lacks of four frames, when it has handled ${received}`, async (t) => {
      const { manager, link, gateway, epoch } = await start(t, {}, first, second);
      say(manager, "one");
      manager.broadcast("two");
      manager.drop(at(manager, second), { reason: "three" });
      say(manager, "four");
      const told = await gateway.sync();
      assert.equal(told.length, 4);
      await lose(manager, gateway);
      const { gateway: again } = await resume(t, link, epoch, received);
      assert.deepEqual(await again.sync(), told.slice(received));
      say(manager, "five");
      assert.deepEqual(await again.sync(), [["Msg", first, "five"]]);
    });
  }

  test("is told what was said meanwhile, behind what it lacks", async (t) => {
    const { manager, link, gateway, epoch } = await start(t, { admit: true }, first);
    manager.admit(at(manager, first));
    say(manager, "one", "two");
    await gateway.sync();
    await lose(manager, gateway);
    say(manager, "three");
    manager.broadcast("four");
    manager.shutdown(1, { drainMs: 5 });
    manager.drop(at(manager, first));
    assert.equal(manager.send({ gateway: 1, id: first }, "too late"), false);
    const { gateway: again } = await resume(t, link, epoch, 2);
    assert.deepEqual(await again.sync(), [
      ["Msg", first, "two"],
      ["Msg", first, "three"],
      ["MsgAll", "four"],
      ["Shutdown", { drainMs: 5 }],
      ["Drop", first],
    ]);
  });

  test("tells what its sessions came to meanwhile, each end once, and has it acknowledged", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first, second);
    gateway.disconnected(first);
    await gateway.sync();
    await lose(manager, gateway);
    const { gateway: again, registered } = await resume(t, link, epoch);
    assert.equal(registered.received, 3);
    again.disconnected(second);
    assert.deepEqual(await again.sync(), [
      ["Drop", first],
      ["Drop", second],
    ]);
    const left = `client client-closed`;
    assert.deepEqual(told, [
      `leave 1/${first}: ${left}`,
      "lost gateway-1: link-closed",
      `leave 1/${second}: ${left}`,
    ]);
  });

  test("may be cut again and again", async (t) => {
    const { manager, link, gateway, epoch } = await start(t, {}, first);
    let current = gateway;
    for (let round = 1; round <= 5; round++) {
      current.message(first, "x");
      say(manager, `${round}`);
      await current.sync();
      await lose(manager, current);
      const { gateway: again, registered } = await resume(t, link, epoch, round - 1);
      assert.equal(registered.received, 1 + round);
      assert.deepEqual(await again.sync(), [["Msg", first, `${round}`]]);
      current = again;
    }
  });

  test("can't have handled less than it has acknowledged: that link is refused, and another may go on", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first);
    say(manager, "one", "two", "three");
    await gateway.sync();
    gateway.send((batch) => toManager.ack(batch, 2));
    await gateway.sync();
    await lose(manager, gateway);
    const refused = next<[string, string]>(manager, "refused");
    const wrong = await RawGateway.connect(t, link);
    wrong.send((batch) => toManager.register(batch, { ...REGISTER, resume: { epoch, received: 1 } }));
    assert.deepEqual(await wrong.untilClosed(), [], "without an answer");
    assert.match((await refused)[1], /received is 1, which is not from 2 to 3/);
    assert.deepEqual(told, ["lost gateway-1: link-closed", "refused: bad-ack"]);
    const { gateway: again } = await resume(t, link, epoch, 2);
    assert.deepEqual(await again.sync(), [["Msg", first, "three"]]);
  });

  test("takes the place of a link that still looks open, which is closed and read no further", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first);
    say(manager, "one");
    await gateway.sync();
    const { gateway: again, registered } = await resume(t, link, epoch);
    assert.deepEqual([registered.id, registered.resumed, registered.received], [1, true, 1]);
    assert.deepEqual(await gateway.untilClosed(), [], "without another frame");
    assert.deepEqual(await again.sync(), [["Msg", first, "one"]]);
    again.message(first, "hello");
    await again.sync();
    assert.deepEqual(told, [`message 1/${first}: hello`], "nobody notices");
    assert.equal(manager.gateways.length, 1);
  });

  test("is acknowledged what it says, at once when it is much", async (t) => {
    const { gateway } = await start(t, {}, first);
    const payload = Buffer.alloc(ACK_AFTER_BYTES / 4);
    for (let i = 0; i < 4; i++) gateway.message(first, payload);
    await until(() => gateway.acknowledged === 5, "it is acknowledged");
  });

  test("has to prove its secret first: nobody else takes its place", async (t) => {
    const secret = "a secret of these tests";
    const { manager, link } = await startManager(t, { secret });
    const hmac = (nonce: Uint8Array, key = secret) =>
      createHmac("sha256", key)
        .update(Buffer.concat([Buffer.from("gateway"), REGISTER.nonce, nonce]))
        .digest();
    const register = async (resume: body.Register["resume"], key?: string) => {
      const gateway = await RawGateway.connect(t, link);
      const [, challenge] = await gateway.askToRegister(resume === undefined ? {} : { resume });
      return { gateway, answer: await gateway.prove(hmac((challenge as body.Challenge).nonce, key)) };
    };
    const { gateway, answer } = await register(undefined);
    const { epoch } = answer[1] as body.Registered;
    gateway.join(first);
    await gateway.sync();
    const thief = await register({ epoch, received: 0 }, "what somebody else has");
    assert.equal(thief.answer[0], "Rejected");
    assert.deepEqual(await gateway.sync(), [], "its link is still open");
    const own = await register({ epoch, received: 0 });
    assert.equal((own.answer[1] as body.Registered).resumed, true);
    await gateway.untilClosed();
    assert.equal(manager.gateways[0]?.sessionCount, 1);
  });
});

describe("a gateway that is given up", () => {
  test("has not come back in time: its sessions leave, and it is down by the code of its loss", async (t) => {
    const { manager, gateway, told } = await start(t, { resumeMs: 4000 }, first, second);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await lose(manager, gateway);
    t.mock.timers.tick(3999);
    assert.equal(manager.gateways.length, 1);
    t.mock.timers.tick(1);
    assert.deepEqual(told, [
      "lost gateway-1: link-closed",
      `leave 1/${first}: gateway manager-lost`,
      `leave 1/${second}: gateway manager-lost`,
      "down gateway-1: link-closed",
    ]);
    assert.deepEqual([manager.gateways, [...manager.sessions()]], [[], []]);
  });

  test("and was gone on with in time is not given up later", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, { resumeMs: 4000 }, first);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await lose(manager, gateway);
    const { gateway: again } = await resume(t, link, epoch);
    t.mock.timers.tick(60_000);
    await again.sync();
    assert.deepEqual(told, ["lost gateway-1: link-closed"]);
  });

  test("gets a new epoch when it comes too late", async (t) => {
    const { manager, link, gateway, epoch } = await start(t, { resumeMs: 0 }, first);
    const down = next(manager, "gatewayDown");
    gateway.close();
    await down;
    const { registered } = await resume(t, link, epoch);
    assert.deepEqual([registered.id, registered.resumed, registered.received], [2, false, 0]);
    assert.notDeepEqual(Buffer.from(registered.epoch), Buffer.from(epoch));
  });

  test("was started anew: the sessions of the one before leave, then it is another", async (t) => {
    const { manager, link, gateway, told } = await start(t, {}, first);
    await lose(manager, gateway);
    const fresh = await RawGateway.connect(t, link);
    const { id, resumed } = await fresh.register();
    assert.deepEqual([id, resumed], [2, false]);
    fresh.join(first);
    fresh.listening();
    await fresh.sync();
    assert.deepEqual(told, [
      "lost gateway-1: link-closed",
      `leave 1/${first}: gateway manager-lost`,
      "down gateway-1: replaced",
      `join 2/${first}`,
      "up gateway-1",
    ]);
  });

  test("has an epoch that nobody may guess while its link is up", async (t) => {
    const { manager, link, gateway } = await start(t, {}, first);
    const other = await RawGateway.connect(t, link);
    const answer = await other.askToRegister({ resume: { epoch: Buffer.alloc(16), received: 0 } });
    assert.deepEqual([answer[0], (answer[1] as body.Rejected).code], ["Rejected", "name-taken"]);
    assert.deepEqual(await gateway.sync(), []);
    assert.equal(manager.gateways.length, 1);
  });

  test("has handled more than there was: bad-ack, and it may begin anew", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first);
    say(manager, "one", "two", "three");
    await gateway.sync();
    await lose(manager, gateway);
    const refused = next<[string, string]>(manager, "refused");
    const liar = await RawGateway.connect(t, link);
    liar.send((batch) => toManager.register(batch, { ...REGISTER, resume: { epoch, received: 4 } }));
    assert.deepEqual(await liar.untilClosed(), [], "without an answer");
    assert.match((await refused)[1], /received is 4, which is not from 0 to 3/);
    assert.deepEqual(told, [
      "lost gateway-1: link-closed",
      `leave 1/${first}: gateway manager-lost`,
      "down gateway-1: bad-ack",
      "refused: bad-ack",
    ]);
    const { registered } = await resume(t, link, epoch);
    assert.deepEqual([registered.id, registered.resumed], [2, false]);
  });

  test("has broken a rule: what it had is not gone on with", async (t) => {
    const { manager, link, gateway, epoch, told } = await start(t, {}, first);
    const down = next(manager, "gatewayDown");
    gateway.message(second, "who am I?");
    await down;
    assert.deepEqual(told, [`leave 1/${first}: gateway manager-lost`, "down gateway-1: unexpected-frame"]);
    const { registered } = await resume(t, link, epoch);
    assert.equal(registered.resumed, false);
  });

  test("has said that it ends, and is not waited for", async (t) => {
    const { manager, gateway, told } = await start(t, {}, first);
    gateway.send((batch) => toManager.draining(batch, { reason: "SIGTERM", drainMs: 0 }));
    await gateway.sync();
    const down = next(manager, "gatewayDown");
    gateway.close();
    await down;
    assert.deepEqual(told, [
      "draining gateway-1",
      `leave 1/${first}: gateway manager-lost`,
      "down gateway-1: link-closed",
    ]);
  });

  test("is sent more than may wait for it while it is lost", async (t) => {
    const { manager, gateway, told } = await start(t, { sendBufferBytes: 2 ** 20 }, first);
    await lose(manager, gateway);
    const payload = Buffer.alloc(60_000);
    const ref = { gateway: 1, id: first };
    let sent = 0;
    while (sent < 1000 && manager.send(ref, payload)) sent++;
    assert.ok(sent >= 17 && sent < 19, `${sent} were taken`);
    assert.deepEqual(told, [
      "lost gateway-1: link-closed",
      `leave 1/${first}: gateway manager-lost`,
      "down gateway-1: send-buffer",
    ]);
  });

  test("acknowledges nothing: more than may be kept for it ends it too", async (t) => {
    const { manager, gateway } = await start(t, { sendBufferBytes: 2 ** 20 }, first);
    const down = next<[unknown, string]>(manager, "gatewayDown");
    const payload = Buffer.alloc(60_000);
    for (let sent = 0; manager.gateways.length > 0 && sent < 1000; sent++) {
      manager.send({ gateway: 1, id: first }, payload);
      await gateway.sync().catch(() => {});
    }
    assert.equal((await down)[1], "send-buffer");
  });

  test("acknowledges everything, and may be sent any amount", async (t) => {
    const { manager, gateway, told } = await start(t, { sendBufferBytes: 2 ** 20 }, first);
    const payload = "x".repeat(60_000);
    for (let sent = 1; sent <= 60; sent++) {
      say(manager, payload);
      await gateway.sync();
      gateway.send((batch) => toManager.ack(batch, sent));
      await gateway.sync();
    }
    assert.deepEqual(told, []);
  });

  test("is lost when its manager closes", async (t) => {
    const { manager, gateway, told } = await start(t, {}, first);
    await lose(manager, gateway);
    await manager.close();
    assert.deepEqual(told, [
      "lost gateway-1: link-closed",
      `leave 1/${first}: gateway manager-lost`,
      "down gateway-1: manager-closed",
    ]);
  });
});

describe("a client that is announced again", () => {
  const again = { ...JOIN, user: "anna", rejoin: true, admitted: true, lostBytes: 17 };

  test("is told with what was lost of it, and that it was here before", async (t) => {
    const { manager, gateway } = await start(t);
    const joined = next<[Session]>(manager, "join");
    gateway.send((batch) => toManager.join(batch, first, again));
    const [{ rejoined, lostBytes, admitted, user, joinedAt }] = await joined;
    assert.deepEqual(
      { rejoined, lostBytes, admitted, user, joinedAt },
      {
        rejoined: true,
        lostBytes: 17,
        admitted: true,
        user: "anna",
        joinedAt: JOIN.at,
      },
    );
  });

  test("is in where one has admitted it, and waits where none has", async (t) => {
    const { manager, gateway } = await start(t, { admit: true });
    gateway.send((batch) => {
      toManager.join(batch, first, again);
      toManager.join(batch, second, { ...again, admitted: false });
    });
    gateway.message(first, "hello");
    await gateway.sync();
    assert.deepEqual([at(manager, first).admitted, at(manager, second).admitted], [true, false]);
    assert.deepEqual([manager.admit(at(manager, first)), manager.admit(at(manager, second))], [false, true]);
    assert.deepEqual(await gateway.sync(), [["Admit", second]]);
  });

  test("may be one more than the manager would have let in", async (t) => {
    const { manager, gateway } = await start(t, { capacity: 1 }, first);
    gateway.send((batch) => toManager.join(batch, second, again));
    await gateway.sync();
    assert.equal(manager.gateways[0]?.sessionCount, 2);
    gateway.disconnected(first, LEFT);
    await gateway.sync();
    assert.equal(manager.gateways[0]?.sessionCount, 1);
  });
});
