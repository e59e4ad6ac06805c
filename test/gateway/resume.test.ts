/** A gateway whose link is cut: what it holds, what it says again, and what it does not let a manager say. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { ACK_AFTER_MS } from "../../link/acknowledger.ts";
import type * as body from "../../proto/bodies.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toGateway } from "../../proto/from-manager.ts";

import { FakeClock } from "../helpers/fake-clock.ts";
import { recordLog } from "../helpers/log.ts";
import { readPaths } from "../helpers/poller.ts";
import { type RawLink, type RawManager, redialled, startRawManager } from "../helpers/raw-manager.ts";
import { startRawRig } from "../helpers/raw-rig.ts";
import { managerOf, type Settings, startTestGateway } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

interface Start {
  readonly settings?: Settings;
  readonly registration?: Partial<body.Registered>;
  readonly clock?: FakeClock;
}

/** A gateway on its first link, with the epoch that this has. */
async function start(t: TestContext, { settings = {}, registration = {}, clock }: Start = {}) {
  const recorded = recordLog();
  const epoch = randomBytes(16);
  const extra = { log: recorded.log, ...(clock !== undefined && { clock }) };
  const rig = await startRawRig(t, { settings, registration: { epoch, ...registration }, extra });
  const { link, client } = rig;
  link.keepsFrames = true;
  /** A client that has joined, and its session. */
  const joined = async (over: RawLink = link) => {
    const before = over.all("join").length;
    const one = await client();
    const { session } = await over.wait("join", before + 1);
    return { client: one, session };
  };
  return { ...rig, recorded, epoch, joined };
}

/** The link is cut, and another dialled. */
async function cut(raw: RawManager, link: RawLink): Promise<RawLink> {
  link.socket.destroy();
  const next = await raw.nextLink();
  next.keepsFrames = true;
  return next;
}

async function resumeOf(link: RawLink): Promise<body.Register["resume"]> {
  const { resume } = (await link.wait("register")).body;
  return resume === undefined ? undefined : { ...resume, epoch: Buffer.from(resume.epoch) };
}

/** What came over a link, in order. */
function heard(link: RawLink): string[] {
  return link.heard.map(({ type }) => type).filter((type) => type !== "ack");
}

function say(link: RawLink, session: number, text: string): void {
  link.say((batch) => toGateway.message(batch, session, Buffer.from(text)));
}

/** A client joins and speaks, another joins and leaves: five numbered frames. */
async function five({ link, joined }: Pick<Awaited<ReturnType<typeof start>>, "link" | "joined">) {
  const stays = await joined();
  stays.client.send("hello");
  await link.wait("message");
  const leaves = await joined();
  stays.client.send("world");
  await link.wait("message", 2);
  leaves.client.reset();
  await link.wait("disconnected");
  assert.equal(link.numbered, 5);
  return stays;
}

