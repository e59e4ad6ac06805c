/** One gateway with two managers, which tests speak for. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { ExitCode } from "../../gateway/exit-codes.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { TestClient } from "../helpers/client.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { type RawLink, redialled, startRawManager } from "../helpers/raw-manager.ts";
import { managerOf, type Settings, startTestGateway } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

/** A gateway whose managers `a` and `b` it has dialled, and which neither has answered. */
async function dialled(t: TestContext, settings: Settings = {}, clock?: FakeClock) {
  const raws = { a: await startRawManager(t), b: await startRawManager(t) };
  const manager = [`a=${raws.a.link}`, `b=${raws.b.link}`];
  const extra = clock === undefined ? {} : { clock };
  const gateway = await startTestGateway(t, "", { ...settings, manager }, extra);
  const links = { a: await raws.a.nextLink(), b: await raws.b.nextLink() };
  /** A client that is connected, of which nothing else is known. */
  const connect = async (at = 0) => {
    const client = await TestClient.connect(gateway.endpoints[at]?.port ?? 0);
    t.after(() => client.close());
    return client;
  };
  /** A client that this manager is told of. */
  const join = async (link: RawLink, at?: number) => {
    const before = link.all("join").length;
    const client = await connect(at);
    const { session, body } = await link.wait("join", before + 1);
    return { client, session, body };
  };
  return { gateway, raws, links, connect, join };
}

/** And which both have taken on. */
async function started(t: TestContext, settings: Settings = {}, clock?: FakeClock) {
  const scene = await dialled(t, settings, clock);
  for (const link of Object.values(scene.links)) {
    link.register();
    await link.wait("listening");
  }
  return scene;
}

const BY_LISTENER = {
  managerChoice: "listener",
  listen: ["tcp://127.0.0.1:0?name=to-a&manager=a", "tcp://127.0.0.1:0?name=to-b&manager=b"],
};

function say(link: RawLink, session: number, text: string): void {
  link.say((batch) => toGateway.message(batch, session, Buffer.from(text)));
}

describe("a gateway with several managers", () => {
  test("registers with each, and gives clients to each in turn", async (t) => {
    const { links, gateway, connect } = await started(t);
    const names = Object.values(links).map((link) => link.all("register")[0]?.body.name);
    assert.equal(names[0], names[1]);
    for (let i = 0; i < 4; i++) await connect();
    await links.a.wait("join", 2);
    await links.b.wait("join", 2);
    assert.equal(gateway.sessions.table.capacity, 200);
  });

  test("lets clients in as soon as one manager takes them, and gives the others theirs later", async (t) => {
    const { links, join } = await dialled(t);
    links.b.register();
    await links.b.wait("listening");
    await join(links.b);
    await join(links.b);
    links.a.register();
    await links.a.wait("listening");
    await join(links.a);
  });

  test("tells each what its own clients say, and has each reach its own", async (t) => {
    const { links, join } = await started(t, BY_LISTENER);
    const [one, other] = [await join(links.a, 0), await join(links.b, 1)];
    one.client.send("to a");
    other.client.send("to b");
    assert.equal((await links.a.wait("message")).payload.toString(), "to a");
    assert.equal((await links.b.wait("message")).payload.toString(), "to b");
    say(links.b, one.session, "stolen");
    links.b.say((batch) => toGateway.messageAll(batch, Buffer.from("all of b")));
    await other.client.expect("all of b");
    say(links.a, one.session, "mine");
    await one.client.expect("mine");
  });

  test("tells each in its heartbeat how many of its sessions there are", async (t) => {
    const clock = new FakeClock();
    const { links, join } = await started(t, BY_LISTENER, clock);
    await join(links.a, 0);
    await join(links.a, 0);
    clock.advance(60_000);
    const [a, b] = [(await links.a.wait("ping")).body, (await links.b.wait("ping")).body];
    assert.deepEqual([a.sessions, a.capacity, b.sessions, b.capacity], [2, 100, 0, 100]);
    assert.deepEqual([b.slots?.inUse, b.slots?.freed], [2, 198]);
  });

  test("reads the clients of one while it holds those of another, and gives new ones to who is there", async (t) => {
    const { gateway, links, raws, join } = await started(t);
    const [one, other] = [await join(links.a), await join(links.b)];
    links.a.socket.destroy();
    await raws.a.close();
    await until(() => managerOf(gateway, "a").link.down, "the link is lost");
    one.client.send("unread");
    other.client.send("read");
    await links.b.wait("message");
    await join(links.b);
    assert.deepEqual([gateway.sessions.connectedCount, one.client.ended], [3, false]);
  });

  test("announces the sessions of one that has started anew to that one alone", async (t) => {
    const { links, raws, join } = await started(t, BY_LISTENER);
    const [one, other] = [await join(links.a, 0), await join(links.b, 1)];
    links.a.socket.destroy();
    const next = await raws.a.nextLink();
    next.register();
    await next.wait("listening");
    assert.deepEqual(
      next.all("join").map(({ session, body }) => [session, body.rejoin]),
      [[one.session, true]],
    );
    assert.equal(links.b.all("join").length, 1);
    say(next, one.session, "again");
    await one.client.expect("again");
    assert.equal(other.client.receivedBytes, 0);
  });

  test("ends for the Shutdown of one, and tells all of them", async (t) => {
    const { gateway, links } = await started(t);
    links.b.say((batch) => toGateway.shutdown(batch, { reason: "night", drainMs: 0 }));
    for (const link of Object.values(links)) {
      assert.equal((await link.wait("draining")).body.reason, "night");
      await link.untilClosed();
    }
    assert.equal((await gateway.ended).code, ExitCode.ok);
  });

  test("has the sessions of all of them acknowledged before it ends", async (t) => {
    const { gateway, links, join } = await started(t, BY_LISTENER);
    const sessions = [await join(links.a, 0), await join(links.b, 1)];
    gateway.drain("the test");
    for (const [index, link] of Object.values(links).entries()) {
      await until(() => sessions[index]?.client.ended === true, "the client is told");
      sessions[index]?.client.close();
      const { session, body } = await link.wait("disconnected");
      assert.equal(body.reason, "shutdown");
      link.say((batch) => toGateway.drop(batch, session));
    }
    assert.equal((await gateway.ended).code, ExitCode.ok);
    assert.equal(gateway.counters.unacknowledged, 0);
  });
});

