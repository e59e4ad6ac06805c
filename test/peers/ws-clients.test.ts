/** WebSocket clients that others wrote: Node's own (undici), and two of Python's that have a command line. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { behaviours } from "../../manager-stub/behaviours.ts";
import type { Session } from "../../manager-stub/index.ts";
import { startRig } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { PeerProcess, skipWithout } from "./peer-process.ts";

/** Debian's, which has Debian's packages. */
const PYTHON = "/usr/bin/python3";

/** A manager that echoes, and a gateway with one WebSocket listener. */
async function startEcho(t: TestContext, options = "") {
  const rig = await startRig(t, { settings: { listen: [`ws://127.0.0.1:0?${options}`] } });
  behaviours.echo(rig.manager);
  const joined = next<[Session]>(rig.manager, "join");
  return { ...rig, joined, url: `ws://127.0.0.1:${rig.port}/play?room=7` };
}

/** Node's client, once it is open. */
async function openSocket(t: TestContext, url: string, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols);
  t.after(() => socket.close());
  socket.binaryType = "arraybuffer";
  await next(socket, "open");
  return socket;
}

/** The next message. */
async function hears(socket: WebSocket): Promise<unknown> {
  const [event] = await next<[MessageEvent]>(socket, "message");
  return event.data;
}

describe("undici's WebSocket", () => {
  test("hears its messages again, of every length that is written differently", async (t) => {
    const { url } = await startEcho(t);
    const socket = await openSocket(t, url);
    for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
      const sent = Buffer.from(Array.from({ length }, (_, index) => (index * 31) % 256));
      const answer = hears(socket);
      socket.send(sent);
      assert.ok(Buffer.from((await answer) as ArrayBuffer).equals(sent), `${length} bytes`);
    }
  });

  test("compresses with the gateway, and sends text", async (t) => {
    const { url } = await startEcho(t, "deflate=true&frames=mirror");
    const socket = await openSocket(t, url);
    assert.match(socket.extensions, /permessage-deflate/);
    for (const text of ["short", "grüße ".repeat(4000)]) {
      const answer = hears(socket);
      socket.send(text);
      assert.equal(await answer, text);
    }
  });

  test("has its subprotocol agreed, and is told why it is dropped", async (t) => {
    const { url, joined, manager } = await startEcho(t, "subprotocols=v2.game,v1.game");
    const socket = await openSocket(t, url, ["v1.game", "v0.game"]);
    const [session] = await joined;
    assert.deepEqual([socket.protocol, session.subprotocol], ["v1.game", "v1.game"]);
    assert.deepEqual([session.path, session.query], ["/play", "room=7"]);
    const closed = next<[CloseEvent]>(socket, "close");
    manager.drop(session, { code: 4001, reason: "enough" });
    const [{ code, reason, wasClean }] = await closed;
    assert.deepEqual({ code, reason, wasClean }, { code: 4001, reason: "enough", wasClean: true });
  });

  test("leaves with a code of its own", async (t) => {
    const { url, joined, manager } = await startEcho(t);
    const left = next<[Session, { reason: string }]>(manager, "leave");
    const socket = await openSocket(t, url);
    await joined;
    const closed = next<[CloseEvent]>(socket, "close");
    socket.close(4002, "good night");
    assert.equal((await left)[1].reason, "client-closed");
    const [{ code, wasClean }] = await closed;
    assert.deepEqual([code, wasClean], [4002, true]);
  });

  test("as a plain HTTP client is told to upgrade", async (t) => {
    const { port, gateway } = await startEcho(t);
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.deepEqual([response.status, response.headers.get("upgrade")], [426, "websocket"]);
    assert.equal(await response.text(), "bad-upgrade\n");
    assert.equal(gateway.counters.refusals["bad-upgrade"], 1);
  });
});

const skipWsdump = skipWithout("wsdump (python3-websocket)", ["wsdump", "--help"]);

describe("wsdump, of websocket-client", { skip: skipWsdump }, () => {
  const dump = (t: TestContext, url: string, ...args: string[]) =>
    new PeerProcess(t, ["wsdump", url, "--raw", "--verbose", "1", ...args]);

  test("hears its lines again as text, and is told its end", async (t) => {
    const { url, joined, manager } = await startEcho(t, "frames=text&subprotocols=game");
    const client = dump(t, url, "--subprotocols", "game");
    client.send("hello\n");
    await client.says("text: hello\n");
    const [session] = await joined;
    assert.equal(session.subprotocol, "game");
    manager.broadcast(Buffer.from([0, 255]));
    await client.says("binary: b'\\x00\\xff'\n");
    manager.drop(session);
    await client.says("close: None\n");
  });

  test("is refused with a wrong origin", async (t) => {
    const { url, gateway } = await startEcho(t, "origins=https://game.example");
    const client = dump(t, url, "--origin", "https://evil.example");
    await client.exited;
    assert.match(client.stderr, /Handshake status 403 Forbidden/);
    assert.equal(gateway.counters.refusals["bad-origin"], 1);
    const friend = dump(t, url, "--origin", "https://game.example", "--text", "hello");
    await friend.says("binary: b'hello'\n");
  });
});

const skipWebsockets = skipWithout("python3-websockets", [PYTHON, "-m", "websockets", "--version"]);

describe("the command line of Python's websockets", { skip: skipWebsockets }, () => {
  const connect = (t: TestContext, url: string) => new PeerProcess(t, [PYTHON, "-m", "websockets", url]);

  test("hears its lines again, compressed, and why it is dropped", async (t) => {
    const { url, joined, manager } = await startEcho(t, "frames=text&deflate=true");
    const client = connect(t, url);
    await client.says(`Connected to ${url}.`);
    const long = "round and round ".repeat(500);
    for (const line of ["hello", long]) {
      client.send(`${line}\n`);
      await client.says(`< ${line}\n`);
    }
    const [session] = await joined;
    manager.drop(session, { code: 4001, reason: "enough" });
    await client.says("Connection closed: 4001 (private use) enough.");
  });

  test("closes in good order at the end of its input", async (t) => {
    const { url, manager, gateway } = await startEcho(t);
    const left = next<[Session, { reason: string }]>(manager, "leave");
    const client = connect(t, url);
    await client.says("Connected");
    client.end();
    await client.says("Connection closed: 1000 (OK).");
    assert.equal((await left)[1].reason, "client-closed");
    await until(() => gateway.sessions.table.usedCount === 0, "its slot is free");
  });
});
