import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { at, startJoined } from "./joined.ts";
import { JOIN, LEFT, RawGateway, session } from "./raw-gateway.ts";

const [first, second, third] = [session(0), session(1), session(2)];

/** How it is with a client that has just joined. */
const NEW = { groups: new Set<string>(), rejoined: false, lostBytes: 0, admitted: true, dropped: false };

describe("a client that joins", () => {
  test("is told with all that its gateway says of it", async (t) => {
    const { manager, gateway } = await startJoined(t);
    const joined = next<[Session]>(manager, "join");
    gateway.join(first);
    const { at: joinedAt, ...rest } = JOIN;
    const own = { gateway: 1, id: first, serial: 1, framing: "none", ...NEW };
    assert.deepEqual((await joined)[0], { ...own, ...rest, joinedAt });
  });

  test("is told with all that its handshake has shown", async (t) => {
    const { manager, gateway } = await startJoined(t);
    const shown = {
      framing: "websocket",
      proxy: "10.0.0.1",
      sni: "play.example.org",
      alpn: "http/1.1",
      certificate: { name: "anna", fingerprint: "ab".repeat(32) },
      path: "/play",
      query: "room=7",
      subprotocol: "game.v2",
      headers: { "user-agent": "game/1.2" },
      user: "anna",
      context: "shard-3",
    };
    gateway.send((batch) => toManager.join(batch, first, { ...JOIN, ...shown }));
    await gateway.sync();
    const { at: joinedAt, ...rest } = JOIN;
    const own = { gateway: 1, id: first, serial: 1, joinedAt, ...NEW };
    assert.deepEqual(at(manager, first), { ...own, ...rest, ...shown });
  });

  test("is the same object wherever it is spoken of", async (t) => {
    const { manager, gateway } = await startJoined(t);
    const seen: Session[] = [];
    const see = (one: Session) => {
      seen.push(one);
    };
    manager.on("join", see).on("message", see).on("leave", see);
    gateway.join(first);
    gateway.message(first, "hello");
    await gateway.sync();
    seen.push(at(manager, first), ...manager.sessions(), ...manager.sessions(1));
    gateway.disconnected(first);
    await gateway.sync();
    assert.equal(seen.length, 6);
    assert.equal(new Set(seen).size, 1);
  });

  test("is listed with the others, in the order in which they joined, and counted", async (t) => {
    const { manager, link, gateway } = await startJoined(t, {}, third, first);
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    other.join(first);
    await other.sync();
    gateway.join(second);
    await gateway.sync();
    const list = (id?: number) => [...manager.sessions(id)].map((one) => [one.gateway, one.id, one.serial]);
    const mine = [
      [1, third, 1],
      [1, first, 2],
      [1, second, 4],
    ];
    assert.deepEqual(list(1), mine);
    assert.deepEqual(list(2), [[2, first, 3]]);
    assert.deepEqual(list(), [...mine, [2, first, 3]]);
    assert.deepEqual(list(99), []);
    assert.deepEqual(
      manager.gateways.map((one) => one.sessionCount),
      [3, 1],
    );
  });
});

describe("what a client says", () => {
  test("is told in order, with who said it", async (t) => {
    const { gateway, told } = await startJoined(t, {}, first, second);
    gateway.send((batch) => {
      for (const [id, text] of [
        [first, "a"],
        [second, "b"],
        [first, "c"],
        [first, ""],
      ] as const)
        toManager.message(batch, id, Buffer.from(text), 0, text.length);
    });
    await gateway.sync();
    const said = [[first, "a"] as const, [second, "b"] as const, [first, "c"] as const, [first, ""] as const];
    assert.deepEqual(
      told,
      said.map(([id, text]) => `message 1/${id}: ${text}`),
    );
  });

  test("is the receiver's to keep", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const kept: Buffer[] = [];
    manager.on("message", (_session, payload) => kept.push(payload));
    const sent: Buffer[] = [];
    for (let i = 0; i < 20; i++) {
      const payload = Buffer.alloc(10_000, i);
      sent.push(payload);
      gateway.message(first, payload);
      await gateway.sync();
    }
    assert.deepEqual(kept, sent);
  });

  test("still comes after it was dropped, until its end is told", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    manager.drop(at(manager, first));
    gateway.message(first, "late");
    gateway.disconnected(first, { by: "manager", reason: "dropped" });
    await gateway.sync();
    assert.deepEqual(told, [`message 1/${first}: late`, `leave 1/${first}: manager dropped`]);
  });
});

