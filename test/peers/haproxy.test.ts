/** Behind HAProxy: the manager sees who the client is, whatever way HAProxy tells it. */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { behaviours } from "../../manager-stub/behaviours.ts";
import type { Session } from "../../manager-stub/index.ts";
import { TestClient } from "../helpers/client.ts";
import { startRig, temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile, tlsFile } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";
import { startHaproxy } from "./haproxy.ts";
import { skipWithout } from "./peer-process.ts";
import { serverFile } from "./pem.ts";

const skip = skipWithout("haproxy", ["haproxy", "-v"]);

/** Where the clients come from: an address of this machine that is not the proxy's. */
const CLIENT = "127.0.0.2";
const TRUSTED = "trusted=127.0.0.1";

/** A manager that echoes, and a gateway with one listener. */
async function startEcho(t: TestContext, listen: string) {
  const rig = await startRig(t, { settings: { listen: [listen] } });
  behaviours.echo(rig.manager);
  return rig;
}

/** A client's connection from its own address. */
function dial(t: TestContext, port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", localAddress: CLIENT, allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket;
}

/** Of a session, who it is. */
function identity({ addr, port, proxy }: Session) {
  return { addr, port, proxy };
}

describe("behind HAProxy in mode tcp", { skip }, () => {
  const versions = [
    ["v1", "send-proxy"],
    ["v2", "send-proxy-v2"],
    ["any", "send-proxy"],
    ["any", "send-proxy-v2"],
    ["v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"],
  ] as const;
  for (const [proxy, server] of versions) {
    test(`a listener with proxy=${proxy} tells the client's address, from ${server}`, async (t) => {
      const rig = await startEcho(t, `tcp://127.0.0.1:0?proxy=${proxy}&${TRUSTED}`);
      const lines = ["unique-id-format %{+X}o%ci:%cp-%Ts"];
      const haproxy = await startHaproxy(t, { to: rig.port, server, lines });
      const joined = next<[Session]>(rig.manager, "join");
      const client = new TestClient(dial(t, haproxy.port));
      client.send("hello");
      await client.expect("hello");
      const [session] = await joined;
      assert.deepEqual(identity(session), { addr: CLIENT, port: client.localPort, proxy: "127.0.0.1" });
    });
  }

  test("a Unix socket's listener tells the client's address", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const rig = await startEcho(t, `unix:${path}?proxy=v2`);
    const haproxy = await startHaproxy(t, { to: path, server: "send-proxy-v2" });
    const joined = next<[Session]>(rig.manager, "join");
    const client = new TestClient(dial(t, haproxy.port));
    client.send("hello");
    await client.expect("hello");
    const [session] = await joined;
    assert.deepEqual([session.addr, session.port], [CLIENT, client.localPort]);
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === "::1"),
  );
  test("a client's IPv6 address is told", { skip: hasIpv6 ? false : "no IPv6 here" }, async (t) => {
    const rig = await startEcho(t, `tcp://127.0.0.1:0?proxy=any&${TRUSTED}`);
    for (const server of ["send-proxy", "send-proxy-v2"]) {
      const haproxy = await startHaproxy(t, { host: "::1", to: rig.port, server });
      const joined = next<[Session]>(rig.manager, "join");
      const client = await TestClient.connect(haproxy.port, "::1");
      t.after(() => client.close());
      const [session] = await joined;
      assert.deepEqual(identity(session), { addr: "::1", port: client.localPort, proxy: "127.0.0.1" });
    }
  });

  test("a client's end goes through, and the gateway's", async (t) => {
    const settings = { listen: [`tcp://127.0.0.1:0?proxy=v2&${TRUSTED}`], halfCloseMs: 100 };
    const rig = await startRig(t, { settings });
    behaviours.echo(rig.manager);
    const haproxy = await startHaproxy(t, { to: rig.port, server: "send-proxy-v2" });
    const left = next<[Session, { reason: string }]>(rig.manager, "leave");
    const first = new TestClient(dial(t, haproxy.port));
    first.send("last words");
    first.end();
    await first.expect("last words");
    await first.untilEnded();
    assert.equal((await left)[1].reason, "client-closed");

    const joined = next<[Session]>(rig.manager, "join");
    const second = new TestClient(dial(t, haproxy.port));
    const [session] = await joined;
    rig.manager.send(session, "bye");
    rig.manager.drop(session);
    await second.untilEnded();
    await second.expect("bye");
  });

  const wrong = [
    ["a connection without a PROXY header", "v2", TRUSTED, "", "bad-proxy-header"],
    ["a header of the version that is not wanted", "v2", TRUSTED, "send-proxy", "bad-proxy-header"],
    ["a proxy that is not trusted", "v2", "trusted=192.0.2.1", "send-proxy-v2", "untrusted-proxy"],
  ] as const;
  for (const [what, proxy, trusted, server, refusal] of wrong) {
    test(`${what} is refused as ${refusal}`, async (t) => {
      const rig = await startEcho(t, `tcp://127.0.0.1:0?proxy=${proxy}&${trusted}`);
      const haproxy = await startHaproxy(t, { to: rig.port, server });
      const client = new TestClient(dial(t, haproxy.port));
      client.send("hello");
      await client.untilEnded();
      const { joins, refusals } = rig.gateway.counters;
      assert.deepEqual([client.receivedBytes, joins, refusals[refusal]], [0, 0, 1]);
    });
  }

  test("what HAProxy tells of the TLS that it ended is understood", async (t) => {
    const rig = await startEcho(t, `tcp://127.0.0.1:0?proxy=v2&${TRUSTED}`);
    const haproxy = await startHaproxy(t, {
      to: rig.port,
      bind: `ssl crt ${serverFile(t)} ca-file ${tlsFile("ca.crt")} verify required`,
      server: "send-proxy-v2-ssl-cn proxy-v2-options authority,ssl-cipher,cert-sig,cert-key,crc32c",
    });
    const joined = next<[Session]>(rig.manager, "join");
    const raw = dial(t, haproxy.port);
    const secure = connectTls({
      socket: raw,
      servername: "localhost",
      ca: readTlsFile("ca.crt"),
      cert: readTlsFile("client.crt"),
      key: readTlsFile("client.key"),
    });
    const client = new TestClient(secure, undefined, raw);
    client.send("hello");
    await client.expect("hello");
    const [session] = await joined;
    assert.deepEqual(identity(session), { addr: CLIENT, port: client.localPort, proxy: "127.0.0.1" });
    assert.equal(session.sni, "localhost");
  });
});