describe("a manager that refuses the gateway for good", () => {
  const refuse = (link: RawLink) =>
    link.say((batch) => toGateway.rejected(batch, { code: "bad-secret", message: "the secrets differ" }));

  test("does not end it while there is another", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, raws, join } = await dialled(t, {}, clock);
    refuse(links.a);
    await links.a.untilClosed();
    links.b.register();
    await links.b.wait("listening");
    await join(links.b);
    const next = await redialled(raws.a, clock);
    next.register();
    await next.wait("listening");
    assert.equal(managerOf(gateway, "a").link.up, true);
  });

  test("has not refused it any more once it has taken it on", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, raws, join } = await dialled(t, BY_LISTENER, clock);
    refuse(links.a);
    await links.a.untilClosed();
    links.b.register();
    await links.b.wait("listening");
    const a = await redialled(raws.a, clock);
    a.register();
    await a.wait("listening");
    links.b.socket.destroy();
    const b = await redialled(raws.b, clock);
    refuse(b);
    await b.untilClosed();
    await redialled(raws.b, clock);
    await join(a, 0);
    assert.equal(managerOf(gateway, "a").link.up, true);
  });

  test("ends it when all of them do", async (t) => {
    const { gateway, links } = await dialled(t);
    refuse(links.a);
    await links.a.untilClosed();
    refuse(links.b);
    assert.equal((await gateway.ended).code, ExitCode.rejected);
  });
});

