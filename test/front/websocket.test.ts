import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { TestClient } from "../helpers/client.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { readPaths } from "../helpers/poller.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "./raw-web.ts";
import { type Front, startFront } from "./support.ts";

const PLAIN = "ws://127.0.0.1:0";

/** A WebSocket by hand that has joined. */
async function open(t: TestContext, front: Front, request?: string): Promise<RawWeb> {
  const before = front.joins.length;
  const web = await RawWeb.open(t, front.port, request);
  await front.joined(before + 1);
  return web;
}

/** Answers each message with itself. */
function echo({ manager }: Front): void {
  manager.on("message", (session, payload) => manager.send(session, payload));
}

/** The message as one compressed frame, as RFC 7692 has it. */
function compressed(message: Buffer, options = {}): Buffer {
  return deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH, ...options }).subarray(0, -4);
}

describe("what a WebSocket's messages are sent as", () => {
  for (const [frames, wanted] of [
    ["binary", [true, true]],
    ["text", [false, false]],
    ["mirror", [false, true]],
  ] as const) {
    test(`${frames}`, async (t) => {
      const front = await startFront(t, `${PLAIN}?frames=${frames}`);
      echo(front);
      const web = await front.dialWeb();
      web.socket.send("as text");
      await until(() => web.messages.length === 1, "the first answer is there");
      web.socket.send(Buffer.from("as binary"));
      await until(() => web.messages.length === 2, "the second answer is there");
      assert.deepEqual(web.messages.map(String), ["as text", "as binary"]);
      assert.deepEqual(web.binary, wanted);
    });
  }

  test("mirror: binary to a client that has not said anything, and to each as it speaks when it goes to all", async (t) => {
    const front = await startFront(t, `${PLAIN}?frames=mirror`);
    const silent = await front.dialWeb();
    const texting = await front.dialWeb();
    texting.socket.send("text");
    await front.heard(1);
    front.manager.broadcast("to all");
    await until(() => silent.messages.length + texting.messages.length === 2, "both have it");
    assert.deepEqual([silent.binary, texting.binary], [[true], [false]]);
  });

  test("text: what is no UTF-8 goes as binary, or the client would have to hang up", async (t) => {
    const front = await startFront(t, `${PLAIN}?frames=text`);
    const web = await front.dialWeb();
    const session = await front.joined();
    front.manager.send(session, Buffer.from([0xff, 0xfe]));
    front.manager.send(session, "grüße");
    await until(() => web.messages.length === 2, "both have come");
    assert.deepEqual([web.binary, web.closed], [[true, false], false]);
  });
});