describe("HAProxy's health checks", { skip }, () => {
  const CHECK = "check inter 50";

  const connecting = [
    ["off", ""],
    ["v1", "send-proxy"],
    ["v2", "send-proxy-v2"],
  ] as const;
  for (const [proxy, server] of connecting) {
    test(`that only connect find a gateway with proxy=${proxy} well, and leave nothing behind`, async (t) => {
      const rig = await startEcho(
        t,
        `tcp://127.0.0.1:0?proxy=${proxy}${proxy === "off" ? "" : `&${TRUSTED}`}`,
      );
      const haproxy = await startHaproxy(t, { to: rig.port, server: `${server} ${CHECK}` });
      await haproxy.untilServer("check_status", "L4OK");
      const client = new TestClient(dial(t, haproxy.port));
      client.send("hello");
      await client.expect("hello");
      await until(() => rig.gateway.sessions.table.usedCount === 1, "the client alone has a slot");
      assert.equal(haproxy.process.stderr, "");
    });
  }

  /** A check that is a client: it asks the manager. */
  const asking = [
    "option tcp-check",
    "tcp-check connect default",
    "tcp-check send ping",
    "tcp-check expect string ping",
  ];
  const speaking = [
    ["v1", "send-proxy", "127.0.0.1"],
    ["v2", "send-proxy-v2", undefined],
  ] as const;
  for (const [version, server, saidBy] of speaking) {
    test(`that speak with a header of ${version} are sessions from the proxy's own address`, async (t) => {
      const rig = await startEcho(t, `tcp://127.0.0.1:0?proxy=${version}&${TRUSTED}`);
      const joined = next<[Session]>(rig.manager, "join");
      const haproxy = await startHaproxy(t, { to: rig.port, server: `${server} ${CHECK}`, lines: asking });
      const [{ addr, proxy }] = await joined;
      // In version 2 the header is LOCAL; in version 1 it names the check's own connection.
      assert.deepEqual([addr, proxy], ["127.0.0.1", saidBy]);
      await haproxy.untilServer("check_status", "L7OK");
    });
  }

  test("see a gateway that drains as down, while those who are there are still served", async (t) => {
    const settings = { listen: [`tcp://127.0.0.1:0?proxy=v2&${TRUSTED}`], drainMs: 10_000 };
    const rig = await startRig(t, { settings });
    behaviours.echo(rig.manager);
    const haproxy = await startHaproxy(t, { to: rig.port, server: "send-proxy-v2 check inter 50 fall 1" });
    const client = new TestClient(dial(t, haproxy.port));
    client.send("hello");
    await client.expect("hello");
    rig.gateway.drain("a test");
    await haproxy.untilServer("status", "DOWN");
    client.send(" again");
    await client.expect("hello again");
    client.reset();
    assert.deepEqual(await rig.gateway.ended, { code: 0 });
  });
});

describe("behind HAProxy in mode http", { skip }, () => {
  const headers = [
    ["x-forwarded-for", "option forwardfor"],
    ["forwarded", "http-request add-header Forwarded for=%[src]"],
  ] as const;
  for (const [forwarded, line] of headers) {
    test(`a WebSocket's client has the address of ${forwarded}, whatever it says itself`, async (t) => {
      const rig = await startEcho(t, `ws://127.0.0.1:0?forwarded=${forwarded}&${TRUSTED}`);
      const haproxy = await startHaproxy(t, { mode: "http", to: rig.port, lines: [line] });
      const joined = next<[Session]>(rig.manager, "join");
      const client = await WebSocketClient.connect(`ws://127.0.0.1:${haproxy.port}/play?room=7`, [], {
        createConnection: () => dial(t, haproxy.port),
        headers: { "X-Forwarded-For": "203.0.113.9", Forwarded: "for=203.0.113.9" },
      });
      client.send("hello");
      await client.expect("hello");
      const [session] = await joined;
      assert.deepEqual(identity(session), { addr: CLIENT, port: 0, proxy: "127.0.0.1" });
      assert.deepEqual([session.path, session.query], ["/play", "room=7"]);
      rig.manager.drop(session, { code: 4001, reason: "enough" });
      await until(() => client.closed, "the client is dropped");
      assert.deepEqual([client.closeCode, client.closeReason], [4001, "enough"]);
    });
  }

  test("a health check that asks for no WebSocket is answered with 426", async (t) => {
    const rig = await startEcho(t, "ws://127.0.0.1:0");
    const lines = ["option httpchk GET /", "http-check expect status 426"];
    const server = "check inter 50";
    const haproxy = await startHaproxy(t, { mode: "http", to: rig.port, lines, server });
    await haproxy.untilServer("check_status", "L7OK");
    assert.ok(rig.gateway.counters.refusals["bad-upgrade"] > 0);
  });
});
