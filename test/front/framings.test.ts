/** Native clients and browsers alike: whatever tells their messages apart, the logic server does not notice. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { until } from "../helpers/wait.ts";
import { RawWeb } from "./raw-web.ts";
import { startFront } from "./support.ts";

const { concat, from } = Buffer;

function u16be(text: string): Buffer {
  return concat([from([text.length >> 8, text.length & 0xff]), from(text)]);
}

/** The length counts its own four bytes too. */
function u32leInclusive(text: string): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(text.length + 4);
  return concat([prefix, from(text)]);
}

const LISTENERS = [
  "tcp://127.0.0.1:0?name=short&framing=u16be",
  "tcp://127.0.0.1:0?name=long&framing=u32le&lengthCountsItself=true",
  "tcp://127.0.0.1:0?name=lines&framing=line",
  `tls://127.0.0.1:0?name=secret&framing=u16be&${TLS_PARAMETERS}`,
  "ws://127.0.0.1:0?name=web",
];

describe("one logic server", () => {
  test("serves clients of every framing alike", async (t) => {
    const front = await startFront(t, LISTENERS);
    const { manager } = front;
    manager.on("message", (session, payload) => {
      manager.send(session, `you said '${payload}'`);
      if (payload.toString() === "all") manager.broadcast("to everybody");
    });
    const short = await front.dial("short");
    const long = await front.dial("long");
    const lines = await front.dial("lines");
    const secret = TestClient.overTls(front.portOf("secret"));
    t.after(() => secret.close());
    const web = await front.dialWeb("web");
    await front.joined(5);
    assert.deepEqual(front.joins.map(({ listener, framing }) => `${listener} ${framing}`).sort(), [
      "lines line",
      "long u32le",
      "secret u16be",
      "short u16be",
      "web websocket",
    ]);

    // Cut anywhere, and several at once: each message comes whole.
    short.send(concat([u16be("hello"), u16be(""), u16be("a\nb").subarray(0, 3)]));
    await front.heard(2);
    short.send(u16be("a\nb").subarray(3));
    long.send(concat([u32leInclusive("hello"), u32leInclusive(""), u32leInclusive("a\nb")]));
    lines.send("hello\r\n\na b\n");
    secret.send(concat([u16be("hello"), u16be(""), u16be("a\nb")]));
    for (const text of ["hello", "", "a\nb"]) web.socket.send(text);
    await front.heard(15);
    for (const listener of ["short", "long", "lines", "secret", "web"]) {
      const said = front.messages.filter(({ session }) => session.listener === listener);
      const third = listener === "lines" ? "a b" : "a\nb";
      assert.deepEqual(
        said.map(({ text }) => text),
        ["hello", "", third],
        listener,
      );
    }

    web.socket.send("all");
    const answers = (third: string) => ["you said 'hello'", "you said ''", `you said '${third}'`];
    const [wanted, onLines] = [
      [...answers("a\nb"), "to everybody"],
      [...answers("a b"), "to everybody"],
    ];
    const framed = (frame: (text: string) => Buffer) => concat(wanted.map(frame)).toString();
    await short.expect(framed(u16be));
    await long.expect(framed(u32leInclusive));
    await lines.expect(onLines.map((text) => `${text}\n`).join(""));
    await secret.expect(framed(u16be));
    await until(() => web.messages.length === 5, "the web client has everything");
    assert.deepEqual(web.messages.map(String), [...answers("a\nb"), "you said 'all'", "to everybody"]);
  });

  test("is told of a message only once it is whole, however it comes", async (t) => {
    const front = await startFront(t, LISTENERS);
    const client = await front.dial("short");
    client.socket.setNoDelay(true);
    const bytes = u16be("byte by byte");
    for (const byte of bytes) {
      client.send(from([byte]));
      const sent = client.socket.bytesWritten;
      await until(
        () => client.socket.writableLength === 0 && client.socket.bytesWritten === sent,
        "it is sent",
      );
    }
    assert.deepEqual(await front.heard(1), ["byte by byte"]);
    assert.equal(front.messages.length, 1);
  });
});