describe("a WebSocket's message", () => {
  test("is one, in however many frames, and whatever control frames stand between them", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await open(t, front);
    web.send(Opcode.text, "one ", { fin: false });
    web.send(Opcode.ping, "are you there?");
    web.send(Opcode.continuation, "message", { fin: false });
    web.send(Opcode.pong, "");
    web.send(Opcode.continuation, "", { fin: true });
    web.send(Opcode.binary, "");
    web.send(Opcode.binary, "next");
    assert.deepEqual(await front.heard(3), ["one message", "", "next"]);
    const pong = await web.frame(1);
    assert.deepEqual([pong.opcode, String(pong.payload)], [Opcode.pong, "are you there?"]);
  });

  test("may be sent before the upgrade is answered", async (t) => {
    const front = await startFront(t, PLAIN);
    const early = clientFrame(Opcode.binary, "early");
    const web = RawWeb.start(t, front.port, Buffer.concat([Buffer.from(upgradeRequest()), early, early]));
    assert.deepEqual(await front.heard(2), ["early", "early"]);
    assert.equal(await web.status(), 101);
  });

  test("may be as long as is allowed, in one frame or many", async (t) => {
    const front = await startFront(t, `${PLAIN}?maxMessageBytes=10000`);
    const web = await open(t, front);
    web.send(Opcode.binary, "x".repeat(10_000));
    web.send(Opcode.binary, "y".repeat(5000), { fin: false });
    web.send(Opcode.continuation, "y".repeat(5000));
    assert.deepEqual(await front.heard(2), ["x".repeat(10_000), "y".repeat(10_000)]);
  });

  test("is too big when its frames together are", async (t) => {
    const front = await startFront(t, `${PLAIN}?maxMessageBytes=1000`);
    const web = await open(t, front);
    for (let i = 0; i < 3; i++) {
      web.send(i === 0 ? Opcode.binary : Opcode.continuation, "x".repeat(400), { fin: false });
    }
    assert.deepEqual(await web.closed(), [1009, "too-big"]);
    web.client.close();
    const { reason, by } = await front.ended();
    assert.deepEqual([reason, by], ["too-big", "gateway"]);
    assert.deepEqual(front.messages, []);
  });

  for (const [what, bytes, code] of [
    ["a frame without a mask", clientFrame(Opcode.binary, "x", { masked: false }), 1002],
    ["an unknown opcode", clientFrame(3, "x"), 1002],
    ["a continuation of nothing", clientFrame(Opcode.continuation, "x"), 1002],
    ["a ping in pieces", clientFrame(Opcode.ping, "x", { fin: false }), 1002],
    ["a ping that is too long", clientFrame(Opcode.ping, "x".repeat(126)), 1002],
    ["compression that was not agreed", clientFrame(Opcode.binary, "x", { compressed: true }), 1002],
    ["text that is no UTF-8", clientFrame(Opcode.text, Buffer.from([0xff])), 1007],
    [
      "a message in too many frames",
      Buffer.concat([
        clientFrame(Opcode.binary, "", { fin: false }),
        ...Array.from({ length: 1025 }, () => clientFrame(Opcode.continuation, "", { fin: false })),
      ]),
      1008,
    ],
  ] as const) {
    test(`is no ${what}: that is a bad frame, ${code}`, async (t) => {
      const front = await startFront(t, PLAIN);
      const web = await open(t, front);
      web.send(Opcode.binary, "good");
      web.client.send(Buffer.concat([bytes, clientFrame(Opcode.binary, "never")]));
      assert.deepEqual(await web.closed(), [code, "bad-frame"]);
      web.client.close();
      const { reason, by } = await front.ended();
      assert.deepEqual([reason, by], ["bad-frame", "gateway"]);
      assert.deepEqual(
        front.messages.map(({ text }) => text),
        ["good"],
      );
    });
  }
});