describe("a link that is cut", () => {
  for (const handled of [0, 1, 2, 3, 4, 5]) {
    test(`is gone on with behind the ${handled} frames that the manager has, byte by byte and once each`, async (t) => {
      const scene = await start(t);
      const { raw, link, epoch } = scene;
      const { client } = await five(scene);
      const next = await cut(raw, link);
      assert.deepEqual(await resumeOf(next), { epoch, received: 0 });
      next.register({ epoch, resumed: true, received: handled });
      await next.wait("listening");
      assert.deepEqual(next.frames, link.frames.slice(handled));
      assert.equal(heard(next).at(-1), "listening", "which ends what was there before");
      client.send("!");
      const message = await next.wait("message", next.all("message").length + 1);
      assert.equal(String(message.payload), "!");
      assert.equal(next.numbered, 5 - handled + 1, "and nothing else comes");
    });
  }

  test("may be cut again and again, also before anything of it was acknowledged", async (t) => {
    const scene = await start(t);
    const { raw, link, epoch } = scene;
    await five(scene);
    let next = await cut(raw, link);
    for (const handled of [1, 1, 3]) {
      next.register({ epoch, resumed: true, received: handled });
      await next.wait("listening");
      assert.deepEqual(next.frames, link.frames.slice(handled));
      next = await cut(raw, next);
      assert.deepEqual(await resumeOf(next), { epoch, received: 0 });
    }
  });

  test("holds the clients, who notice nothing, and refuses new ones", async (t) => {
    const { raw, gateway, link, epoch, client, joined } = await start(t);
    const player = await joined();
    const next = await cut(raw, link);
    player.client.send("still here");
    const late = await client();
    await late.untilEnded();
    assert.equal(gateway.counters.refusals["no-manager"], 1);
    assert.equal(gateway.counters.inBytes, 0, "nobody is read");
    next.register({ epoch, resumed: true, received: 1 });
    const { session, payload } = await next.wait("message");
    assert.deepEqual([session, String(payload)], [player.session, "still here"]);
    assert.deepEqual([player.client.ended, player.client.closed], [false, false]);
    assert.deepEqual(heard(next), ["register", "listening", "message"]);
  });

  test("tells how many frames of the manager's were handled: none that came in part", async (t) => {
    const { raw, link, epoch, joined } = await start(t);
    const { client, session } = await joined();
    say(link, session, "one ");
    link.say((batch) => toGateway.pong(batch, { seq: 0, at: 0 }));
    link.say((batch) => toGateway.messageAll(batch, Buffer.from("two ")));
    const batch = new FrameBatch();
    toGateway.message(batch, session, Buffer.from("three "));
    const third = Buffer.concat(batch.take());
    link.socket.write(third.subarray(0, third.length - 1));
    await client.expect("one two ");
    const next = await cut(raw, link);
    assert.deepEqual(await resumeOf(next), { epoch, received: 2 });
    next.register({ epoch, resumed: true, received: 1 });
    next.socket.write(third);
    say(next, session, "four");
    await client.expect("one two three four");
    const last = await cut(raw, next);
    assert.deepEqual(await resumeOf(last), { epoch, received: 4 });
  });

  test("is told what a session came to meanwhile, once it is gone on with", async (t) => {
    const { raw, link, epoch, joined } = await start(t);
    const { client, session } = await joined();
    const next = await cut(raw, link);
    client.reset();
    next.register({ epoch, resumed: true, received: 1 });
    // Nobody reads a client that is held, so its end may be seen only afterwards.
    const ended = await next.wait("disconnected");
    assert.equal(ended.session, session);
    assert.equal(next.all("join").length, 0);
  });
});

describe("what a manager says", () => {
  test("is acknowledged after a while, and no more than that was handled", async (t) => {
    const clock = new FakeClock();
    const { link, joined } = await start(t, { clock });
    const { client, session } = await joined();
    say(link, session, "one ");
    say(link, session, "two");
    await client.expect("one two");
    clock.advance(ACK_AFTER_MS - 1);
    assert.equal(link.all("ack").length, 0);
    clock.advance(1);
    assert.equal((await link.wait("ack")).frames, 2);
    assert.equal(link.all("ack").length, 1);
  });

  test("is acknowledged at once when it is much", async (t) => {
    const clock = new FakeClock();
    const { link, joined } = await start(t, { clock });
    const { session } = await joined();
    say(link, session, "x".repeat(256 * KIB));
    assert.equal((await link.wait("ack")).frames, 1);
  });
});

interface Wrong {
  readonly what: string;
  readonly code: string;
  /** Says it, over a link that was dialled after five frames, two of which are acknowledged. */
  readonly answer?: (epoch: Uint8Array) => Partial<body.Registered>;
  /** Or over the first link. */
  readonly say?: (batch: FrameBatch) => void;
}

const wrong: readonly Wrong[] = [
  {
    what: "goes on with another epoch",
    code: "bad-body",
    answer: () => ({ epoch: randomBytes(16), resumed: true, received: 5 }),
  },
  {
    what: "has received less than it has acknowledged",
    code: "bad-ack",
    answer: (epoch) => ({ epoch, resumed: true, received: 1 }),
  },
  {
    what: "has received more than there was",
    code: "bad-ack",
    answer: (epoch) => ({ epoch, resumed: true, received: 6 }),
  },
  { what: "acknowledges more than there was", code: "bad-ack", say: (batch) => toGateway.ack(batch, 6) },
  { what: "acknowledges more than can be", code: "bad-ack", say: (batch) => toGateway.ack(batch, 2 ** 53) },
  {
    what: "sends a frame that there is not",
    code: "unknown-type",
    say: (batch) => batch.frame(99, Buffer.alloc(1)),
  },
];

