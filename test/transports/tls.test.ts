/** TLS, from the handshake to what the manager hears of it. */

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { copyFileSync, renameSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { pino } from "pino";
import { ConfigError } from "../../gateway/config-error.ts";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import { ordinaryReadPath } from "../../gateway/transports/read-path.ts";
import { upgradeRequest } from "../front/raw-web.ts";
import { type Front, startFront } from "../front/support.ts";
import { TestClient } from "../helpers/client.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile, TLS_PARAMETERS, tlsFile } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";

const ADDRESS = `tls://127.0.0.1:0?${TLS_PARAMETERS}`;
const CLIENT = { cert: readTlsFile("client.crt"), key: readTlsFile("client.key") };
const STRANGER = { cert: readTlsFile("stranger.crt"), key: readTlsFile("stranger.key") };

/** A TLS client that begins to connect, and trusts the authority of the tests. */
function begin(t: TestContext, port: number, options: ConnectionOptions = {}): TLSSocket {
  const socket = connect({ port, host: "127.0.0.1", ca: readTlsFile("ca.crt"), ...options });
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  return socket;
}

/** One that has shaken hands. */
async function dial(t: TestContext, port: number, options?: ConnectionOptions): Promise<TLSSocket> {
  const socket = begin(t, port, options);
  await next(socket, "secureConnect");
  return socket;
}

/** Waits until a client has been turned away. */
function untilCut(socket: TLSSocket): Promise<void> {
  return until(() => socket.closed, "the client is cut off");
}

/** The common name of the certificate that a new client is shown. */
async function shownName(t: TestContext, { port }: Front): Promise<string> {
  const socket = await dial(t, port);
  return String(socket.getPeerCertificate().subject.CN);
}

describe("a TLS client", () => {
  test("is told with the server name that it asked for and the protocol that was agreed", async (t) => {
    const front = await startFront(t, `${ADDRESS}&alpn=game/2,game/1`);
    const socket = await dial(t, front.port, {
      servername: "localhost",
      ALPNProtocols: ["game/1", "game/2", "h2"],
    });
    assert.equal(socket.alpnProtocol, "game/2");
    const { transport, sni, alpn, certificate, addr } = await front.joined();
    assert.deepEqual(
      [transport, sni, alpn, certificate, addr],
      ["tls", "localhost", "game/2", undefined, "127.0.0.1"],
    );
  });

  test("need not ask for either", async (t) => {
    const front = await startFront(t, `${ADDRESS}&alpn=game/1`);
    await dial(t, front.port);
    const { sni, alpn } = await front.joined();
    assert.deepEqual([sni, alpn], [undefined, undefined]);
  });

  test("that speaks none of the protocols is refused", async (t) => {
    const front = await startFront(t, `${ADDRESS}&alpn=game/1`);
    const socket = begin(t, front.port, { ALPNProtocols: ["h2"] });
    await untilCut(socket);
    await front.untilRefused({ "tls-handshake": 1 });
  });

  test("that speaks no TLS at all is refused, and hears no gateway's secret", async (t) => {
    const front = await startFront(t, ADDRESS);
    const client = await front.dial();
    client.send("GET / HTTP/1.0\r\n\r\n");
    await client.untilEnded();
    await front.untilRefused({ "tls-handshake": 1 });
    assert.ok(client.receivedBytes < 16, "an alert at most");
    await until(() => front.gateway.sessions.table.usedCount === 0, "its slot is free again");
  });

  test("of an older version than is wanted is refused", async (t) => {
    const front = await startFront(t, `${ADDRESS}&minVersion=TLSv1.3`);
    await untilCut(begin(t, front.port, { maxVersion: "TLSv1.2" }));
    await front.untilRefused({ "tls-handshake": 1 });
    assert.equal((await dial(t, front.port)).getProtocol(), "TLSv1.3");
  });

  test("of version 1.2 is served where nothing else is wanted", async (t) => {
    const front = await startFront(t, ADDRESS);
    const socket = await dial(t, front.port, { maxVersion: "TLSv1.2" });
    assert.equal(socket.getProtocol(), "TLSv1.2");
    await front.joined();
  });

  test("may say something in its very first flight, and is heard once it is in", async (t) => {
    const front = await startFront(t, `${ADDRESS}&framing=line`);
    const socket = begin(t, front.port);
    socket.write("first\nsecond\n");
    assert.deepEqual(await front.heard(2), ["first", "second"]);
  });

  test("that does not go on is reset when its time is over", async (t) => {
    const front = await startFront(t, ADDRESS, { settings: { handshakeTimeoutMs: 50 } });
    const client = await front.dial();
    client.send(Buffer.from([0x16, 0x03, 0x01]));
    await client.untilEnded();
    await front.untilRefused({ "handshake-timeout": 1 });
  });

  for (const [sent, refusal] of [
    ["", "left-early"],
    ["160301", "tls-handshake"],
  ] as const) {
    test(`that shuts down behind ${sent.length / 2} bytes of its handshake is gone at once`, async (t) => {
      const clock = new FakeClock();
      const front = await startFront(t, ADDRESS, { clock });
      const client = await front.dial();
      client.send(Buffer.from(sent, "hex"));
      await until(() => front.gateway.sessions.connectedCount === 1, "it has arrived");
      client.end();
      await front.untilRefused({ [refusal]: 1 });
      await until(() => front.gateway.sessions.table.usedCount === 0, "its slot is free again");
    });
  }
});

describe("the end of a TLS client", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    for (const [how, end] of [
      ["a close_notify", (socket: TLSSocket) => socket.end()],
      ["the end of its stream alone", (_: TLSSocket, raw: Socket) => raw.end()],
    ] as const) {
      test(`by ${how} is told at once, behind what it said, over ${version}`, async (t) => {
        // No time passes here.
        const front = await startFront(t, ADDRESS, { clock: new FakeClock() });
        const raw = connectTcp({ port: front.port, host: "127.0.0.1", allowHalfOpen: true });
        t.after(() => raw.destroy());
        const socket = await dial(t, front.port, { socket: raw, maxVersion: version });
        socket.write("last words");
        await front.heard(1);
        end(socket, raw);
        const { reason, by } = await front.ended();
        assert.deepEqual([reason, by], ["client-closed", "client"]);
      });
    }
  }

  test("leaves what was sent to it before to arrive", async (t) => {
    const front = await startFront(t, ADDRESS, { clock: new FakeClock() });
    const client = TestClient.overTls(front.port);
    t.after(() => client.close());
    const session = await front.joined();
    client.pause();
    front.manager.send(session, Buffer.alloc(900_000, "x"));
    await until(() => front.gateway.counters.outBytes === 900_000, "the gateway has it");
    client.end();
    await until(() => front.gateway.sessions.slotCounts().stopping === 1, "its end is noticed");
    client.resume();
    assert.equal((await front.ended()).unsentBytes, 0);
    await until(() => client.receivedBytes === 900_000, "everything has arrived");
  });
});