describe("the end of a WebSocket", () => {
  test("by its client is answered with the client's own code", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await front.dialWeb();
    web.socket.close(4123, "bored");
    await until(() => web.closed, "the client is answered");
    assert.equal(web.closeCode, 4123);
    const { reason, by } = await front.ended();
    assert.deepEqual([reason, by], ["client-closed", "client"]);
  });

  test("by its client without a code is answered without one", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await open(t, front);
    web.send(Opcode.binary, "last words");
    web.send(Opcode.close, "");
    assert.deepEqual(await web.closed(), [0, ""]);
    assert.deepEqual(await front.heard(1), ["last words"]);
    web.client.close();
    assert.equal((await front.ended()).reason, "client-closed");
  });

  for (const { readPath, skip } of readPaths) {
    test(`by its client is told at once, read path ${readPath}, though its stream stays open`, {
      skip,
    }, async (t) => {
      // No time passes here.
      const front = await startFront(t, PLAIN, { clock: new FakeClock(), settings: { readPath } });
      const web = await open(t, front);
      front.manager.send(await front.joined(), "x".repeat(50_000));
      await web.frame(1);
      web.send(Opcode.binary, "last words");
      web.send(Opcode.close, Buffer.from([0x10, 0x1b]));
      assert.equal((await front.ended()).reason, "client-closed");
      assert.deepEqual(await front.heard(1), ["last words"]);
      assert.deepEqual(await web.closed(), [4123, ""]);
      assert.equal(front.gateway.sessions.connectedCount, 0);
    });
  }

  test("by its client is told at once over TLS, too", async (t) => {
    const front = await startFront(t, `wss://127.0.0.1:0?${TLS_PARAMETERS}`, { clock: new FakeClock() });
    const client = TestClient.overTls(front.port);
    t.after(() => client.close());
    client.send(Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(Opcode.close, "")]));
    assert.equal((await front.ended()).reason, "client-closed");
    await client.untilEnded();
    assert.deepEqual([...client.received.subarray(-2)], [0x80 | Opcode.close, 0], "it is answered");
  });

  test("by its client with a code that nobody may say is a bad frame", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await open(t, front);
    web.send(Opcode.close, Buffer.from([1005 >> 8, 1005 & 0xff]));
    assert.equal((await web.closed())[0], 1002);
    web.client.close();
    assert.equal((await front.ended()).reason, "bad-frame");
  });

  test("of its stream, without a close frame, is its client's end", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await open(t, front);
    web.send(Opcode.binary, "last words");
    await front.heard(1);
    web.client.end();
    assert.equal((await front.ended()).reason, "client-closed");
  });

  for (const [what, drop, wanted] of [
    ["a drop", {}, [1000, ""]],
    ["a drop with a reason", { reason: "kicked" }, [1000, "kicked"]],
    ["a drop with a code", { code: 4001, reason: "cheating" }, [4001, "cheating"]],
    ["a drop with a code that may not be said", { code: 1006 }, [1000, ""]],
    ["a drop with a code of nobody's", { code: 2999, reason: "no" }, [1000, "no"]],
    ["a drop that says too much", { reason: "ä".repeat(100) }, [1000, "ä".repeat(61)]],
    ["a drop that says half a character", { reason: `${"x".repeat(121)}😀` }, [1000, "x".repeat(121)]],
  ] as const) {
    test(`by ${what} says so, behind what was sent before`, async (t) => {
      const front = await startFront(t, PLAIN);
      const web = await open(t, front);
      const session = await front.joined();
      front.manager.send(session, "goodbye");
      front.manager.drop(session, drop);
      assert.deepEqual(await web.closed(), wanted);
      assert.deepEqual(web.frames.map(({ payload }) => String(payload))[0], "goodbye");
      web.send(Opcode.close, web.frames.at(-1)?.payload ?? "");
      web.client.end();
      const { reason, by } = await front.ended();
      assert.deepEqual([reason, by], ["dropped", "manager"]);
    });
  }

  test("by a discarding drop is no close frame", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await front.dialWeb();
    front.manager.drop(await front.joined(), { discard: true });
    await until(() => web.closed, "the client is cut off");
    assert.equal(web.closeCode, 1006);
    assert.equal((await front.ended()).reason, "drop-discarded");
  });

  test("of the gateway says that it goes away", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await front.dialWeb();
    front.gateway.drain("update");
    await until(() => web.closed, "the client is told");
    assert.deepEqual([web.closeCode, web.closeReason], [1001, "shutdown"]);
    assert.equal((await front.ended()).reason, "shutdown");
  });

  for (const scheme of ["ws", "wss"] as const) {
    test(`with its manager says to come back: ${scheme}`, async (t) => {
      const listen = scheme === "ws" ? PLAIN : `wss://127.0.0.1:0?${TLS_PARAMETERS}`;
      const front = await startFront(t, listen, { settings: { holdMs: 0 } });
      const web = await WebSocketClient.connect(`${scheme}://127.0.0.1:${front.port}/`);
      t.after(() => web.close());
      await front.joined();
      await front.manager.close();
      await until(() => web.closed, "the client is told");
      assert.deepEqual([web.closeCode, web.closeReason], [1012, "manager-lost"]);
    });
  }

  test("for want of a slot says to try again", async (t) => {
    const front = await startFront(t, PLAIN, { manager: { capacity: 1 } });
    await front.dialWeb();
    await front.joined();
    const second = new WebSocketClient(`ws://127.0.0.1:${front.port}/`);
    await until(() => second.closed, "the second is told");
    assert.deepEqual([second.closeCode, second.closeReason], [1013, "no-slot"]);
    await front.untilRefused({ "no-slot": 1 });
    assert.equal(front.joins.length, 1);
  });

  for (const { readPath, skip } of readPaths) {
    test(`for want of a slot is waited for a second, and then cut: ${readPath}`, { skip }, async (t) => {
      const clock = new FakeClock();
      const manager = { capacity: 1 };
      const front = await startFront(t, PLAIN, { manager, clock, settings: { readPath } });
      await front.dialWeb();
      await front.joined();
      for (let visit = 1; visit <= 2; visit++) {
        const web = await RawWeb.open(t, front.port);
        const farewell = await web.frame(1);
        assert.deepEqual([farewell.opcode, farewell.payload.readUInt16BE()], [Opcode.close, 1013]);
        // It neither answers nor closes.
        clock.advance(999);
        const another = await TestClient.connect(front.port);
        await another.untilEnded();
        assert.equal(another.receivedBytes, 0, "who comes meanwhile is closed at once");
        assert.equal(front.gateway.counters.refused, 2 * visit);
        clock.advance(1);
        // Then there is room for the next.
        await until(() => {
          web.send(Opcode.text, "still here");
          return web.client.closed;
        }, "it is cut");
      }
    });
  }
});

