/** Web pages in Chromium as clients of a `ws` listener. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Browser } from "playwright-core";
import { behaviours } from "../../manager-stub/behaviours.ts";
import type { Session } from "../../manager-stub/index.ts";
import type { Endpoint } from "../../proto/bodies.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { TestProcess } from "../helpers/process.ts";
import { startManager, startRig, startTestGateway, temporaryDirectory } from "../helpers/rig.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";
import { launchChromium, openPage, skipWithoutChromium } from "./page.ts";
import { startRelay } from "./relay.ts";

/** A manager that echoes, and a gateway with one listener. */
async function startEcho(t: TestContext, options = "", transport = "ws") {
  const rig = await startRig(t, { settings: { listen: [`${transport}://127.0.0.1:0?${options}`] } });
  behaviours.echo(rig.manager);
  const joined = next<[Session]>(rig.manager, "join");
  return { ...rig, joined, url: `${transport}://127.0.0.1:${rig.port}/play` };
}

describe("a page in Chromium", { skip: skipWithoutChromium }, () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser.close());

  test("hears its messages again, of every length that is written differently", async (t) => {
    const { url } = await startEcho(t, "frames=mirror");
    const socket = await (await openPage(t, browser)).open(url);
    for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
      assert.ok(await socket.echoBytes(length), `${length} bytes`);
    }
    assert.equal(await socket.echoText("grüße, 👋"), "grüße, 👋");
    assert.equal(await socket.echoText(""), "");
    assert.ok(await socket.echoBytes(3), "binary again");
  });

  test("speaks over TLS", async (t) => {
    const { url, joined } = await startEcho(t, TLS_PARAMETERS, "wss");
    const socket = await (await openPage(t, browser)).open(url);
    assert.ok(await socket.echoBytes(20_000));
    assert.equal((await joined)[0].transport, "wss");
  });

  test("has its subprotocol agreed and its headers told", async (t) => {
    const { url, joined } = await startEcho(t, "subprotocols=v2.game,v1.game&headers=origin,user-agent");
    const page = await openPage(t, browser);
    const socket = await page.open(`${url}?room=7`, ["v0.game", "v1.game"]);
    assert.deepEqual(await socket.agreed(), { protocol: "v1.game", extensions: "" });
    const [session] = await joined;
    assert.deepEqual([session.path, session.query, session.subprotocol], ["/play", "room=7", "v1.game"]);
    assert.equal(session.headers?.origin, page.origin);
    assert.match(session.headers?.["user-agent"] ?? "", /Chrome\//);
  });

  test("is let in from an origin that may, and refused from another port", async (t) => {
    const [friend, stranger] = [await openPage(t, browser), await openPage(t, browser)];
    const { url, gateway } = await startEcho(t, `origins=${friend.origin}`);
    assert.ok(await (await friend.open(url)).echoBytes(3));
    const refused = await stranger.open(url);
    assert.deepEqual(await refused.closed(), { code: 1006, reason: "", wasClean: false });
    assert.deepEqual([gateway.counters.joins, gateway.counters.refusals["bad-origin"]], [1, 1]);
  });

  test("is told with which code and why it is dropped", async (t) => {
    const { url, joined, manager } = await startEcho(t);
    const socket = await (await openPage(t, browser)).open(url);
    const [session] = await joined;
    const left = next<[Session, { reason: string }]>(manager, "leave");
    manager.drop(session, { code: 4001, reason: "you have been outplayed, grüße" });
    const close = { code: 4001, reason: "you have been outplayed, grüße", wasClean: true };
    assert.deepEqual(await socket.closed(), close);
    assert.equal((await left)[1].reason, "dropped");
  });

  test("is told that the gateway goes away", async (t) => {
    const { url, gateway } = await startEcho(t);
    const socket = await (await openPage(t, browser)).open(url);
    gateway.drain("a test");
    assert.deepEqual(await socket.closed(), { code: 1001, reason: "shutdown", wasClean: true });
    assert.deepEqual(await gateway.ended, { code: 0 });
  });

  test("is told that its message was too big", async (t) => {
    const { url } = await startEcho(t, "maxMessageBytes=1000");
    const socket = await (await openPage(t, browser)).open(url);
    assert.ok(await socket.echoBytes(1000));
    await socket.send(1001);
    const { code, wasClean } = await socket.closed();
    assert.deepEqual([code, wasClean], [1009, true]);
  });

  test("leaves by a close of its own, or by going away", async (t) => {
    const { url, manager } = await startEcho(t);
    const page = await openPage(t, browser);
    const leaves: (() => Promise<void>)[] = [
      async () => {
        const socket = await page.open(url);
        await socket.close(4002, "good night");
        assert.deepEqual(await socket.closed(), { code: 4002, reason: "", wasClean: true });
      },
      async () => {
        await page.open(url);
        await page.leave();
      },
    ];
    for (const leave of leaves) {
      const left = next<[Session, { reason: string }]>(manager, "leave");
      await leave();
      assert.equal((await left)[1].reason, "client-closed");
    }
  });

  test("compresses with the gateway: 20 KB of text are a few hundred bytes, both ways", async (t) => {
    const { port } = await startEcho(t, "deflate=true&frames=mirror");
    const relay = await startRelay(t, port);
    const socket = await (await openPage(t, browser)).open(`ws://127.0.0.1:${relay.port}/`);
    assert.match((await socket.agreed()).extensions, /^permessage-deflate/);
    const { up, down } = relay;
    const text = "all work and no play ".repeat(1000);
    assert.equal(await socket.echoText(text), text);
    const [sent, received] = [relay.up - up, relay.down - down];
    assert.ok(sent < 1000 && received < 1000, `${sent} bytes up, ${received} down`);
    assert.ok(await socket.echoBytes(65_536), "the longest message too");
  });

  test("that says nothing answers the gateway's pings, and stays", async (t) => {
    const { manager, link } = await startManager(t);
    behaviours.echo(manager);
    const clock = new FakeClock();
    const gateway = await startTestGateway(t, link, { listen: ["ws://127.0.0.1:0?pingMs=1000"] }, { clock });
    await until(() => (gateway.endpoints[0]?.port ?? 0) > 0, "it listens");
    const relay = await startRelay(t, gateway.endpoints[0]?.port ?? 0);
    const joined = next(manager, "join");
    const socket = await (await openPage(t, browser)).open(`ws://127.0.0.1:${relay.port}/`);
    await joined;
    for (let pings = 0; pings < 3; pings++) {
      const { up, down } = relay;
      await until(() => {
        if (relay.down === down) clock.advance(20);
        return relay.up > up;
      }, "the page answers a ping");
    }
    assert.ok(await socket.echoBytes(3));
  });

  test("plays through the gateway and the manager as processes", async (t) => {
    const manager = `unix:${join(temporaryDirectory(t), "manager.sock")}`;
    new TestProcess(t, "manager-stub/main.ts", ["--listen", manager, "--http", "127.0.0.1:0"]);
    const listen = ["tcp://127.0.0.1:0?name=game", "ws://127.0.0.1:0?name=web"];
    const gateway = new TestProcess(
      t,
      "gateway/main.ts",
      [["--manager", manager], ["--drain-ms", "0"], ...listen.map((url) => ["--listen", url])].flat(),
    );
    const { endpoints } = (await gateway.logged("listening")) as unknown as { endpoints: Endpoint[] };
    const web = endpoints.find(({ name }) => name === "web");
    const socket = await (await openPage(t, browser)).open(`ws://127.0.0.1:${web?.port}/`);
    assert.ok(await socket.echoBytes(5000));
    gateway.child.kill("SIGTERM");
    assert.deepEqual(await socket.closed(), { code: 1001, reason: "shutdown", wasClean: true });
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
  });
});
