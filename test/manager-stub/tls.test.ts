/** A manager over TLS, and whoever dials it. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect as tlsConnect } from "node:tls";
import {
  ManagerServer,
  type ManagerServerOptions,
  type ManagerTlsOptions,
} from "../../manager-stub/index.ts";
import { parseLinkUrl } from "../../proto/link-url.ts";
import { Authority, withoutOpenssl } from "../helpers/certificates.ts";
import { startManager } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { RawGateway, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

/** A manager over TLS, and its authority. */
async function start(
  t: TestContext,
  { clientCa = false, ...options }: ManagerServerOptions & { clientCa?: boolean } = {},
) {
  const authority = new Authority(t);
  const { cert, key } = authority.issue();
  const tls = { cert, key, ...(clientCa && { ca: authority.cert }) };
  const { manager, link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls, ...options });
  return { authority, manager, link };
}

function port(link: string): number {
  const address = parseLinkUrl(link);
  assert.ok(address.kind === "tls");
  return address.port;
}

describe("a manager over TLS", { skip: withoutOpenssl }, () => {
  test("gives its address, and registers a gateway that trusts its authority", async (t) => {
    const { authority, link } = await start(t);
    assert.match(link, /^tls:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const gateway = await RawGateway.connect(t, link, { ca: authority.cert });
    await gateway.register();
    gateway.join(session(0));
    assert.deepEqual(await gateway.sync(), []);
  });

  test("takes its certificate and key as text too", async (t) => {
    const authority = new Authority(t);
    const { cert, key } = authority.issue();
    const tls = { cert: String(cert), key: String(key) };
    const { link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls });
    const gateway = await RawGateway.connect(t, link, { ca: authority.cert });
    await gateway.register();
  });

  test("speaks no TLS older than 1.2", async (t) => {
    const { authority, manager, link } = await start(t);
    const refused = next<[string]>(manager, "refused");
    const ca = authority.cert;
    const old = { ca, maxVersion: "TLSv1.1", minVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await assert.rejects(RawGateway.connect(t, link, old));
    assert.match((await refused)[0], /^tls-/);
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const gateway = await RawGateway.connect(t, link, { ca, minVersion: version, maxVersion: version });
      await gateway.register({ name: version });
    }
  });

  test("challenges over TLS as well, when it has a secret", async (t) => {
    const { authority, link } = await start(t, { secret: "a secret for the tests" });
    const gateway = await RawGateway.connect(t, link, { ca: authority.cert });
    assert.equal((await gateway.askToRegister())[0], "Challenge");
  });

  test("refuses what is no TLS, by a code", async (t) => {
    const { manager, link } = await start(t);
    const refused = next<[string, string]>(manager, "refused");
    const socket = connect(port(link), "127.0.0.1").on("error", () => {});
    t.after(() => socket.destroy());
    socket.write(Buffer.alloc(100));
    const [code, message] = await refused;
    assert.equal(code, "tls-failed");
    assert.match(message, /^no TLS handshake: /);
    await until(() => socket.closed, "the connection is closed");
    assert.deepEqual(manager.gateways, []);
  });

  test("refuses who leaves during the handshake, by a code", async (t) => {
    const { manager, link } = await start(t);
    const refused = next<[string, string]>(manager, "refused");
    const socket = connect(port(link), "127.0.0.1");
    await next(socket, "connect");
    socket.destroy();
    assert.equal((await refused)[0], "link-ECONNRESET");
  });

  test("gives the handshake no more time than the registration", async (t) => {
    const { manager, link } = await start(t, { registerTimeoutMs: 50 });
    const refused = next(manager, "refused");
    const socket = connect(port(link), "127.0.0.1").on("error", () => {});
    t.after(() => socket.destroy());
    assert.deepEqual(await refused, ["register-timeout", "it did not finish the TLS handshake"]);
    await until(() => socket.closed, "the connection is closed");
  });

  test("counts the handshake into the time to register", async (t) => {
    const { authority, manager, link } = await start(t, { registerTimeoutMs: 1000 });
    const ca = authority.cert;
    const slow = connect(port(link), "127.0.0.1");
    t.after(() => slow.destroy());
    await next(slow, "connect");
    // The manager accepts in order: with this one it has the slow one too.
    const other = await RawGateway.registered(t, link, {}, { ca });
    const now = performance.now.bind(performance);
    t.mock.method(performance, "now", () => now() + 600);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    // In TLS 1.2 the manager is done first.
    await next(tlsConnect({ socket: slow, host: "127.0.0.1", ca, maxVersion: "TLSv1.2" }), "secureConnect");
    const told = recordEvents(manager);
    t.mock.timers.tick(400);
    await until(() => told.length > 0, "its time is up");
    assert.deepEqual(told, ["refused: register-timeout"]);
    assert.deepEqual(await other.sync(), []);
  });

  test("that is closed ends connections whose handshake is not done", async (t) => {
    const { authority, manager, link } = await start(t, { registerTimeoutMs: 600_000 });
    const socket = connect(port(link), "127.0.0.1").on("error", () => {});
    t.after(() => socket.destroy());
    await next(socket, "connect");
    // The manager accepts in order: with this one it has the other too.
    await RawGateway.registered(t, link, {}, { ca: authority.cert });
    const told = recordEvents(manager);
    await manager.close();
    await until(() => socket.closed && told.length === 2, "the connection is closed, and told");
    assert.deepEqual(told.toSorted(), ["down gateway-1: manager-closed", "refused: manager-closed"]);
  });
});

