import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { constants, deflateRawSync } from "node:zlib";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import type { AcceptSink, Listener } from "../../gateway/transports/listener.ts";
import type { Poller } from "../../gateway/transports/poller.ts";
import { sharedReadPath } from "../../gateway/transports/read-path.ts";
import { StreamConnection } from "../../gateway/transports/stream-connection.ts";
import { closeCodes, closePayload, faultCode, readClosePayload } from "../../gateway/transports/ws-close.ts";
import { RecordingSink } from "../contracts/transport.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "../front/raw-web.ts";
import { movers } from "../helpers/poller.ts";
import { until } from "../helpers/wait.ts";

const MIB = 1024 * 1024;

/** A second time for what the first has let go of. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
}

async function listen(
  t: TestContext,
  accept: AcceptSink,
  poller?: Poller,
  maxMessageBytes = 32 * MIB,
): Promise<Listener> {
  const address = parseListenAddress(`ws://127.0.0.1:0?deflate=true&maxMessageBytes=${32 * MIB}`);
  const context = { readPath: sharedReadPath(), poller, maxMessageBytes: () => maxMessageBytes };
  const listener = createListener(address, context, accept);
  await listener.open();
  t.after(() => listener.close());
  return listener;
}

describe("a WebSocket whose message is still being inflated", () => {
  const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": "permessage-deflate" });
  const deflated = (bytes: number) =>
    deflateRawSync(Buffer.alloc(bytes), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

  for (const ending of ["reset", "close"] as const) {
    test(`says nothing more once it is gone, by a ${ending}: its sink may serve another by then`, async (t) => {
      const sinks: RecordingSink[] = [];
      const listener = await listen(t, (arrival) => {
        const sink = new RecordingSink();
        sinks.push(sink);
        arrival.open(sink);
      });
      const first = await RawWeb.open(t, listener.endpoint.port, request);
      const [sink] = sinks;
      assert.ok(sink);
      sink.control = () => sink.connection?.[ending]();
      // The ping is heard in the same read, before the message behind it is inflated.
      const frames = [
        clientFrame(Opcode.ping, ""),
        clientFrame(Opcode.binary, deflated(16 * MIB), { compressed: true }),
      ];
      first.client.send(Buffer.concat(frames));
      await until(() => sink.closes === 1, "it is gone");
      const bytes = sink.bytes;
      // By the time that another has had a longer message inflated, so has this one.
      const second = await RawWeb.open(t, listener.endpoint.port, request);
      second.send(Opcode.binary, deflated(32 * MIB), { compressed: true });
      await until(() => sinks[1]?.bytes === 32 * MIB, "the other's message is there");
      assert.deepEqual([bytes, sink.bytes, sink.closes, sink.fault], [0, 0, 1, undefined]);
      sinks[1]?.connection?.close();
    });
  }
});

describe("what a WebSocket client says right before it ends its stream", () => {
  const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": "permessage-deflate" });
  const compressed = deflateRawSync(Buffer.alloc(MIB), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
    0,
    -4,
  );

  for (const { by, poller, skip } of movers) {
    // With much behind it the connection waits for what is inflated; with little it does not.
    for (const count of [3, 60]) {
      test(`is received, compressed or not, ${count} messages, read by ${by}`, { skip }, async (t) => {
        const sink = new RecordingSink();
        const listener = await listen(t, (arrival) => arrival.open(sink), poller);
        const { client } = await RawWeb.open(t, listener.endpoint.port, request);
        const plain = clientFrame(Opcode.binary, "x".repeat(1000));
        const frames = [clientFrame(Opcode.binary, compressed, { compressed: true })];
        client.send(Buffer.concat([...frames, ...Array.from({ length: count }, () => plain)]));
        client.end();
        await until(() => sink.closes === 1, "it is gone");
        assert.equal(sink.bytes, MIB + count * 1000);
      });
    }
  }
});

describe("a WebSocket that pings", () => {
  async function open(t: TestContext, poller?: Poller, request = upgradeRequest("/")) {
    const sink = new RecordingSink();
    const listener = await listen(t, (arrival) => arrival.open(sink), poller);
    const web = await RawWeb.open(t, listener.endpoint.port, request);
    await until(() => sink.connection !== undefined, "it is established");
    const { connection } = sink;
    assert.ok(connection instanceof StreamConnection);
    return { sink, web, connection };
  }

  for (const { by, poller, skip } of movers) {
    test(`gets the last of many that came at once answered, read by ${by}`, { skip }, async (t) => {
      const { sink, web, connection } = await open(t, poller);
      const pings = Array.from({ length: 1000 }, (_, nth) => clientFrame(Opcode.ping, `ping ${nth}`));
      const all = Buffer.concat(pings);
      // As one read brings them.
      connection.received(all, 0, all.length);
      assert.equal(sink.controls, 1000);
      const { opcode, payload } = await web.frame(1);
      assert.deepEqual([opcode, payload.toString()], [Opcode.pong, "ping 999"]);
      web.send(Opcode.ping, "and one more");
      assert.equal((await web.frame(2)).payload.toString(), "and one more");
      assert.equal(web.frames.length, 2);
    });

    test(`and never reads has nothing more queued for it than is worth answering, read by ${by}`, {
      skip,
    }, async (t) => {
      const { web, sink, connection } = await open(t, poller);
      web.client.pause();
      // What it is sent meanwhile it does not read either.
      while (connection.queuedBytes === 0) connection.write(Buffer.alloc(64 * 1024));
      const ping = clientFrame(Opcode.ping, "x".repeat(125));
      for (let pings = 0; pings < 5000; pings++) connection.received(Buffer.from(ping), 0, ping.length);
      assert.equal(sink.controls, 5000);
      assert.ok(connection.queuedBytes < 2 * 64 * 1024 + 200, `${connection.queuedBytes} bytes`);
    });
  }

  test("in the midst of a message in pieces is answered before that is whole", async (t) => {
    const { web, connection } = await open(t);
    const said = [clientFrame(Opcode.binary, "in ", { fin: false }), clientFrame(Opcode.ping, "1")];
    const read = Buffer.concat([...said, clientFrame(Opcode.ping, "2")]);
    connection.received(read, 0, read.length);
    assert.equal((await web.frame(1)).payload.toString(), "2");
    assert.equal(web.frames.length, 1);
  });
});

describe("a WebSocket's messages", () => {
  test("are the same wherever its reads were cut, plain frames and others in turn", async (t) => {
    const sinks: RecordingSink[] = [];
    const listener = await listen(t, (arrival) => {
      const sink = new RecordingSink();
      sinks.push(sink);
      arrival.open(sink);
    });
    await RawWeb.open(t, listener.endpoint.port, upgradeRequest("/"));
    const [sink] = sinks;
    const connection = sink?.connection;
    assert.ok(sink !== undefined && connection instanceof StreamConnection);
    const inner = Buffer.concat([clientFrame(Opcode.ping, "?"), clientFrame(Opcode.binary, "no frame")]);
    const lookingLikeFrames = Buffer.concat([Buffer.of(0x82, 0x80 | inner.length, 0, 0, 0, 0), inner]);
    const wanted = ["plain", "in pieces", inner, "plain again"].map((message) =>
      Buffer.from(message as string),
    );
    const said = Buffer.concat([
      clientFrame(Opcode.binary, "plain"),
      clientFrame(Opcode.text, "in ", { fin: false }),
      clientFrame(Opcode.ping, "?"),
      clientFrame(0, "pieces"),
      clientFrame(Opcode.pong, ""),
      lookingLikeFrames,
      clientFrame(Opcode.binary, "plain again"),
    ]);
    for (let first = 0; first <= said.length; first++) {
      for (const second of [first, Math.floor((first + said.length) / 2)]) {
        sink.parts.length = 0;
        sink.controls = 0;
        for (const [from, to] of [
          [0, first] as const,
          [first, second] as const,
          [second, said.length] as const,
        ])
          connection.received(Buffer.from(said.subarray(from, to)), 0, to - from);
        assert.deepEqual(sink.parts, wanted);
        assert.deepEqual([sink.controls, connection.pendingBytes], [2, 0]);
      }
    }
  });
});

describe("a WebSocket's message that is not whole", () => {
  test("bears no other in its midst", async (t) => {
    const sink = new RecordingSink();
    const listener = await listen(t, (arrival) => arrival.open(sink));
    const web = await RawWeb.open(t, listener.endpoint.port, upgradeRequest("/"));
    web.send(Opcode.binary, "in ", { fin: false });
    web.send(Opcode.binary, "another");
    await until(() => sink.fault !== undefined, "it is found wrong");
    assert.deepEqual([sink.fault, sink.parts], ["bad-frame", []]);
    sink.connection?.close();
    await until(() => sink.closes === 1, "it is gone");
  });

  test("costs what it weighs, though it drips, and everybody else has memory meanwhile", async (t) => {
    const clients = 10;
    const bytes = 1000;
    const sinks: RecordingSink[] = [];
    const listener = await listen(t, (arrival) => {
      const sink = new RecordingSink();
      sinks.push(sink);
      arrival.open(sink);
    });
    for (let i = 0; i < clients; i++) await RawWeb.open(t, listener.endpoint.port, upgradeRequest("/"));
    const drips = [
      clientFrame(Opcode.binary, "x".repeat(bytes / 2), { fin: false }),
      ...Array.from({ length: bytes / 2 }, () => clientFrame(Opcode.continuation, "x", { fin: false })),
    ];
    const pieces = Array.from(Buffer.concat(drips), (byte) => Buffer.of(byte));
    const before = process.memoryUsage().arrayBuffers;
    for (const piece of pieces) {
      for (const { connection } of sinks) {
        // What others do in the same turns: it is not kept, and what lies beside it in Node's pool must not be either.
        Buffer.from("x".repeat(1000));
        assert.ok(connection instanceof StreamConnection);
        connection.received(piece, 0, 1);
      }
    }
    collectGarbage();
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(sinks.every(({ connection }) => (connection?.pendingBytes ?? 0) > bytes));
    assert.ok(grown < 2 * clients * bytes + 2 ** 20, `${grown} bytes`);
    for (const { connection } of sinks) connection?.close();
    await until(() => sinks.every(({ closes }) => closes === 1), "all are gone");
  });

  test("is too long by what the manager takes, too, when it is inflated", async (t) => {
    const sink = new RecordingSink();
    const listener = await listen(t, (arrival) => arrival.open(sink), undefined, 1000);
    const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": "permessage-deflate" });
    const web = await RawWeb.open(t, listener.endpoint.port, request);
    const deflated = (length: number) =>
      deflateRawSync(Buffer.alloc(length), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    web.send(Opcode.binary, deflated(1000), { compressed: true });
    web.send(Opcode.binary, deflated(1001), { compressed: true });
    await until(() => sink.fault !== undefined, "the second is found wrong");
    assert.deepEqual([sink.fault, sink.bytes], ["too-big", 1000]);
    sink.connection?.close();
    await until(() => sink.closes === 1, "it is gone");
  });
});

describe("a close frame", () => {
  const read = (payload: Buffer) => [payload.readUInt16BE(), payload.toString("utf8", 2)];

  test("has the code that the documentation gives, and the reason's name", () => {
    const rows: [number, string[]][] = [
      [1000, ["dropped", "client-closed", "client-reset", "drop-discarded", "handoff"]],
      [1001, ["shutdown", "idle"]],
      [1002, ["bad-frame"]],
      [1008, ["slow-consumer", "rate-limited", "denied", "replaced"]],
      [1009, ["too-big"]],
      [1011, ["error"]],
      [1012, ["manager-lost"]],
      [1013, ["not-admitted", "no-slot", "no-manager", "draining"]],
    ];
    for (const [code, reasons] of rows) {
      for (const reason of reasons) {
        assert.deepEqual(read(closePayload({ reason })), [code, code === 1000 ? "" : reason], reason);
      }
    }
    const named = rows.flatMap(([, reasons]) => reasons);
    for (const reason of Object.keys(closeCodes)) assert.ok(named.includes(reason), reason);
  });

  test("has 1008 for a refusal that nothing will change soon", () => {
    for (const reason of ["bad-ticket", "expired-ticket", "replayed-ticket", "banned"]) {
      assert.deepEqual(read(closePayload({ reason })), [1008, reason]);
    }
  });

  test("has the manager's code, when it is one that may be said", () => {
    const may = [1000, 1001, 1002, 1003, 1007, 1010, 1014, 3000, 4000, 4999];
    const mayNot = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    for (const code of may) assert.equal(read(closePayload({ reason: "dropped", code }))[0], code);
    for (const code of mayNot) assert.equal(read(closePayload({ reason: "shutdown", code }))[0], 1001);
  });

  test("has the manager's text, cut to 123 bytes and never within a character", () => {
    const cut = (text: string) => read(closePayload({ reason: "idle", text }))[1];
    assert.equal(cut(""), "");
    assert.equal(cut("x".repeat(123)), "x".repeat(123));
    assert.equal(cut("x".repeat(124)), "x".repeat(123));
    assert.equal(cut(`${"x".repeat(120)}😀`), "x".repeat(120));
    assert.equal(cut(`${"x".repeat(119)}😀!`), `${"x".repeat(119)}😀`);
    assert.equal(cut("a\ud800b"), "a\ufffdb");
  });

  test("has the code of what the client did wrong", () => {
    assert.deepEqual(
      (["bad-frame", "bad-text", "too-many-frames", "too-big"] as const).map(faultCode),
      [1002, 1007, 1008, 1009],
    );
  });

  test("is read: its code, that it has none, or what it must not say", () => {
    const said = (code: number, text: Buffer | string = "") => {
      const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(text as string)]);
      payload.writeUInt16BE(code);
      return readClosePayload(payload);
    };
    for (const code of [1000, 1001, 1003, 1014, 3000, 4999]) assert.equal(said(code, "grüße"), code);
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
      assert.equal(said(code), "bad-frame", `${code}`);
    assert.equal(said(1000, Buffer.of(0xff)), "bad-text");
    assert.equal(readClosePayload(Buffer.alloc(0)), "none");
    assert.equal(readClosePayload(Buffer.of(3)), "bad-frame");
  });
});
