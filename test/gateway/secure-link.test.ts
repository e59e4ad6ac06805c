/** A gateway and a manager that prove to each other who they are, and whoever stands between them. */

import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { Gateway } from "../../gateway/gateway.ts";
import type { ManagerServer, ManagerServerOptions } from "../../manager-stub/index.ts";
import { FromManager } from "../../proto/frame.ts";
import { formatLinkUrl, type LinkAddress, parseLinkUrl } from "../../proto/link-url.ts";
import { Authority, withoutOpenssl } from "../helpers/certificates.ts";
import { TestClient } from "../helpers/client.ts";
import { recordLog } from "../helpers/log.ts";
import { managerOf, type Settings, socketPath, startManager, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

const SECRET = "a secret that both sides have";
const OTHER = "a secret that one side has";

/** A gateway with its log; `loss` waits for the code of a link's end. */
async function startLogged(t: TestContext, link: string, settings: Settings) {
  const { log, loss } = recordLog();
  return { gateway: await startTestGateway(t, link, settings, { log }), loss };
}

async function up(manager: ManagerServer): Promise<void> {
  await until(() => manager.gateways[0]?.health === "up", "the gateway is up");
}

/** A client that hears what it says, whatever the length. */
async function echoes(t: TestContext, manager: ManagerServer, gateway: Gateway): Promise<void> {
  manager.on("message", (session, payload) => manager.send(session, payload));
  const client = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
  t.after(() => client.close());
  const text = "0123456789abcdef".repeat(64 * 1024);
  client.send(text);
  await client.expect(text);
  client.close();
}

describe("a gateway and a manager with the same secret", () => {
  for (const kind of ["unix", "tcp", "tls"] as const) {
    test(`work as ever over ${kind}`, { skip: kind === "tls" && withoutOpenssl }, async (t) => {
      const options: ManagerServerOptions = kind === "unix" ? {} : { listen: `${kind}://127.0.0.1:0` };
      const authority = kind === "tls" ? new Authority(t) : undefined;
      const tls = authority === undefined ? {} : { tls: authority.issue() };
      const { manager, link } = await startManager(t, { secret: SECRET, ...options, ...tls });
      const ca = authority === undefined ? {} : { managerCa: authority.file };
      const gateway = await startTestGateway(t, link, { managerSecret: SECRET, ...ca });
      await up(manager);
      await echoes(t, manager, gateway);
      gateway.drain("the test ends");
      assert.deepEqual(await gateway.ended, { code: 0 });
    });
  }
});

describe("a gateway and a manager that do not share a secret", () => {
  test("with different ones: the gateway takes the manager for another, and both tell it", async (t) => {
    const { manager, link } = await startManager(t, { secret: SECRET });
    const refused = next<[string, string]>(manager, "refused");
    const { gateway, loss } = await startLogged(t, link, { managerSecret: OTHER });
    await loss("manager-bad-proof");
    const [code, message] = await refused;
    assert.match(code, /^link-(closed|ECONNRESET)$/);
    assert.match(message, /instead of proving that it has the secret/);
    assert.deepEqual(manager.gateways, []);
    assert.ok(gateway.counters.managersRefused >= 1);
  });

  test("with one on the manager alone: the gateway ends, and says what to set", async (t) => {
    const { manager, link } = await startManager(t, { secret: SECRET });
    const { gateway, loss } = await startLogged(t, link, {});
    await loss("secret-missing");
    assert.equal((await gateway.ended).code, 4);
    assert.deepEqual(manager.gateways, []);
  });

  test("with one on the gateway alone: it does not stay registered, and lets no client in", async (t) => {
    const { manager, link } = await startManager(t);
    const told: string[] = [];
    manager.on("gatewayUp", () => told.push("up"));
    const { gateway, loss } = await startLogged(t, link, { managerSecret: SECRET });
    await loss("manager-unproven");
    assert.deepEqual([told, managerOf(gateway).link.up], [[], false]);
    assert.equal(gateway.endpoints[0]?.port, 0, "it does not listen");
  });
});

/** A wire between gateways and a manager that keeps what went over it, for each link, both ways. */
async function startWire(t: TestContext, to: LinkAddress) {
  const links: { fromGateway: Buffer[]; fromManager: Buffer[] }[] = [];
  const path = socketPath(t);
  const server = createServer((gateway) => {
    const link = { fromGateway: [] as Buffer[], fromManager: [] as Buffer[] };
    links.push(link);
    const manager = to.kind === "unix" ? connect(to.path) : connect(to.port, to.host);
    join(gateway, manager, link.fromGateway);
    join(manager, gateway, link.fromManager);
  });
  await listen(t, server, path);
  return { link: `unix:${path}`, links };
}

function join(from: Socket, to: Socket, kept: Buffer[]): void {
  from.on("error", () => {});
  from.on("data", (bytes: Buffer) => {
    kept.push(bytes);
    to.write(bytes);
  });
  from.on("close", () => to.destroy());
}

async function listen(t: TestContext, server: Server, path?: string): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket) => open.add(socket));
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await next(server, "listening");
  const address = server.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

