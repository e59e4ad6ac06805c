/** Listeners behind proxies: who the client is, by a PROXY header or by the header of an HTTP proxy. */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Handshake } from "../../gateway/transports/handshake.ts";
import { proxyStep } from "../../gateway/transports/proxy.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "../front/raw-web.ts";
import { type Front, startFront } from "../front/support.ts";
import { TestClient } from "../helpers/client.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile, TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";

const V2_SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function v1(address = "203.0.113.9", port = 4711): Buffer {
  const family = address.includes(":") ? "TCP6" : "TCP4";
  return Buffer.from(
    `PROXY ${family} ${address} ${address.includes(":") ? "::1" : "10.0.0.1"} ${port} 443\r\n`,
  );
}

/** A header of version 2 for an IPv4 client, with values behind its addresses. */
function v2(address = "203.0.113.9", port = 4711, values: Buffer = Buffer.alloc(0)): Buffer {
  const length = 12 + values.length;
  return Buffer.concat([
    V2_SIGNATURE,
    Buffer.from([0x21, 0x11, length >> 8, length & 0xff]),
    Buffer.from([...address.split(".").map(Number), 10, 0, 0, 1, port >> 8, port & 0xff, 1, 187]),
    values,
  ]);
}

const V2_LOCAL = Buffer.concat([V2_SIGNATURE, Buffer.from([0x20, 0x00, 0, 0])]);

/** The proxy: it connects, and says `parts`, each in a read of its own as far as can be told. */
async function proxied(
  t: TestContext,
  to: number | string,
  parts: readonly Buffer[],
  from = "127.0.0.1",
): Promise<Socket> {
  const socket =
    typeof to === "number"
      ? connect({ port: to, host: "127.0.0.1", localAddress: from, noDelay: true, allowHalfOpen: true })
      : connect({ path: to, allowHalfOpen: true });
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  await next(socket, "connect");
  for (const part of parts.slice(0, -1)) {
    socket.write(part);
    for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  // The last goes together with what follows it.
  socket.write(parts.at(-1) ?? "");
  return socket;
}

/** The client's TLS on top of what the proxy has connected. */
function secure(socket: Socket): TLSSocket {
  return connectTls({ socket, host: "127.0.0.1", ca: readTlsFile("ca.crt") }).on("error", () => {});
}

/** Waits until the gateway has cut off whom it does not want. */
async function untilCut(socket: Socket): Promise<void> {
  socket.resume();
  await until(() => socket.closed || socket.readableEnded, "it is cut off");
}

interface Row {
  readonly transport: string;
  readonly url: (t: TestContext) => string;
  /** Says `hello` as a client of this transport does. */
  readonly greet: (socket: Socket) => void;
}

const BEHIND = "trusted=127.0.0.1&proxy=any";

const rows: readonly Row[] = [
  {
    transport: "tcp",
    url: () => `tcp://127.0.0.1:0?framing=line&${BEHIND}`,
    greet: (socket) => socket.write("hello\n"),
  },
  {
    transport: "tls",
    url: () => `tls://127.0.0.1:0?framing=line&${BEHIND}&${TLS_PARAMETERS}`,
    greet: (socket) => secure(socket).write("hello\n"),
  },
  {
    transport: "ws",
    url: () => `ws://127.0.0.1:0?${BEHIND}`,
    greet: (socket) =>
      socket.write(Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(Opcode.text, "hello")])),
  },
  {
    transport: "wss",
    url: () => `wss://127.0.0.1:0?${BEHIND}&${TLS_PARAMETERS}`,
    greet(socket) {
      secure(socket).write(Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(Opcode.text, "hello")]));
    },
  },
  {
    transport: "unix",
    url: (t) => `unix:${join(temporaryDirectory(t), "game.sock")}?framing=line&proxy=any`,
    greet: (socket) => socket.write("hello\n"),
  },
];

/** Where a client of the only listener connects to. */
function placeOf({ view, port }: Front): number | string {
  const [endpoint] = view.endpoints;
  return endpoint?.transport === "unix" ? endpoint.host : port;
}