describe("the sessions of a manager that does not come back in time", () => {
  const holdMs = 3000;
  const settings = { ...BY_LISTENER, holdMs, reconnectMinMs: 10_000, reconnectMaxMs: 10_000 };

  test("end, and nobody else's do", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, join } = await started(t, settings, clock);
    const [one, other] = [await join(links.a, 0), await join(links.b, 1)];
    one.client.send("lost with it");
    await links.a.wait("message");
    links.a.socket.destroy();
    await until(() => managerOf(gateway, "a").link.down, "the link is lost");
    clock.advance(holdMs);
    await one.client.untilEnded();
    one.client.close();
    await until(() => gateway.sessions.table.usedCount === 1, "its slot is free");
    assert.deepEqual([other.client.ended, gateway.counters.lostBytes], [false, 12]);
  });

  test("go on with another, where they may: nothing that it acknowledges is lost, and the rest is told", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, raws, join } = await started(t, { ...settings, failover: true }, clock);
    const one = await join(links.a, 0);
    const bind = (batch: Parameters<Parameters<RawLink["say"]>[0]>[0]) => {
      toGateway.bind(batch, one.session, "ann");
      toGateway.addToGroup(batch, one.session, "red");
      toGateway.message(batch, one.session, Buffer.from("bound"));
    };
    links.a.say(bind);
    await one.client.expect("bound");
    one.client.send("never acknowledged");
    await links.a.wait("message");
    links.a.socket.destroy();
    await until(() => managerOf(gateway, "a").link.down, "the link is lost");
    one.client.send("said meanwhile");
    clock.advance(holdMs);
    const { session, body } = await links.b.wait("join");
    const { rejoin, lostBytes, from, fromSession, user, groups, admitted } = body;
    assert.deepEqual([rejoin, lostBytes, from, fromSession], [true, 18, "a", one.session]);
    assert.deepEqual([user, groups, admitted], ["ann", ["red"], true]);
    assert.equal((await links.b.wait("message")).payload.toString(), "said meanwhile");
    say(links.b, session, " and goes on");
    await one.client.expect("bound and goes on");
    assert.deepEqual([gateway.counters.failovers, gateway.counters.lostBytes], [1, 18]);

    const next = await redialled(raws.a, clock);
    assert.equal(next.all("register")[0]?.body.resume, undefined);
    next.register();
    await next.wait("listening");
    assert.equal(next.all("join").length, 0, "its sessions are another's by now");
    await join(next, 0);
  });

  test("come from the one before it, with what that gave along, where it never acknowledged them", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, raws, join } = await started(t, { ...settings, failover: true }, clock);
    const one = await join(links.a, 0);
    const data = Buffer.from("level 7");
    links.a.say((batch) => toGateway.handoff(batch, one.session, { manager: "b", data }));
    await links.b.wait("join");
    const other = await join(links.b, 1);
    links.b.acknowledge(0);
    links.b.socket.destroy();
    await until(() => managerOf(gateway, "b").link.down, "the link is lost");
    clock.advance(holdMs);
    const [, first, second] = [
      await links.a.wait("join", 1),
      await links.a.wait("join", 2),
      await links.a.wait("join", 3),
    ];
    const moved = [first, second].find(({ body }) => body.fromSession === one.session);
    assert.deepEqual([moved?.body.from, moved?.body.rejoin], ["a", true]);
    assert.equal(Buffer.from(moved?.body.data ?? []).toString(), "level 7");
    const another = [first, second].find((join) => join !== moved);
    assert.deepEqual(
      [another?.body.from, another?.body.fromSession, another?.body.data],
      ["b", other.session, undefined],
    );
    await redialled(raws.b, clock);
  });

  test("end all the same, when there is no other that takes them", async (t) => {
    const clock = new FakeClock();
    const { gateway, links, join } = await started(t, { ...settings, failover: true }, clock);
    const one = await join(links.a, 0);
    for (const link of Object.values(links)) link.socket.destroy();
    await until(() => gateway.managers.every(({ link }) => link.down), "the links are lost");
    clock.advance(holdMs);
    await one.client.untilEnded();
    one.client.close();
    await until(() => gateway.sessions.table.usedCount === 0, "its slot is free");
    assert.equal(gateway.counters.ends["manager-lost"], 1);
  });
});