describe("a message that is longer than the listener allows", () => {
  for (const [name, url, prefix] of [
    ["16 bits", "tcp://127.0.0.1:0?framing=u16be&maxMessageBytes=1000", from([0x03, 0xe9])],
    ["32 bits", "tcp://127.0.0.1:0?framing=u32le&maxMessageBytes=1000", from([0xff, 0xff, 0xff, 0x7f])],
    [
      "a WebSocket frame's length",
      "ws://127.0.0.1:0?maxMessageBytes=1000",
      from([0x82, 0x80 | 126, 0x03, 0xe9]),
    ],
  ] as const) {
    test(`ends its client as too big as soon as ${name} say so, before any of it has come`, async (t) => {
      const front = await startFront(t, url);
      const web = url.startsWith("ws") ? await RawWeb.open(t, front.port) : undefined;
      const client = web?.client ?? (await front.dial());
      await front.joined();
      client.send(prefix);
      await client.untilEnded();
      if (web !== undefined) assert.deepEqual(await web.closed(), [1009, "too-big"]);
      client.close();
      const { reason, by, inMsgs } = await front.ended();
      assert.deepEqual([reason, by, inMsgs], ["too-big", "gateway", 0]);
    });
  }

  test("is taken when it is exactly as long", async (t) => {
    const front = await startFront(t, [
      "tcp://127.0.0.1:0?name=short&framing=u16be&maxMessageBytes=1000",
      "tcp://127.0.0.1:0?name=lines&framing=line&maxMessageBytes=1000",
      "ws://127.0.0.1:0?name=web&maxMessageBytes=1000",
    ]);
    const text = "x".repeat(1000);
    (await front.dial("short")).send(u16be(text));
    (await front.dial("lines")).send(`${text}\r\n`);
    (await front.dialWeb("web")).socket.send(text);
    assert.deepEqual(await front.heard(3), [text, text, text]);
  });

  test("is one over the manager's own bound, too", async (t) => {
    const front = await startFront(t, "tcp://127.0.0.1:0?framing=u32be&maxMessageBytes=1000000", {
      manager: { maxFrame: 65_536 },
    });
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(65_536 - 4);
    const client = await front.dial();
    client.send(concat([prefix, Buffer.alloc(65_532, "x")]));
    await front.heard(1);
    prefix.writeUInt32BE(65_536 - 3);
    client.send(prefix);
    await client.untilEnded();
    client.close();
    assert.equal((await front.ended()).reason, "too-big");
    assert.equal(front.view.health, "up");
  });

  test("ends its client when the manager sends it and the framing can't say it, and nobody else", async (t) => {
    const front = await startFront(t, LISTENERS);
    const short = await front.dial("short");
    const lines = await front.dial("lines");
    await front.joined(2);
    const text = "x".repeat(65_536);
    front.manager.broadcast(text);
    await short.untilEnded();
    short.close();
    const { reason, by } = await front.ended();
    assert.deepEqual([reason, by], ["too-big", "gateway"]);
    assert.equal(short.receivedBytes, 0);
    await lines.expect(`${text}\n`);
    assert.equal(front.ends.length, 1);
  });
});

describe("what breaks the framing", () => {
  test("ends its client as a bad frame, behind what came before", async (t) => {
    const front = await startFront(t, LISTENERS);
    const client = await front.dial("long");
    const tooShort = from([3, 0, 0, 0]);
    client.send(concat([u32leInclusive("good"), tooShort, u32leInclusive("never")]));
    await client.untilEnded();
    client.close();
    const { reason, by, inMsgs } = await front.ended();
    assert.deepEqual([reason, by, inMsgs], ["bad-frame", "gateway", 1]);
    assert.deepEqual(
      front.messages.map(({ text }) => text),
      ["good"],
    );
  });

  test("does not concern the others who read through the same buffer", async (t) => {
    const front = await startFront(t, LISTENERS);
    const bad = await front.dial("long");
    const good = await front.dial("long");
    good.send(u32leInclusive("half a message").subarray(0, 10));
    bad.send(from([0, 0, 0, 0]));
    await bad.untilEnded();
    good.send(u32leInclusive("half a message").subarray(10));
    assert.deepEqual(await front.heard(1), ["half a message"]);
  });
});