describe("a link that was recorded", () => {
  /** What went over the wire until the gateway was up. */
  async function record(t: TestContext) {
    const { manager, link } = await startManager(t, { secret: SECRET });
    const wire = await startWire(t, parseLinkUrl(link));
    const gateway = await startTestGateway(t, wire.link, { managerSecret: SECRET });
    await up(manager);
    gateway.drain("the recording ends");
    await gateway.ended;
    await until(() => manager.gateways.length === 0, "the gateway has gone");
    const [recorded] = wire.links;
    assert.ok(recorded !== undefined);
    const fromGateway = Buffer.concat(recorded.fromGateway);
    const fromManager = Buffer.concat(recorded.fromManager);
    return { manager, link, fromGateway, fromManager };
  }

  test("and is replayed to the manager registers nobody", async (t) => {
    const { manager, link, fromGateway } = await record(t);
    const refused = next<[string]>(manager, "refused");
    const address = parseLinkUrl(link);
    assert.ok(address.kind === "unix");
    const replay = connect(address.path).on("error", () => {});
    t.after(() => replay.destroy());
    replay.write(fromGateway);
    assert.equal((await refused)[0], "rejected-bad-secret");
    assert.deepEqual(manager.gateways, []);
  });

  test("and is replayed to a gateway is not taken for its manager", async (t) => {
    const { fromManager } = await record(t);
    assert.equal(fromManager.readUInt32LE(0), FromManager.Challenge);
    const path = socketPath(t);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(fromManager));
    });
    await listen(t, server, path);
    const { gateway, loss } = await startLogged(t, `unix:${path}`, { managerSecret: SECRET });
    await loss("manager-bad-proof");
    assert.equal(gateway.endpoints[0]?.port, 0, "it does not listen");
  });
});