describe("a client's certificate", () => {
  const wanting = (how: string) => `${ADDRESS}&clientCertificate=${how}&clientCa=${tlsFile("ca.crt")}`;
  const fingerprint = new X509Certificate(CLIENT.cert).fingerprint256.replaceAll(":", "").toLowerCase();

  test("is not asked for by itself", async (t) => {
    const front = await startFront(t, ADDRESS);
    await dial(t, front.port, CLIENT);
    assert.equal((await front.joined()).certificate, undefined);
  });

  for (const how of ["request", "require"]) {
    test(`is told when it is good: ${how}`, async (t) => {
      const front = await startFront(t, wanting(how));
      await dial(t, front.port, CLIENT);
      assert.deepEqual((await front.joined()).certificate, { name: "Test client", fingerprint });
    });
  }

  test("that nobody vouches for is not told, where one is requested", async (t) => {
    const front = await startFront(t, wanting("request"));
    await dial(t, front.port, STRANGER);
    await dial(t, front.port);
    await front.joined(2);
    assert.deepEqual(
      front.joins.map(({ certificate }) => certificate),
      [undefined, undefined],
    );
  });

  test("is required, where one is: without a good one nobody joins", async (t) => {
    const front = await startFront(t, wanting("require"));
    for (const options of [STRANGER, {}]) await untilCut(begin(t, front.port, options));
    await front.untilRefused({ "tls-handshake": 2 });
    assert.equal(front.joins.length, 0);
  });
});

