/** A manager that does not know the clients of a gateway: it is told of them, and they notice nothing. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { toGateway } from "../../proto/from-manager.ts";
import { TestClient } from "../helpers/client.ts";
import type { RawLink, RawManager } from "../helpers/raw-manager.ts";
import { startRawRig } from "../helpers/raw-rig.ts";
import { managerOf, type Settings } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";

async function start(t: TestContext, admit = false, settings: Settings = {}) {
  const rig = await startRawRig(t, { settings, registration: { admit } });
  const { link } = rig;
  const joined = async () => {
    const before = link.all("join").length;
    const client = await rig.client();
    const { session, body } = await link.wait("join", before + 1);
    return { client, session, body };
  };
  return { ...rig, joined };
}

/** The manager is gone, and another takes its place. */
async function replaced(raw: RawManager, link: RawLink, admit = false): Promise<RawLink> {
  link.socket.destroy();
  const next = await raw.nextLink();
  next.register({ id: 7, admit });
  await next.wait("listening");
  return next;
}

function heard(link: RawLink): string[] {
  return link.heard.map(({ type }) => type);
}

function say(link: RawLink, session: number, text: string): void {
  link.say((batch) => toGateway.message(batch, session, Buffer.from(text)));
}

describe("a manager that takes another's place", () => {
  test("is told of every client before it hears that the gateway listens, and of new ones after", async (t) => {
    const { raw, link, port, joined } = await start(t);
    const players = [await joined(), await joined(), await joined()];
    const next = await replaced(raw, link);
    const newcomer = await TestClient.connect(port);
    t.after(() => newcomer.close());
    await next.wait("join", 4);
    assert.deepEqual(heard(next), ["register", "join", "join", "join", "listening", "join"]);
    const joins = next.all("join");
    assert.deepEqual(
      joins.map(({ body }) => body.rejoin),
      [true, true, true, undefined],
    );
    for (const { session, body, client } of players) {
      const again = joins.find((join) => join.session === session);
      assert.deepEqual(again?.body, { ...body, rejoin: true, admitted: true, lostBytes: 0 });
      say(next, session, `to ${session}`);
      await client.expect(`to ${session}`);
      client.send("from");
    }
    await next.wait("message", 3);
    assert.deepEqual(
      new Set(next.all("message").map(({ session }) => session)),
      new Set(players.map(({ session }) => session)),
    );
  });

  test("is told what their handshakes have shown", async (t) => {
    const settings = { listen: ["ws://127.0.0.1:0?name=web&headers=user-agent"] };
    const { raw, link, port } = await start(t, false, settings);
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/play?room=7`, [], {
      headers: { "user-agent": "game/1.2" },
    });
    t.after(() => client.close());
    const { body } = await link.wait("join");
    assert.deepEqual(
      [body.path, body.query, body.headers],
      ["/play", "room=7", { "user-agent": "game/1.2" }],
    );
    const next = await replaced(raw, link);
    const again = await next.wait("join");
    assert.deepEqual(again.body, { ...body, rejoin: true, admitted: true, lostBytes: 0 });
  });

  test("is told how much its clients said that was never acknowledged, to the byte", async (t) => {
    const { raw, gateway, link, joined } = await start(t);
    const [talker, silent] = [await joined(), await joined()];
    talker.client.send("hello");
    await link.wait("message");
    link.acknowledge(link.numbered);
    talker.client.send("heard, and not acknowledged");
    await link.wait("message", 2);
    say(link, silent.session, "read");
    await silent.client.expect("read");
    // Some of this lies with the kernel, and the rest waits in the gateway.
    link.socket.pause();
    talker.client.send(Buffer.alloc(900_000));
    await until(() => gateway.counters.inBytes === 5 + 27 + 900_000, "the gateway has it all");
    assert.ok(managerOf(gateway).link.queuedBytes > 0);
    const next = await replaced(raw, link);
    const lost = new Map(next.all("join").map(({ session, body }) => [session, body.lostBytes]));
    assert.deepEqual(
      lost,
      new Map([
        [talker.session, 27 + 900_000],
        [silent.session, 0],
      ]),
    );
    assert.equal(next.all("message").length, 0, "what is lost is not said again");

    talker.client.send("seven!!");
    await next.wait("message");
    const third = await replaced(raw, next);
    const talked = third.all("join").find(({ session }) => session === talker.session);
    assert.equal(talked?.body.lostBytes, 27 + 900_000 + 7, "over all managers");
  });

  test("hears nothing of a client that left while there was none", async (t) => {
    const { raw, gateway, link, joined } = await start(t);
    const [leaves, stays] = [await joined(), await joined()];
    link.say((batch) => toGateway.drop(batch, leaves.session));
    await until(() => leaves.client.ended, "it was told to go");
    link.socket.destroy();
    const next = await raw.nextLink();
    leaves.client.close();
    await until(() => gateway.sessions.connectedCount === 1, "it has gone");
    next.register();
    await next.wait("listening");
    assert.deepEqual(
      next.all("join").map(({ session }) => session),
      [stays.session],
    );
    assert.deepEqual(heard(next), ["register", "join", "listening"]);
  });

  test("hears nothing of a client that was being dropped, which still gets what was sent to it", async (t) => {
    const { raw, gateway, link, joined } = await start(t);
    const { client, session } = await joined();
    client.pause();
    const words = Buffer.alloc(900_000, "w");
    link.say((batch) => toGateway.message(batch, session, words));
    link.say((batch) => toGateway.drop(batch, session));
    await until(() => gateway.sessions.slotCounts().stopping === 1, "it is being dropped");
    const next = await replaced(raw, link);
    assert.equal(next.numbered, 0);
    client.resume();
    await until(() => client.receivedBytes === words.length && client.ended, "it got its last words");
    client.close();
    await until(() => gateway.sessions.table.usedCount === 0, "its slot is free");
    assert.deepEqual(heard(next), ["register", "listening"]);
  });

  test("that asks about each client lets in those that no manager has; the others are in", async (t) => {
    const { raw, link, joined } = await start(t, true);
    const [inside, outside] = [await joined(), await joined()];
    link.say((batch) => toGateway.admit(batch, inside.session));
    inside.client.send("in");
    await link.wait("message");
    outside.client.send("out");
    const next = await replaced(raw, link, true);
    const admitted = new Map(next.all("join").map(({ session, body }) => [session, body.admitted]));
    assert.deepEqual(
      admitted,
      new Map([
        [inside.session, true],
        [outside.session, false],
      ]),
    );
    inside.client.send("still in");
    assert.equal((await next.wait("message")).session, inside.session);
    next.say((batch) => toGateway.admit(batch, outside.session));
    const { session, payload } = await next.wait("message", 2);
    assert.deepEqual([session, String(payload)], [outside.session, "out"]);
  });

  test("that asks about nobody lets in those who waited", async (t) => {
    const { raw, link, joined } = await start(t, true);
    const { client, session } = await joined();
    client.send("let me in");
    const next = await replaced(raw, link, false);
    const message = await next.wait("message");
    assert.deepEqual([message.session, String(message.payload)], [session, "let me in"]);
  });

  test("with a smaller capacity keeps who is there, and gets nobody else", async (t) => {
    const { raw, gateway, link, port, joined } = await start(t);
    await joined();
    await joined();
    link.socket.destroy();
    const next = await raw.nextLink();
    next.register({ capacity: 1 });
    await next.wait("listening");
    assert.equal(next.all("join").length, 2);
    const late = await TestClient.connect(port);
    t.after(() => late.close());
    await late.untilEnded();
    assert.equal(gateway.counters.refusals["no-slot"], 1);
  });
});