describe("a PROXY header that drips", () => {
  for (const [version, header] of [
    ["1", v1()],
    ["2", v2()],
  ] as const) {
    test(`is kept in memory of its own size, version ${version}`, () => {
      const socket = new PassThrough();
      const left: Buffer[] = [];
      const handshake = {
        socket,
        peer: { address: "127.0.0.1", port: 1 },
        identify() {},
        describe() {},
        leave: (early: Buffer) => left.push(early),
        proceed() {},
      };
      proxyStep("any", () => true)(handshake as unknown as Handshake);
      for (const byte of header.subarray(0, -1)) socket.emit("data", Buffer.of(byte));
      socket.emit("data", Buffer.concat([header.subarray(-1), Buffer.from("behind")]));
      assert.deepEqual(left.map(String), ["behind"]);
      assert.ok(
        (left[0]?.buffer.byteLength ?? 0) <= 2 * header.length + 64,
        `${left[0]?.buffer.byteLength} bytes`,
      );
    });
  }
});

describe("a listener that wants a PROXY header", () => {
  for (const { transport, url, greet } of rows) {
    for (const [version, header] of [
      ["1", v1()],
      ["2", v2()],
    ] as const) {
      test(`takes the client's address from it, and nothing of what is behind it: ${transport}, version ${version}`, async (t) => {
        const front = await startFront(t, url(t));
        const half = Math.floor(header.length / 2);
        const cuts = [[header], [header.subarray(0, half), header.subarray(half)], [header, Buffer.alloc(0)]];
        for (const parts of cuts) greet(await proxied(t, placeOf(front), parts));
        assert.deepEqual(await front.heard(3), ["hello", "hello", "hello"]);
        for (const session of front.joins) {
          const proxy = transport === "unix" ? "" : "127.0.0.1";
          assert.partialDeepStrictEqual(session, { addr: "203.0.113.9", port: 4711, transport, proxy });
        }
      });
    }

    test(`lets nobody in without: ${transport}`, async (t) => {
      const front = await startFront(t, url(t));
      const socket = await proxied(t, placeOf(front), []);
      greet(socket);
      await untilCut(socket);
      await front.untilRefused({ "bad-proxy-header": 1 });
      assert.equal(front.joins.length, 0);
    });
  }

  for (const [version, header] of [
    ["1", v1("2001:db8::9")],
    ["2", v2("203.0.113.9", 4711, Buffer.from("04000568656c6c6f", "hex"))],
  ] as const) {
    test(`reads it however it is cut: version ${version}`, async (t) => {
      const front = await startFront(t, "tcp://127.0.0.1:0?framing=line&proxy=any&trusted=127.0.0.0/8");
      const dials = Array.from({ length: header.length - 1 }, async (_, index) => {
        const parts = [header.subarray(0, index + 1), header.subarray(index + 1)];
        (await proxied(t, front.port, parts)).write(`${index}\n`);
      });
      const bytes = Array.from(header, (byte) => Buffer.from([byte]));
      dials.push(proxied(t, front.port, bytes).then((socket) => void socket.write("all\n")));
      await Promise.all(dials);
      const heard = await front.heard(header.length);
      const wanted = ["all", ...Array.from({ length: header.length - 1 }, (_, index) => String(index))];
      assert.deepEqual(heard.sort(), wanted.sort());
      const address = version === "1" ? "2001:db8::9" : "203.0.113.9";
      for (const { addr, port } of front.joins) assert.deepEqual([addr, port], [address, 4711]);
    });
  }

  test("wants the version that it was told", async (t) => {
    const front = await startFront(t, [
      "tcp://127.0.0.1:0?name=one&proxy=v1&trusted=127.0.0.1",
      "tcp://127.0.0.1:0?name=two&proxy=v2&trusted=127.0.0.1",
    ]);
    await proxied(t, front.portOf("one"), [v1()]);
    await proxied(t, front.portOf("two"), [v2()]);
    await front.joined(2);
    await proxied(t, front.portOf("one"), [v2()]);
    await proxied(t, front.portOf("two"), [v1()]);
    await front.untilRefused({ "bad-proxy-header": 2 });
  });

  test("believes only those whom it trusts, and does not even read the others", async (t) => {
    const front = await startFront(t, "tcp://127.0.0.1:0?proxy=any&trusted=127.0.0.2,10.0.0.0/8");
    const stranger = await proxied(t, front.port, [v1()]);
    await untilCut(stranger);
    await front.untilRefused({ "untrusted-proxy": 1 });
    await proxied(t, front.port, [v1()], "127.0.0.2");
    assert.partialDeepStrictEqual(await front.joined(), { addr: "203.0.113.9", proxy: "127.0.0.2" });
  });

  test("takes a proxy's own connection for what it is", async (t) => {
    const front = await startFront(t, `tcp://127.0.0.1:0?framing=line&${BEHIND}`);
    const local = await proxied(t, front.port, [Buffer.concat([V2_LOCAL, Buffer.from("check\n")])]);
    assert.deepEqual(await front.heard(1), ["check"]);
    const unknown = await proxied(t, front.port, [Buffer.from("PROXY UNKNOWN whatever\r\n")]);
    const [first, second] = [await front.joined(), await front.joined(2)];
    assert.deepEqual([first.addr, first.port, first.proxy], ["127.0.0.1", local.localPort, undefined]);
    assert.deepEqual([second.addr, second.port, second.proxy], ["127.0.0.1", unknown.localPort, undefined]);
  });

  test("refuses one that is cut, malformed or endless", async (t) => {
    const front = await startFront(t, `tcp://127.0.0.1:0?${BEHIND}`);
    const cut = await proxied(t, front.port, [v1().subarray(0, 20)]);
    cut.end();
    await front.untilRefused({ "bad-proxy-header": 1 });
    await proxied(t, front.port, [Buffer.from("PROXY TCP4 1.2.3.4 nobody 1 2\r\n")]);
    await front.untilRefused({ "bad-proxy-header": 2 });
    await proxied(t, front.port, [Buffer.from(`PROXY TCP4 ${"1".repeat(200)}`)]);
    await front.untilRefused({ "bad-proxy-header": 3 });
    await until(() => front.gateway.sessions.table.usedCount === 0, "their slots are free again");
  });

  test("waits for it no longer than for any handshake", async (t) => {
    const front = await startFront(t, `tcp://127.0.0.1:0?${BEHIND}`, {
      settings: { handshakeTimeoutMs: 50 },
    });
    await proxied(t, front.port, [v1().subarray(0, 20)]);
    await front.untilRefused({ "handshake-timeout": 1 });
  });

  test("asks the guard about the client's address, not about the proxy's", async (t) => {
    const settings = { deny: ["203.0.113.66", "127.0.0.1"], maxConnectionsPerAddress: 1 };
    const front = await startFront(t, `tcp://127.0.0.1:0?${BEHIND}`, { settings });
    const denied = await proxied(t, front.port, [v1("203.0.113.66")]);
    await untilCut(denied);
    await front.untilRefused({ denied: 1 });
    await proxied(t, front.port, [v1("203.0.113.7")]);
    await front.joined();
    await proxied(t, front.port, [v1("203.0.113.8")]);
    await front.joined(2);
    await proxied(t, front.port, [v2("203.0.113.7")]);
    await front.untilRefused({ denied: 1, "too-many-from-address": 1 });
  });

  test("counts an address until its client is gone, and then no more", async (t) => {
    const settings = { maxConnectionsPerAddress: 1 };
    const front = await startFront(t, `tcp://127.0.0.1:0?${BEHIND}`, { settings });
    for (let nth = 1; nth <= 3; nth++) {
      const socket = await proxied(t, front.port, [v1()]);
      await front.joined(nth);
      socket.resetAndDestroy();
      await front.ended(nth);
      await until(() => front.gateway.sessions.connectedCount === 0, "it is gone");
    }
    assert.deepEqual(front.refusals(), {});
  });

  test("is told the server name that the client asked the proxy for", async (t) => {
    const name = Buffer.from("play.game.example");
    const value = Buffer.concat([Buffer.from([0x02, 0, name.length]), name]);
    const front = await startFront(t, `tcp://127.0.0.1:0?${BEHIND}`);
    await proxied(t, front.port, [v2("203.0.113.9", 4711, value)]);
    assert.equal((await front.joined()).sni, "play.game.example");
  });
});