describe("a listener's certificate", () => {
  /** A listener whose files may be changed. */
  async function startChangeable(t: TestContext, clock?: FakeClock) {
    const directory = temporaryDirectory(t);
    const [cert, key] = [join(directory, "a.crt"), join(directory, "a.key")];
    const use = (name: string) => {
      for (const [file, kind] of [
        [cert, "crt"],
        [key, "key"],
      ] as const) {
        copyFileSync(tlsFile(`${name}.${kind}`), `${file}.new`);
        renameSync(`${file}.new`, file);
      }
    };
    use("server");
    const log: string[] = [];
    const logger = pino({ level: "error" }, { write: (line: string) => log.push(line) });
    const front = await startFront(t, `tls://127.0.0.1:0?cert=${cert}&key=${key}`, { clock, log: logger });
    return { front, cert, key, use, log };
  }

  test("is read again on request, and who is connected keeps what was agreed", async (t) => {
    const { front, use } = await startChangeable(t);
    const before = await dial(t, front.port);
    assert.equal(before.getPeerCertificate().subject.CN, "Test server");
    await front.joined();
    use("renewed");
    assert.equal(await shownName(t, front), "Test server", "not before it is told to");
    front.gateway.reload();
    assert.equal(await shownName(t, front), "Renewed server");
    before.write("still here");
    assert.deepEqual(await front.heard(1), ["still here"]);
    assert.deepEqual(front.ends, []);
  });

  test("is read again when its file has changed, within two seconds", async (t) => {
    const clock = new FakeClock();
    const { front, use } = await startChangeable(t, clock);
    assert.equal(await shownName(t, front), "Test server");
    use("renewed");
    let name = "";
    for (let tries = 0; name !== "Renewed server"; tries++) {
      assert.ok(tries < 100, `it is still ${name}`);
      clock.advance(1000);
      name = await shownName(t, front);
    }
  });

  test("goes on when the new one can't be used, and the log says why", async (t) => {
    const { front, cert, key, log } = await startChangeable(t);
    writeFileSync(cert, "-----BEGIN CERTIFICATE-----\nbroken\n");
    front.gateway.reload();
    copyFileSync(tlsFile("renewed.crt"), cert);
    front.gateway.reload();
    assert.equal(await shownName(t, front), "Test server", "its key does not fit");
    assert.equal(log.length, 2);
    for (const line of log) {
      assert.match(line, /the certificate was not read again/);
      assert.ok(line.includes(cert) && line.includes(key), line);
    }
    copyFileSync(tlsFile("renewed.key"), key);
    front.gateway.reload();
    assert.equal(await shownName(t, front), "Renewed server");
    assert.equal(log.length, 2);
  });

  for (const [what, parameters, message] of [
    [
      "is not there",
      "cert=/nowhere/a.crt&key=/nowhere/a.key",
      /cannot use the TLS certificate: .*\/nowhere\/a\.crt/,
    ],
    [
      "has another's key",
      `cert=${tlsFile("server.crt")}&key=${tlsFile("client.key")}`,
      /server\.crt' and '.*client\.key'/,
    ],
    [
      "is none",
      `cert=${tlsFile("make.sh")}&key=${tlsFile("server.key")}`,
      /cannot use the TLS certificate.*make\.sh/,
    ],
  ] as const) {
    test(`that ${what} at the start is an error of the configuration`, () => {
      for (const scheme of ["tls", "wss"]) {
        const address = parseListenAddress(`${scheme}://127.0.0.1:0?${parameters}`);
        const context = { readPath: ordinaryReadPath, maxMessageBytes: () => 1024 };
        assert.throws(
          () => createListener(address, context, (arrival) => arrival.close()),
          (error: Error) => {
            assert.ok(error instanceof ConfigError);
            assert.match(error.message, message);
            return true;
          },
        );
      }
    });
  }
});

describe("a listener for WebSocket over TLS", () => {
  test("tells everything that both know", async (t) => {
    const alpn = "alpn=http/1.1";
    const ca = `clientCertificate=require&clientCa=${tlsFile("ca.crt")}`;
    const front = await startFront(t, `wss://127.0.0.1:0?${TLS_PARAMETERS}&${alpn}&${ca}`);
    const socket = await dial(t, front.port, {
      ...CLIENT,
      servername: "localhost",
      ALPNProtocols: ["http/1.1"],
    });
    socket.write(upgradeRequest("/game?x=1"));
    const session = await front.joined();
    assert.partialDeepStrictEqual(session, {
      transport: "wss",
      framing: "websocket",
      sni: "localhost",
      alpn: "http/1.1",
      path: "/game",
      query: "x=1",
    });
    assert.equal(session.certificate?.name, "Test client");
  });

  test("turns away who speaks HTTP without TLS", async (t) => {
    const front = await startFront(t, `wss://127.0.0.1:0?${TLS_PARAMETERS}`);
    const client = new TestClient(connectTcp(front.port, "127.0.0.1"));
    t.after(() => client.close());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.untilEnded();
    await front.untilRefused({ "tls-handshake": 1 });
  });
});