describe("a handoff over the wire", () => {
  const handoff = (link: RawLink, session: number, manager: string, data?: Uint8Array) =>
    link.say((batch) => toGateway.handoff(batch, session, { manager, data }));

  test("ends the session for one manager and begins it for the other, with what it is told", async (t) => {
    const { gateway, links, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    const data = Buffer.alloc(60_000, 7);
    handoff(links.a, one.session, "b", data);
    const { session, body } = await links.b.wait("join");
    assert.deepEqual([body.from, body.fromSession, body.admitted], ["a", one.session, true]);
    assert.deepEqual(Buffer.from(body.data ?? []), data);
    assert.deepEqual([body.rejoin, body.at], [undefined, one.body.at]);
    const { body: end } = await links.a.wait("disconnected");
    assert.deepEqual([end.by, end.reason], ["manager", "handoff"]);
    one.client.send("hello");
    assert.equal((await links.b.wait("message")).session, session);
    assert.equal(gateway.counters.handoffs, 1);
  });

  test("is refused, and said to be, when it can't be done", async (t) => {
    const { gateway, links, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    handoff(links.a, one.session, "nobody");
    const { session, body } = await links.a.wait("handoffRefused");
    assert.deepEqual([session, body.manager, body.code], [one.session, "nobody", "unknown-manager"]);
    say(links.a, one.session, "still here");
    await one.client.expect("still here");
    // The longest blob fits where little else is told.
    handoff(links.a, one.session, "b", Buffer.alloc(61_440));
    await links.b.wait("join");
    assert.deepEqual([gateway.counters.handoffs, gateway.counters.handoffsRefused], [1, 1]);
  });

  /** Has a client say each of these, and waits until its manager was told it. */
  async function hears(link: RawLink, client: TestClient, ...texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      const before = link.all("message").length;
      client.send(text);
      await link.wait("message", before + 1);
    }
  }

  function texts(link: RawLink, session: number): string[] {
    const own = link.all("message").filter((one) => one.session === session);
    return own.map(({ payload }) => payload.toString());
  }

  test("takes along what the client said that its manager had not read, once, behind the join", async (t) => {
    const { links, join, gateway } = await started(t, BY_LISTENER);
    const [one, other] = [await join(links.a, 0), await join(links.a, 0)];
    await hears(links.a, one.client, "one", "two");
    await hears(links.a, other.client, "another's");
    await hears(links.a, one.client, "three");
    const { inBytes, inMsgs } = gateway.counters;
    links.a.say((batch) => toGateway.handoff(batch, one.session, { manager: "b", received: 3 }));
    one.client.send("four");
    const { session } = await links.b.wait("join");
    await links.b.wait("message", 3);
    assert.deepEqual(texts(links.b, session), ["two", "three", "four"]);
    const numbered = links.b.heard.map(({ type }) => type).filter((type) => type !== "register");
    assert.deepEqual(numbered, ["listening", "join", "message", "message", "message"]);
    const { body: end } = await links.a.wait("disconnected");
    assert.deepEqual([end.reason, end.received, end.inMsgs], ["handoff", 3, 3]);
    assert.deepEqual(texts(links.a, one.session), ["one", "two", "three"]);
    assert.deepEqual([gateway.counters.inBytes - inBytes, gateway.counters.inMsgs - inMsgs], [4, 1]);
  });

  test("takes nothing along that the manager has acknowledged, and says so", async (t) => {
    const { links, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    await hears(links.a, one.client, "one", "two", "three");
    links.a.say((batch) => {
      toGateway.ack(batch, 3);
      toGateway.handoff(batch, one.session, { manager: "b", received: 1 });
    });
    const { session } = await links.b.wait("join");
    await links.b.wait("message");
    assert.deepEqual(texts(links.b, session), ["three"]);
    assert.equal((await links.a.wait("disconnected")).body.received, 3);
  });

  test("takes nothing along where its manager does not say how far it had read", async (t) => {
    const { links, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    await hears(links.a, one.client, "one");
    handoff(links.a, one.session, "b");
    const { session } = await links.b.wait("join");
    one.client.send("two");
    await links.b.wait("message");
    assert.deepEqual(texts(links.b, session), ["two"]);
    assert.equal((await links.a.wait("disconnected")).body.received, undefined);
  });

  test("takes along what is behind it on a link before, when it comes over the next one", async (t) => {
    const { links, raws, join } = await started(t, BY_LISTENER);
    const [one, other] = [await join(links.a, 0), await join(links.a, 0)];
    await hears(links.a, one.client, "one", "two");
    await hears(links.a, other.client, "three", "four");
    links.a.socket.destroy();
    const again = await raws.a.nextLink();
    const { epoch = Buffer.alloc(0) } = (await again.wait("register")).body.resume ?? {};
    again.say((batch) => {
      const given = { id: 1, capacity: 100, epoch, pingMs: 60_000, maxFrame: 2 ** 20 };
      toGateway.registered(batch, { ...given, resumed: true, received: 3 });
      toGateway.handoff(batch, one.session, { manager: "b", received: 3 });
      toGateway.handoff(batch, other.session, { manager: "b", received: 5 });
    });
    await links.b.wait("message", 2);
    const sessions = links.b.all("join").map(({ session }) => session);
    assert.deepEqual(
      sessions.map((session) => texts(links.b, session)),
      [["two"], ["four"]],
    );
    await again.wait("disconnected", 2);
    assert.equal(again.closed, false);
  });

  test("counts what it takes along as lost with the manager that gets it, once", async (t) => {
    const { links, raws, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    await hears(links.a, one.client, "one", "seventeen letters");
    links.a.say((batch) => toGateway.handoff(batch, one.session, { manager: "b", received: 2 }));
    await links.b.wait("message");
    links.a.socket.destroy();
    const [a, b] = [await raws.a.nextLink(), raws.b.nextLink()];
    a.register();
    await a.wait("listening");
    assert.equal(a.all("join").length, 0);
    links.b.socket.destroy();
    (await b).register();
    const { body } = await (await b).wait("join");
    assert.deepEqual([body.rejoin, body.from, body.lostBytes], [true, "a", 17]);
  });

  test("is told again, with what went along, to a manager that was lost before it acknowledged it", async (t) => {
    const { links, raws, join } = await started(t, BY_LISTENER);
    const one = await join(links.a, 0);
    handoff(links.a, one.session, "b", Buffer.from("level 7"));
    const { session } = await links.b.wait("join");
    links.b.socket.destroy();
    const next = await raws.b.nextLink();
    next.register();
    const { body } = await next.wait("join");
    assert.deepEqual([body.rejoin, body.from, body.fromSession], [true, "a", one.session]);
    assert.equal(Buffer.from(body.data ?? []).toString(), "level 7");
    say(next, session, "in");
    await one.client.expect("in");
  });
});