describe("a listener that wants none", () => {
  test("takes one for the client's own words", async (t) => {
    const front = await startFront(t, "tcp://127.0.0.1:0?framing=line");
    const socket = await proxied(t, front.port, [v1()]);
    assert.deepEqual(await front.heard(1), [v1().toString().trim()]);
    assert.partialDeepStrictEqual(await front.joined(), { addr: "127.0.0.1", port: socket.localPort });
  });
});

describe("a listener behind an HTTP proxy", () => {
  const ask = (front: Front, t: TestContext, headers: Record<string, string>, from?: string) =>
    RawWeb.start(t, front.port, upgradeRequest("/", headers), from);

  test("takes the client's address from the header, of whom it trusts: the rightmost hop that is not trusted", async (t) => {
    const front = await startFront(
      t,
      "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.1,10.0.0.0/8",
    );
    const rows = [
      ["203.0.113.9", "203.0.113.9"],
      ["6.6.6.6, 203.0.113.9", "203.0.113.9"],
      ["203.0.113.9, 10.1.1.1, 10.2.2.2", "203.0.113.9"],
      ["2001:DB8::0009", "2001:db8::9"],
    ] as const;
    for (const [index, [header, address]] of rows.entries()) {
      assert.equal(await ask(front, t, { "X-Forwarded-For": header }).status(), 101);
      const session = await front.joined(index + 1);
      assert.partialDeepStrictEqual(session, { addr: address, port: 0, proxy: "127.0.0.1" });
    }
  });

  test("reads the standard's header where that is wanted, and not the other", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0?forwarded=forwarded&trusted=127.0.0.1");
    const headers = { Forwarded: 'for="[2001:db8::9]:4711";proto=https', "X-Forwarded-For": "6.6.6.6" };
    assert.equal(await ask(front, t, headers).status(), 101);
    assert.equal((await front.joined()).addr, "2001:db8::9");
  });

  test("takes nobody else's word, whatever it says of itself", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.2");
    const web = ask(front, t, { "X-Forwarded-For": "203.0.113.9" });
    assert.equal(await web.status(), 101);
    const { addr, port, proxy } = await front.joined();
    assert.deepEqual([addr, port, proxy], ["127.0.0.1", web.client.localPort, undefined]);
  });

  test("looks at no such header where it was not told to", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0");
    assert.equal(await ask(front, t, { "X-Forwarded-For": "203.0.113.9" }).status(), 101);
    assert.equal((await front.joined()).addr, "127.0.0.1");
  });

  test("takes a proxy that names nobody for the client itself", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.1");
    const web = ask(front, t, {});
    assert.equal(await web.status(), 101);
    const { addr, port, proxy } = await front.joined();
    assert.deepEqual([addr, port, proxy], ["127.0.0.1", web.client.localPort, undefined]);
  });

  test("refuses who comes with a header that says nothing", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.1");
    assert.equal(await ask(front, t, { "X-Forwarded-For": "somebody" }).status(), 400);
    await front.untilRefused({ "bad-proxy-header": 1 });
    await until(() => front.gateway.sessions.table.usedCount === 0, "its slot is free again");
  });

  test("asks the guard about the client, and answers with what is wrong", async (t) => {
    const settings = { deny: ["203.0.113.66", "127.0.0.1"], maxConnectionsPerAddress: 1 };
    const front = await startFront(t, "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.1", {
      settings,
    });
    const from = (address: string) => ask(front, t, { "X-Forwarded-For": address });
    assert.equal(await from("203.0.113.66").status(), 403);
    assert.equal(await from("203.0.113.7").status(), 101);
    await front.joined();
    assert.equal(await from("203.0.113.7").status(), 429);
    await front.untilRefused({ denied: 1, "too-many-from-address": 1 });
    // Who is no proxy was looked at when it arrived.
    const client = new TestClient(
      connect({ port: front.port, host: "127.0.0.1", localAddress: "127.0.0.2" }),
    );
    t.after(() => client.close());
    client.send(upgradeRequest("/", { "X-Forwarded-For": "203.0.113.66" }));
    assert.equal((await front.joined(2)).addr, "127.0.0.2");
  });
});