describe("a manager that", () => {
  for (const { what, code, answer, say: speech } of wrong) {
    test(`${what} loses its link: ${code}. It is not asked to go on, and gets everybody anew`, async (t) => {
      const scene = await start(t);
      const { raw, recorded, link, epoch } = scene;
      const { client, session } = await five(scene);
      link.acknowledge(2);
      let last = link;
      if (speech === undefined) {
        // The acknowledgement must have been read before the link is cut.
        say(link, session, "read");
        await client.expect("read");
        last = await cut(raw, link);
        assert.notEqual(await resumeOf(last), undefined);
        last.register(answer?.(epoch));
      } else {
        link.say(speech);
      }
      await last.untilClosed();
      await recorded.loss(code);
      const next = await raw.nextLink();
      assert.equal(await resumeOf(next), undefined);
      next.register();
      await next.wait("listening");
      const [{ body, session: again } = {}] = next.all("join");
      assert.deepEqual([again, body?.rejoin, next.numbered], [session, true, 1]);
      say(next, session, "!");
      await client.expect(speech === undefined ? "read!" : "!");
      assert.equal(client.closed, false);
      const resumed = await cut(raw, next);
      assert.notEqual(await resumeOf(resumed), undefined, "this epoch can be gone on with");
    });
  }

  test("claims to go on though nobody has asked for it loses its link: bad-body", async (t) => {
    const raw = await startRawManager(t);
    const { log, loss } = recordLog();
    await startTestGateway(t, raw.link, {}, { log });
    const link = await raw.nextLink();
    assert.equal(await resumeOf(link), undefined);
    link.register({ resumed: true });
    await link.untilClosed();
    await loss("bad-body");
    assert.equal(await resumeOf(await raw.nextLink()), undefined);
  });

  test("goes on after a protocol error, though nobody has asked for it, loses its link again: bad-body", async (t) => {
    const { raw, recorded, link, epoch, joined } = await start(t);
    await joined();
    link.say((batch) => batch.frame(99, Buffer.alloc(1)));
    await recorded.loss("unknown-type");
    const next = await raw.nextLink();
    next.register({ epoch, resumed: true, received: 1 });
    await next.untilClosed();
    await recorded.loss("bad-body");
  });

  test("acknowledges less than before changes nothing", async (t) => {
    const scene = await start(t);
    const { raw, link, epoch } = scene;
    const { client, session } = await five(scene);
    link.acknowledge(4);
    link.acknowledge(1);
    say(link, session, "read");
    await client.expect("read");
    const next = await cut(raw, link);
    next.register({ epoch, resumed: true, received: 4 });
    await next.wait("listening");
    assert.deepEqual(next.frames, link.frames.slice(4));
  });
});