describe("a request for a WebSocket", () => {
  const start = (t: TestContext, options: string, request: string, settings = {}) =>
    startFront(t, `${PLAIN}${options}`, { settings }).then((front) => ({
      front,
      web: RawWeb.start(t, front.port, request),
    }));

  for (const [what, request, status, refusal] of [
    ["is none, but a page is asked for", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426, "bad-upgrade"],
    ["is none, and has not even a host", "GET / HTTP/1.1\r\n\r\n", 426, "bad-upgrade"],
    [
      "is none, but something is posted",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
      426,
      "bad-upgrade",
    ],
    ["expects what nobody has", "GET / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n", 417, "bad-upgrade"],
    ["wants a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "bad-upgrade"],
    ["is no HTTP", "hello, is anybody there?\r\n\r\n", 400, "bad-upgrade"],
    ["has no key", upgradeRequest("/", { "Sec-WebSocket-Key": undefined }), 400, "bad-upgrade"],
    ["has a key that is none", upgradeRequest("/", { "Sec-WebSocket-Key": "short" }), 400, "bad-upgrade"],
    ["has another version", upgradeRequest("/", { "Sec-WebSocket-Version": "12" }), 400, "bad-upgrade"],
    ["wants another protocol", upgradeRequest("/", { Upgrade: "h2c" }), 400, "bad-upgrade"],
    ["has a body", upgradeRequest("/", { "Content-Length": "5" }), 400, "bad-upgrade"],
    ["is too long", upgradeRequest("/", { "X-Long": "x".repeat(8192) }), 400, "bad-upgrade"],
    ["is far too long", upgradeRequest("/", { "X-Long": "x".repeat(30_000) }), 400, "bad-upgrade"],
    ["has a query that no manager takes", upgradeRequest(`/?${"q".repeat(4097)}`), 403, "bad-upgrade"],
    ["has a path that no manager takes", upgradeRequest(`/${"p".repeat(2048)}`), 404, "bad-path"],
  ] as const) {
    test(`that ${what} is answered with ${status}`, async (t) => {
      const { front, web } = await start(t, "", request);
      assert.equal(await web.status(), status);
      await web.client.untilEnded();
      assert.equal(String(web.body), `${refusal}\n`);
      assert.equal(web.header("connection"), "close");
      assert.equal(web.header("upgrade"), status === 426 ? "websocket" : undefined);
      await front.untilRefused({ [refusal]: 1 });
      await until(() => front.gateway.sessions.table.usedCount === 0, "its slot is free again");
      assert.equal(front.joins.length, 0);
    });
  }

  test("that never ends is reset when its time is over", async (t) => {
    const { front, web } = await start(t, "", "GET / HTTP/1.1\r\nHost:", { handshakeTimeoutMs: 50 });
    await web.client.untilEnded();
    await front.untilRefused({ "handshake-timeout": 1 });
  });

  test("must be for the path, if there is only one", async (t) => {
    const front = await startFront(t, `${PLAIN}?path=/game`);
    for (const path of ["/", "/Game", "/game/", "/gam", "/game%2f"]) {
      assert.equal(await RawWeb.start(t, front.port, upgradeRequest(path)).status(), 404, path);
    }
    await front.untilRefused({ "bad-path": 5 });
    await RawWeb.open(t, front.port, upgradeRequest("/game?room=1"));
    const { path, query } = await front.joined();
    assert.deepEqual([path, query], ["/game", "room=1"]);
  });

  test("must be from one of the origins, if there are some", async (t) => {
    const front = await startFront(t, `${PLAIN}?origins=https://game.example,https://beta.game.example`);
    for (const Origin of [
      undefined,
      "https://evil.example",
      "http://game.example",
      "https://game.example:8443",
    ]) {
      const web = RawWeb.start(t, front.port, upgradeRequest("/", { Origin }));
      assert.equal(await web.status(), 403, String(Origin));
    }
    await front.untilRefused({ "bad-origin": 4 });
    await RawWeb.open(t, front.port, upgradeRequest("/", { Origin: "https://beta.game.example" }));
    await front.joined();
  });

  test("is agreed on the subprotocol that the listener likes best", async (t) => {
    const front = await startFront(t, `${PLAIN}?subprotocols=v2,v1`);
    let clients = 0;
    const agreed = async (offered: string | undefined) => {
      const request = upgradeRequest("/", { "Sec-WebSocket-Protocol": offered });
      const web = await RawWeb.open(t, front.port, request);
      clients++;
      const { subprotocol } = await front.joined(clients);
      assert.equal(subprotocol, web.header("sec-websocket-protocol"));
      return subprotocol;
    };
    assert.equal(await agreed("v0, v1, v2"), "v2");
    assert.equal(await agreed("v1"), "v1");
    assert.equal(await agreed("v0"), undefined);
    assert.equal(await agreed(undefined), undefined);
  });

  test("that names no subprotocol, or leaves places in its list empty, names the others", async (t) => {
    const front = await startFront(t, PLAIN);
    const agreed = async (offered: string) => {
      const request = upgradeRequest("/", { "Sec-WebSocket-Protocol": offered });
      return (await RawWeb.open(t, front.port, request)).header("sec-websocket-protocol");
    };
    assert.equal(await agreed(""), undefined);
    assert.equal(await agreed(" , \t"), undefined);
    assert.equal(await agreed(", a,,b ,"), "a");
  });

  test("is agreed on what the client names first, where the listener does not mind", async (t) => {
    const front = await startFront(t, PLAIN);
    const web = await RawWeb.open(t, front.port, upgradeRequest("/", { "Sec-WebSocket-Protocol": "b, a" }));
    assert.equal(web.header("sec-websocket-protocol"), "b");
    assert.equal((await front.joined()).subprotocol, "b");
  });

  test("tells the manager its path, its query and the headers that it wants", async (t) => {
    const front = await startFront(t, `${PLAIN}?headers=user-agent,x-region,x-none,x-long`);
    const request = upgradeRequest("/a%20b/c?x=1&y=%20&x=2", {
      "User-Agent": "a game",
      "X-Region": "eu",
      "X-Long": "l".repeat(600),
      Cookie: "secret",
    });
    await RawWeb.open(t, front.port, request);
    const { path, query, headers, framing, transport } = await front.joined();
    assert.deepEqual([transport, framing, path, query], ["ws", "websocket", "/a%20b/c", "x=1&y=%20&x=2"]);
    assert.deepEqual(headers, { "user-agent": "a game", "x-region": "eu", "x-long": "l".repeat(512) });
  });

  test("says nothing of headers where none are wanted, and has an empty query when it has none", async (t) => {
    const front = await startFront(t, PLAIN);
    await RawWeb.open(t, front.port, upgradeRequest("/", { "User-Agent": "a game" }));
    const { path, query, headers } = await front.joined();
    assert.deepEqual([path, query, headers], ["/", "", undefined]);
  });

  test("can't say more of its client than the link carries", async (t) => {
    const front = await startFront(t, `${PLAIN}?headers=x-a`);
    const request = upgradeRequest(`/${"p".repeat(2047)}?${"'".repeat(4096)}`, {
      "Sec-WebSocket-Protocol": "s".repeat(300),
      "X-A": "ÿ".repeat(600),
    });
    const web = RawWeb.start(t, front.port, request);
    assert.equal(await web.status(), 101);
    const session = await front.joined();
    assert.deepEqual([session.path?.length, session.query?.length], [2048, 4096]);
    assert.equal(front.view.health, "up");
  });
});

describe("a WebSocket that says nothing", () => {
  /** As long as it takes to be pinged, and no longer. */
  const PINGED_MS = 31_500;

  test("is pinged, and is not taken for one in the midst of a message because it answers", async (t) => {
    const clock = new FakeClock();
    const front = await startFront(t, PLAIN, { clock });
    const web = await front.dialWeb();
    await front.joined();
    /** What it sent before was read: this is answered. */
    const settle = async () => {
      const before = web.pongs;
      web.socket.ping("and you?");
      await until(() => web.pongs > before || web.closed, "its ping is answered");
    };
    for (let pings = 1; pings <= 3; pings++) {
      clock.advance(PINGED_MS);
      await until(() => web.pings === pings || web.closed, "it is pinged");
      await settle();
      clock.advance(20_000);
      await settle();
      assert.equal(web.closed, false);
    }
    assert.deepEqual(front.ends, []);
  });

  test("and does not answer is closed as idle", async (t) => {
    const clock = new FakeClock();
    const front = await startFront(t, PLAIN, { clock });
    const web = await open(t, front);
    clock.advance(PINGED_MS);
    assert.equal((await web.frame(1)).opcode, Opcode.ping);
    clock.advance(PINGED_MS);
    assert.deepEqual(await web.closed(), [1001, "idle"]);
    assert.equal(web.frames.length, 2);
    web.client.close();
    const { reason, by } = await front.ended();
    assert.deepEqual([reason, by], ["idle", "gateway"]);
  });

  test("whose message stops in its midst is closed as idle", async (t) => {
    const clock = new FakeClock();
    const front = await startFront(t, PLAIN, { clock });
    const web = await open(t, front);
    web.client.send(clientFrame(Opcode.binary, "message").subarray(0, 8));
    const slot = front.gateway.sessions.table.slots.find(({ phase }) => phase === "inUse");
    await until(() => (slot?.connection?.pendingBytes ?? 0) > 0, "it has begun");
    clock.advance(13_000);
    assert.deepEqual(await web.closed(), [1001, "idle"]);
  });
});

describe("a WebSocket that compresses", () => {
  const DEFLATE = `${PLAIN}?deflate=true`;
  const offering = (extension = "permessage-deflate") =>
    upgradeRequest("/", { "Sec-WebSocket-Extensions": extension });

  test("is agreed on without context takeover, where the listener and the client want it", async (t) => {
    const front = await startFront(t, [`${DEFLATE}&name=deflating`, `${PLAIN}?name=plain`]);
    const agreed = async (name: string, request: string) =>
      (await RawWeb.open(t, front.portOf(name), request)).header("sec-websocket-extensions");
    const extension = (await agreed("deflating", offering())) ?? "";
    assert.match(extension, /permessage-deflate.*server_no_context_takeover/);
    assert.match(extension, /client_no_context_takeover/);
    assert.equal(await agreed("deflating", upgradeRequest()), undefined);
    assert.equal(await agreed("plain", offering()), undefined);
  });

  for (const [offers, taken] of [
    ["permessage-deflate; no_such_parameter, permessage-deflate", ""],
    ["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9, permessage-deflate", ""],
    ["permessage-deflate; client_max_window_bits=16, permessage-deflate; server_max_window_bits=11", "11"],
    ["permessage-deflate; server_max_window_bits=0x9, permessage-deflate; server_max_window_bits=10", "10"],
    ["permessage-deflate; server_max_window_bits, permessage-deflate; server_max_window_bits=12", "12"],
    ["permessage-deflate; client_no_context_takeover=1, permessage-deflate", ""],
    ["x-other; server_max_window_bits=8, permessage-deflate; server_max_window_bits=13", "13"],
    [", permessage-deflate,", ""],
    ["permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=10", "9"],
  ] as const) {
    test(`takes the first offer that it can: '${offers}'`, async (t) => {
      const front = await startFront(t, DEFLATE);
      const web = await RawWeb.open(t, front.port, offering(offers));
      const extension = web.header("sec-websocket-extensions") ?? "";
      assert.match(extension, /^permessage-deflate;/);
      assert.equal(/server_max_window_bits=(\d+)/.exec(extension)?.[1] ?? "", taken);
    });
  }

  for (const offers of [
    "",
    ",",
    "x-other",
    "permessage-deflate; no_such_parameter",
    "permessage-deflate; __proto__=1",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
  ]) {
    test(`does not, where no offer can be taken: '${offers}'`, async (t) => {
      const front = await startFront(t, DEFLATE);
      const web = await open(t, front, offering(offers));
      assert.equal(web.header("sec-websocket-extensions"), undefined);
      web.send(Opcode.binary, "plain");
      assert.deepEqual(await front.heard(1), ["plain"]);
    });
  }

  for (const offers of ["permessage-deflate; =9", "permessage deflate", 'permessage-deflate; a="']) {
    test(`is refused with offers that can't be read: '${offers}'`, async (t) => {
      const front = await startFront(t, DEFLATE);
      const web = RawWeb.start(t, front.port, offering(offers));
      assert.equal(await web.status(), 400);
      await front.untilRefused({ "bad-upgrade": 1 });
    });
  }

  test("tells the manager what it offered, not what was taken", async (t) => {
    const offers = "permessage-deflate; no_such_parameter, permessage-deflate";
    const front = await startFront(t, `${DEFLATE}&headers=sec-websocket-extensions`);
    await RawWeb.open(t, front.port, offering(offers));
    assert.deepEqual((await front.joined()).headers, { "sec-websocket-extensions": offers });
  });

  test("gets messages of a kibibyte compressed, shorter ones as they are, and may send either", async (t) => {
    const front = await startFront(t, DEFLATE);
    echo(front);
    const web = await open(t, front, offering());
    const long = Buffer.from("0123456789abcdef".repeat(64));
    web.send(Opcode.binary, compressed(long), { compressed: true });
    web.send(Opcode.binary, long.subarray(1));
    web.send(Opcode.binary, compressed(Buffer.from("short")), { compressed: true });
    await front.heard(3);
    const [first, second, third] = [await web.frame(1), await web.frame(2), await web.frame(3)];
    assert.deepEqual([first.compressed, second.compressed, third.compressed], [true, false, false]);
    assert.ok(first.payload.length < 100);
    const tail = Buffer.from([0, 0, 0xff, 0xff]);
    const inflated = inflateRawSync(Buffer.concat([first.payload, tail]), {
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    assert.deepEqual(inflated, long);
    assert.deepEqual([second.payload, String(third.payload)], [long.subarray(1), "short"]);
  });

  test("speaks with the usual client in both directions, with a broadcast, and with a small window", async (t) => {
    const front = await startFront(t, DEFLATE);
    echo(front);
    const dial = (perMessageDeflate: object) => front.dialWeb("ws-0", "/", { perMessageDeflate });
    const usual = await dial({ threshold: 0 });
    const small = await dial({ threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 });
    const plain = await front.dialWeb();
    // What comes again lies further back than a small window reaches.
    const noise = randomBytes(4000);
    const message = Buffer.concat([noise, noise, Buffer.alloc(10_000, "again and "), noise]);
    usual.socket.send(message);
    small.socket.send(message);
    await until(() => usual.messages.length === 1 && small.messages.length === 1, "both are answered");
    front.manager.broadcast(message);
    const all = [usual, small, plain];
    await until(
      () => usual.messages.length === 2 && small.messages.length === 2 && plain.messages.length === 1,
      "all have it",
    );
    for (const client of all) for (const got of client.messages) assert.ok(got.equals(message));
  });

  test("is too big when its message is, inflated; and no more of it is inflated than may be", async (t) => {
    const front = await startFront(t, DEFLATE);
    const web = await open(t, front, offering());
    const bomb = compressed(Buffer.alloc(60_000_000));
    assert.ok(bomb.length < 65_536, "it may well come");
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    web.send(Opcode.binary, bomb, { compressed: true });
    await until(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
      return web.client.ended;
    }, "it is turned away");
    assert.deepEqual(await web.closed(), [1009, "too-big"]);
    assert.ok(peak < 8_000_000, `${peak} bytes were inflated`);
    web.client.end();
    const { reason, inMsgs } = await front.ended();
    assert.deepEqual([reason, inMsgs], ["too-big", 0]);
    assert.equal(front.gateway.counters.flushTimeouts, 0, "its end is seen");
  });

  test("breaks the framing with what can't be inflated", async (t) => {
    const front = await startFront(t, DEFLATE);
    const web = await open(t, front, offering());
    web.send(Opcode.binary, Buffer.from("this is not deflated"), { compressed: true });
    assert.equal((await web.closed())[1], "bad-frame");
    web.client.end();
    assert.equal((await front.ended()).reason, "bad-frame");
  });

  test("has its messages delivered in order, also those that it sends while one is inflated", async (t) => {
    const front = await startFront(t, `${DEFLATE}&maxMessageBytes=4000000`, {
      manager: { maxFrame: 8 * 1024 * 1024 },
    });
    const web = await open(t, front, offering());
    const wanted: string[] = [];
    for (let i = 0; i < 20; i++) {
      const long = Buffer.alloc(200_000, `${i} and `);
      web.send(Opcode.binary, compressed(long), { compressed: true });
      web.send(Opcode.text, `plain ${i}`);
      wanted.push(String(long), `plain ${i}`);
    }
    assert.deepEqual(await front.heard(wanted.length), wanted);
  });
});