describe("a gateway that dials over TLS", { skip: withoutOpenssl }, () => {
  interface Scene {
    readonly manager: ManagerServer;
    readonly link: string;
  }

  /** A manager that shows the certificate of `names`. */
  async function startNamed(
    t: TestContext,
    authority: Authority,
    ...names: readonly string[]
  ): Promise<Scene> {
    return startManager(t, { listen: "tls://127.0.0.1:0", tls: authority.issue({ names }) });
  }

  test("takes a manager whose certificate its authority has signed for the host that is dialled", async (t) => {
    const authority = new Authority(t);
    for (const [name, host] of [
      ["IP:127.0.0.1", "127.0.0.1"],
      ["DNS:localhost", "localhost"],
    ] as const) {
      const { manager, link } = await startNamed(t, authority, name);
      const { port } = parseLinkUrl(link) as { port: number };
      await startTestGateway(t, formatLinkUrl({ kind: "tls", host, port }), { managerCa: authority.file });
      await up(manager);
    }
  });

  test("refuses a manager whose certificate is for another host, unless it is told that name", async (t) => {
    const authority = new Authority(t);
    const { manager, link } = await startNamed(t, authority, "DNS:manager.test");
    const settings = { managerCa: authority.file };
    const { gateway, loss } = await startLogged(t, link, settings);
    assert.equal((await loss("tls-wrong-host")).level, 50);
    assert.ok(gateway.counters.managersRefused >= 1);
    const wrong = await startLogged(t, link, { ...settings, managerServername: "other.test" });
    await wrong.loss("tls-wrong-host");
    await startTestGateway(t, link, { ...settings, managerServername: "manager.test" });
    await up(manager);
  });

  test("refuses a manager whose certificate's time is over", async (t) => {
    const authority = new Authority(t);
    const tls = authority.issue({ expired: true });
    const { manager, link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls });
    const { loss } = await startLogged(t, link, { managerCa: authority.file });
    assert.equal((await loss("tls-expired")).level, 50);
    assert.deepEqual(manager.gateways, []);
  });

  test("tells a man in the middle, who has another certificate, not one byte, and dials again", async (t) => {
    const { cert, key } = new Authority(t).issue();
    const heard: Buffer[] = [];
    let dialled = 0;
    const middle = createTlsServer({ cert, key }, (socket) => {
      socket.on("data", (bytes: Buffer) => heard.push(bytes));
      socket.on("error", () => {});
    });
    middle.on("connection", () => dialled++);
    const port = await listen(t, middle);
    const { gateway, loss } = await startLogged(t, `tls://127.0.0.1:${port}`, {
      managerCa: new Authority(t).file,
      managerSecret: SECRET,
    });
    const { level, msg } = await loss("tls-untrusted");
    assert.deepEqual([level, String(msg).startsWith("no link to the manager: ")], [50, true]);
    await until(() => dialled >= 3, "it dials again");
    assert.ok(gateway.counters.managersRefused >= 2);
    assert.equal(Buffer.concat(heard).length, 0);
  });

  test("trusts no authority of which the system does not know, whatever the environment allows", async (t) => {
    const { link } = await startNamed(t, new Authority(t), "IP:127.0.0.1");
    const allowed = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    t.after(() => {
      if (allowed === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = allowed;
    });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    const { loss } = await startLogged(t, link, {});
    await loss("tls-untrusted");
  });

  test("shows its certificate to a manager that wants one", async (t) => {
    const authority = new Authority(t);
    const tls = { ...authority.issue(), ca: authority.cert };
    const { manager, link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls });
    const { certFile, keyFile } = authority.issue({ names: ["DNS:gateway.test"] });
    const settings = { managerCa: authority.file, managerCert: certFile, managerKey: keyFile };
    const gateway = await startTestGateway(t, link, settings);
    await up(manager);
    await echoes(t, manager, gateway);
  });

  test("without a certificate is refused by a manager that wants one, and dials again", async (t) => {
    const authority = new Authority(t);
    const tls = { ...authority.issue(), ca: authority.cert };
    const { manager, link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls });
    const refusals: string[] = [];
    manager.on("refused", (code) => refusals.push(code));
    const { gateway, loss } = await startLogged(t, link, { managerCa: authority.file });
    assert.equal((await loss("tls-refused")).level, 40);
    await until(() => refusals.length >= 2, "it dials again");
    assert.deepEqual(new Set(refusals), new Set(["tls-no-certificate"]));
    assert.ok(gateway.counters.rejections >= 1);
  });

  test("gives the handshake no more time than the registration", async (t) => {
    const port = await listen(t, createServer());
    const { loss } = await startLogged(t, `tls://127.0.0.1:${port}`, { registerTimeoutMs: 100 });
    await loss("register-timeout");
  });

  test("does not speak with who speaks no TLS", async (t) => {
    const { manager, link } = await startManager(t, { listen: "tcp://127.0.0.1:0" });
    const { loss } = await startLogged(t, link.replace("tcp:", "tls:"), { managerCa: new Authority(t).file });
    await loss("link-ECONNRESET");
    assert.deepEqual(manager.gateways, []);
    const port = await listen(
      t,
      createServer((socket) => socket.on("error", () => {}).write("220 hello, who is there?\r\n")),
    );
    const other = await startLogged(t, `tls://127.0.0.1:${port}`, {});
    assert.equal((await other.loss("tls-failed")).level, 50);
  });
});