describe("clients that are held", () => {
  const holdMs = 3000;

  test("are closed as manager-lost when no manager comes in time; the next one begins anew", async (t) => {
    const clock = new FakeClock();
    // It dials again only after its clients were let go.
    const settings = { holdMs, reconnectMinMs: 10_000, reconnectMaxMs: 10_000 };
    const { raw, recorded, gateway, link, joined } = await start(t, { settings, clock });
    const player = await joined();
    link.socket.destroy();
    await until(() => managerOf(gateway).link.down, "the link is lost");
    clock.advance(holdMs - 1);
    assert.equal(gateway.sessions.connectedCount, 1);
    assert.equal(player.client.ended, false);
    clock.advance(1);
    await player.client.untilEnded();
    player.client.close();
    await until(() => gateway.sessions.table.usedCount === 0, "its slot is free");
    assert.ok(recorded.lines.some(({ msg }) => msg === "the manager has not come back in time"));
    assert.equal(link.all("disconnected").length, 0);

    const next = await redialled(raw, clock);
    assert.equal(await resumeOf(next), undefined);
    next.register();
    await next.wait("listening");
    assert.equal(next.numbered, 0, "there is nobody to be announced");
    await joined(next);
  });

  test("are not waited for by a manager that is asked, and answers too late", async (t) => {
    const clock = new FakeClock();
    const { raw, link, joined } = await start(t, { settings: { holdMs }, clock });
    const player = await joined();
    link.socket.destroy();
    const slow = await redialled(raw, clock);
    assert.notEqual(await resumeOf(slow), undefined);
    clock.advance(holdMs);
    await player.client.untilEnded();
    await slow.untilClosed();
    const next = await redialled(raw, clock);
    assert.equal(await resumeOf(next), undefined);
  });

  test("are held for as long again at each link that is lost", async (t) => {
    const clock = new FakeClock();
    const { raw, gateway, link, epoch, joined } = await start(t, { settings: { holdMs }, clock });
    await joined();
    link.socket.destroy();
    const next = await redialled(raw, clock);
    clock.advance(holdMs - 1000);
    next.register({ epoch, resumed: true, received: 1 });
    await next.wait("listening");
    clock.advance(2 * holdMs);
    assert.equal(gateway.sessions.connectedCount, 1, "nobody is held any more");
    next.socket.destroy();
    await until(() => managerOf(gateway).link.down, "the link is lost");
    clock.advance(holdMs - 1000);
    assert.equal(gateway.sessions.connectedCount, 1);
  });

  test("end with the gateway when it is told to stop", async (t) => {
    const { raw, gateway, joined } = await start(t, { settings: { drainMs: 3_600_000 } });
    const player = await joined();
    await raw.close();
    await until(() => managerOf(gateway).link.down, "the link is lost");
    gateway.drain("SIGTERM");
    assert.deepEqual(await gateway.ended, { code: 0 });
    await player.client.untilEnded();
  });
});

describe("a manager that reads and does not acknowledge", () => {
  for (const { readPath, skip } of readPaths) {
    test(`stops the clients, and those who would come, until it does: ${readPath} read path`, {
      skip,
    }, async (t) => {
      const settings = { retainBytes: MIB, readPath };
      const { gateway, link, client, joined } = await start(t, { settings });
      link.keepsFrames = false;
      const { client: player, session } = await joined();
      const sent = randomBytes(6 * MIB);
      player.send(sent);
      const receivedBytes = () => link.all("message").reduce((sum, { payload }) => sum + payload.length, 0);
      await until(() => player.stuck && managerOf(gateway).link.congested, "the client is not read any more");
      await until(() => receivedBytes() === gateway.counters.inBytes, "all that was read has arrived");
      assert.ok(receivedBytes() <= MIB + 128 * KIB, `${receivedBytes()} bytes were told`);
      const early = await client();
      await early.untilEnded();
      assert.equal(gateway.counters.refusals["manager-behind"], 1);
      assert.equal(gateway.counters.linkPauses, 1);

      link.acknowledge(Math.floor(link.numbered / 4));
      say(link, session, "read");
      await player.expect("read");
      assert.equal(managerOf(gateway).link.congested, true, "more than half of it is still kept");
      link.acknowledge(link.numbered);
      await until(() => receivedBytes() > MIB + 128 * KIB, "the client is read again");
      link.acknowledging = true;
      link.acknowledge(link.numbered);
      await until(() => receivedBytes() === sent.length, "everything has arrived");
      assert.ok(Buffer.concat(link.all("message").map(({ payload }) => payload)).equals(sent));
      await joined();
    });
  }

  test("is gone on with all the same, and then still has to acknowledge", async (t) => {
    const { raw, gateway, link, epoch, joined } = await start(t, { settings: { retainBytes: MIB } });
    const { client } = await joined();
    client.send(randomBytes(4 * MIB));
    await until(() => client.stuck && managerOf(gateway).link.congested, "the client is not read any more");
    await until(() => link.numbered > 1, "the manager has heard something");
    const next = await cut(raw, link);
    next.register({ epoch, resumed: true, received: 1 });
    await next.wait("listening");
    assert.equal(managerOf(gateway).link.congested, true);
    const last = await cut(raw, next);
    last.acknowledging = false;
    last.register({ epoch, resumed: true, received: next.numbered + 1 });
    await until(() => gateway.counters.inBytes > 2 * MIB - 256 * KIB, "the client is read again");
  });
});