describe("a manager over TLS that wants certificates", { skip: withoutOpenssl }, () => {
  /** What becomes of a gateway that shows this. */
  async function refusal(t: TestContext, manager: ManagerServer, link: string, tls: ConnectionOptions) {
    const refused = next<[string, string]>(manager, "refused");
    const gateway = new RawGateway(link, tls);
    t.after(() => gateway.close());
    assert.deepEqual(await gateway.askToRegister(), ["nothing"]);
    assert.deepEqual(manager.gateways, []);
    return refused;
  }

  test("registers a gateway that has one of its authority", async (t) => {
    const { authority, link } = await start(t, { clientCa: true });
    const { cert, key } = authority.issue({ names: ["DNS:gateway-1"] });
    const gateway = await RawGateway.connect(t, link, { ca: authority.cert, cert, key });
    await gateway.register();
  });

  test("refuses a gateway that has none", async (t) => {
    const { authority, manager, link } = await start(t, { clientCa: true });
    const [code] = await refusal(t, manager, link, { ca: authority.cert });
    assert.equal(code, "tls-no-certificate");
  });

  test("refuses a gateway that has one of another authority", async (t) => {
    const { authority, manager, link } = await start(t, { clientCa: true });
    const { cert, key } = new Authority(t).issue();
    const [code, message] = await refusal(t, manager, link, { ca: authority.cert, cert, key });
    assert.equal(code, "tls-untrusted");
    assert.match(message, /^no TLS handshake: the gateway's certificate does not do \(UNABLE_TO_/);
  });

  test("refuses a gateway whose certificate's time is over", async (t) => {
    const { authority, manager, link } = await start(t, { clientCa: true });
    const { cert, key } = authority.issue({ expired: true });
    assert.equal((await refusal(t, manager, link, { ca: authority.cert, cert, key }))[0], "tls-expired");
  });

  test("need not want them, though it knows an authority", async (t) => {
    const authority = new Authority(t);
    const tls = { ...authority.issue(), ca: authority.cert, requireClientCertificate: false };
    const { link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls });
    await RawGateway.registered(t, link, {}, { ca: authority.cert });
  });
});

describe("a manager's options of TLS", { skip: withoutOpenssl }, () => {
  test("are refused when they can't be used, by name", (t) => {
    const authority = new Authority(t);
    const { cert, key } = authority.issue();
    const other = authority.issue().key;
    const wrong: readonly [ManagerTlsOptions, RegExp][] = [
      [{ cert: "nonsense", key }, /^tls\.cert is not a certificate in PEM$/],
      [{ cert: key, key }, /^tls\.cert is not a certificate in PEM$/],
      [{ cert, key: "nonsense" }, /^tls\.key is not a private key in PEM without a passphrase$/],
      [{ cert, key: cert }, /^tls\.key is not a private key in PEM without a passphrase$/],
      [{ cert, key: other }, /^tls\.key does not belong to the certificate$/],
      [{ cert, key, ca: "nonsense" }, /^tls\.ca is not a certificate in PEM$/],
      [{ cert, key, requireClientCertificate: true }, /^tls\.requireClientCertificate needs tls\.ca/],
    ];
    for (const [tls, message] of wrong)
      assert.throws(() => new ManagerServer({ listen: "tls://127.0.0.1:0", tls }), {
        name: "RangeError",
        message,
      });
  });

  test("are refused with an address that is not one of TLS", async (t) => {
    const tls = new Authority(t).issue();
    for (const listen of ["tcp://127.0.0.1:0", "unix:/nonexistent/manager.sock"]) {
      const message = `cannot listen on ${listen}: there is a certificate, and the address is not one of tls://`;
      await assert.rejects(new ManagerServer({ listen, tls }).listen(), {
        name: "ListenOptionsError",
        message,
      });
    }
  });

  test("are protection enough beyond loopback", async (t) => {
    const tls = new Authority(t).issue();
    const { link } = await startManager(t, { listen: "tls://0.0.0.0:0", tls });
    assert.match(link, /^tls:\/\/0\.0\.0\.0:/);
  });
});