describe("a client that leaves", () => {
  test("is told once, with its end as it was, and is then unknown", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first, second);
    const left: [Session, SessionEnd][] = [];
    manager.on("leave", (...event) => left.push(event));
    const was = at(manager, first);
    gateway.disconnected(first);
    await gateway.sync();
    assert.deepEqual(left, [[was, LEFT]]);
    assert.equal(left[0]?.[0], was);
    assert.equal(manager.session(was), undefined);
    assert.deepEqual(
      [...manager.sessions()].map((one) => one.id),
      [second],
    );
  });

  test("by itself is acknowledged once, by a Drop without a body", async (t) => {
    const { gateway } = await startJoined(t, {}, first);
    gateway.disconnected(first);
    assert.deepEqual(await gateway.sync(), [["Drop", first]]);
    assert.deepEqual(await gateway.sync(), []);
  });

  test("by its gateway's doing is acknowledged too", async (t) => {
    const { gateway } = await startJoined(t, {}, first);
    gateway.disconnected(first, { by: "gateway", reason: "slow-consumer" });
    assert.deepEqual(await gateway.sync(), [["Drop", first]]);
  });

  for (const discard of [false, true]) {
    test(`after the manager's ${discard ? "DropDiscard" : "Drop"} is not acknowledged`, async (t) => {
      const { manager, gateway, told } = await startJoined(t, {}, first);
      manager.drop(at(manager, first), { discard });
      assert.deepEqual(await gateway.sync(), [[discard ? "DropDiscard" : "Drop", first]]);
      gateway.disconnected(first, { by: "manager", reason: discard ? "drop-discarded" : "dropped" });
      assert.deepEqual(await gateway.sync(), []);
      assert.equal(told.length, 1);
    });
  }

  test("while the manager drops it gets one Drop, which is the acknowledgement", async (t) => {
    const { manager, gateway, told } = await startJoined(t, {}, first);
    gateway.disconnected(first);
    assert.equal(manager.drop(at(manager, first), { reason: "crossing" }), true);
    assert.deepEqual(await gateway.sync(), [["Drop", first, { reason: "crossing" }]]);
    assert.deepEqual(told, [`leave 1/${first}: client client-closed`]);
  });

  test("can't be sent to or dropped from the handler that is told", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, first);
    const answers: boolean[] = [];
    manager.on("leave", (one) => answers.push(manager.send(one, "bye"), manager.drop(one)));
    gateway.disconnected(first);
    assert.deepEqual(await gateway.sync(), [["Drop", first]]);
    assert.deepEqual(answers, [false, false]);
  });

  test("makes its id free for another", async (t) => {
    const { manager, gateway, told } = await startJoined(t, { capacity: 1 }, first);
    const was = at(manager, first);
    gateway.disconnected(first);
    gateway.join(first);
    gateway.message(first, "new");
    await gateway.sync();
    assert.notEqual(at(manager, first), was);
    assert.equal(was.dropped, true);
    assert.deepEqual(told.slice(1), [`join 1/${first}`, `message 1/${first}: new`]);
  });
});

describe("a link that is lost for good", () => {
  test("takes each of its sessions with it once, dropped or not, and then the gateway", async (t) => {
    const { manager, gateway, link, told } = await startJoined(t, { resumeMs: 0 }, first, second, third);
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    other.join(first);
    await other.sync();
    told.length = 0;
    manager.drop(at(manager, second));
    gateway.disconnected(third);
    await gateway.sync();
    const down = next(manager, "gatewayDown");
    gateway.close();
    await down;
    assert.deepEqual(told, [
      `leave 1/${third}: client client-closed`,
      `leave 1/${first}: gateway manager-lost`,
      `leave 1/${second}: gateway manager-lost`,
      "down gateway-1: link-closed",
    ]);
    assert.deepEqual(
      manager.gateways.map((one) => one.id),
      [2],
    );
    assert.deepEqual(
      [...manager.sessions()].map((one) => one.gateway),
      [2],
    );
    assert.deepEqual(await other.sync(), []);
  });

  test("ends its sessions with what is known of them", async (t) => {
    const { manager, gateway } = await startJoined(t, { resumeMs: 0 });
    const joinedAt = Date.now() - 5000;
    gateway.send((batch) => toManager.join(batch, first, { ...JOIN, at: joinedAt }));
    await gateway.sync();
    const left = next<[Session, SessionEnd]>(manager, "leave");
    gateway.close();
    const [one, { ms, ...end }] = await left;
    const nothing = { inBytes: 0, outBytes: 0, inMsgs: 0, outMsgs: 0, unsentBytes: 0 };
    assert.deepEqual(end, { reason: "manager-lost", by: "gateway", ...nothing });
    assert.ok(ms >= 5000 && ms < 30_000, `it lasted ${ms} ms`);
    assert.equal(one.dropped, true);
  });

  test("is never sent to again", async (t) => {
    const { manager, gateway } = await startJoined(t, { resumeMs: 0 }, first);
    const one = at(manager, first);
    const answers: unknown[] = [];
    manager.on("leave", (session) => answers.push(manager.send(session, "x"), manager.drop(session)));
    const down = next(manager, "gatewayDown");
    gateway.close();
    await down;
    answers.push(manager.send(one, "x"), manager.drop(one), manager.shutdown(1), manager.gateway(1));
    manager.broadcast("x");
    assert.deepEqual(answers, [false, false, false, false, false, undefined]);
  });

  test("is told by the code of what broke it", async (t) => {
    const { manager, link } = await startManager(t, { listen: "tcp://127.0.0.1:0", resumeMs: 0 });
    const gateway = await RawGateway.registered(t, link);
    const down = next<[unknown, string, string]>(manager, "gatewayDown");
    gateway.socket.resetAndDestroy();
    assert.deepEqual((await down).slice(1), ["link-ECONNRESET", "read ECONNRESET"]);
  });
});
