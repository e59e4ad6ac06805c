/** `openssl s_client` as a client of a `tls` listener. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { behaviours } from "../../manager-stub/behaviours.ts";
import type { Session } from "../../manager-stub/index.ts";
import { type Rig, startRig, temporaryDirectory } from "../helpers/rig.ts";
import { TLS_PARAMETERS, tlsFile } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";
import { PeerProcess, skipWithout } from "./peer-process.ts";

const skip = skipWithout("openssl", ["openssl", "version"]);

/** A manager that echoes, and a gateway with one TLS listener. */
async function startEcho(t: TestContext, options = "", files = TLS_PARAMETERS) {
  const settings = { listen: [`tls://127.0.0.1:0?${files}${options}`], halfCloseMs: 100 };
  const rig = await startRig(t, { settings });
  behaviours.echo(rig.manager);
  return rig;
}

/** A client that trusts the authority of the tests, and nobody else. */
function startClient(t: TestContext, port: number, ...args: readonly string[]): PeerProcess {
  const trust = ["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile", tlsFile("ca.crt")];
  const to = ["-connect", `127.0.0.1:${port}`];
  return new PeerProcess(t, ["openssl", "s_client", "-nocommands", ...to, ...trust, ...args]);
}

/** The same; its output is what it receives, and what it agreed on is among its errors. */
function connect(t: TestContext, port: number, ...args: readonly string[]): PeerProcess {
  return startClient(t, port, "-brief", ...args);
}

/** Waits until it has received exactly `bytes`. */
async function receives(client: PeerProcess, bytes: Buffer): Promise<void> {
  await client.until(() => client.stdout.length >= bytes.length, `receives ${bytes.length} bytes`);
  assert.ok(client.stdout.equals(bytes), `received ${client.stdout}`);
}

/** Waits for its end without a connection; gives what it says of it. */
async function refused(client: PeerProcess): Promise<string> {
  assert.notEqual(await client.exited, 0, `it was let in: ${client.stderr}`);
  assert.equal(client.stdout.length, 0);
  return client.stderr;
}

/** How long a certificate may take to be read again; it is looked at every second. */
const PATIENCE_MS = 20_000;

/** Waits until a gateway has turned away so many clients, all for their handshake; nobody has joined. */
async function turnedAway({ gateway }: Rig, clients: number): Promise<void> {
  const { counters } = gateway;
  await until(() => counters.refused >= clients, `${clients} are turned away`);
  assert.deepEqual([counters.joins, counters.refusals["tls-handshake"]], [0, clients]);
}

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

describe("openssl s_client", { skip }, () => {
  for (const version of ["1.2", "1.3"]) {
    test(`verifies the certificate and hears its bytes again over TLS ${version}`, async (t) => {
      const rig = await startEcho(t);
      const client = connect(t, rig.port, `-tls${version.replace(".", "_")}`);
      await client.says("CONNECTION ESTABLISHED");
      const sent = Buffer.concat([EVERY_BYTE, Buffer.alloc(100_000, "x"), EVERY_BYTE]);
      client.send(sent);
      await receives(client, sent);
      assert.match(client.stderr, new RegExp(`Protocol version: TLSv${version}\n`));
      assert.match(client.stderr, /Peer certificate: CN = Test server\n/);
      assert.match(client.stderr, /Verification: OK\n/);
    });
  }

  test("ends, and is told its end, in good order", async (t) => {
    const rig = await startEcho(t);
    const left = next<[Session, { reason: string }]>(rig.manager, "leave");
    const first = connect(t, rig.port);
    await first.says("CONNECTION ESTABLISHED");
    first.end();
    assert.equal(await first.exited, 0);
    assert.equal((await left)[1].reason, "client-closed");

    const joined = next<[Session]>(rig.manager, "join");
    const second = connect(t, rig.port);
    const [session] = await joined;
    rig.manager.send(session, "bye");
    rig.manager.drop(session);
    assert.equal(await second.exited, 0);
    assert.equal(second.stdout.toString(), "bye");
    assert.doesNotMatch(second.stderr, /error|eof/i, "it ends by a close_notify");
  });

  // OpenSSL itself does not speak 1.1 any more unless it is told to settle for less.
  const older = [
    ["TLS 1.1", "", ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]],
    ["TLS 1.2 where 1.3 is the least", "&minVersion=TLSv1.3", ["-tls1_2"]],
  ] as const;
  for (const [what, options, args] of older) {
    test(`is refused with ${what}`, async (t) => {
      const rig = await startEcho(t, options);
      assert.match(await refused(connect(t, rig.port, ...args)), /alert protocol version/);
      await turnedAway(rig, 1);
    });
  }

  test("that does not trust the certificate goes away, and is counted", async (t) => {
    const rig = await startEcho(t);
    const client = connect(t, rig.port, "-CAfile", tlsFile("stranger.crt"));
    assert.match(await refused(client), /certificate verify failed/);
    await turnedAway(rig, 1);
  });

  test("has the name that it asked for and the protocol that was agreed told to the manager", async (t) => {
    const rig = await startEcho(t, "&alpn=game/2,game/1");
    const joined = next<[Session]>(rig.manager, "join");
    const client = startClient(t, rig.port, "-servername", "eu.game.example", "-alpn", "game/0,game/1");
    const [{ sni, alpn, addr }] = await joined;
    assert.deepEqual([sni, alpn, addr], ["eu.game.example", "game/1", "127.0.0.1"]);
    await client.says("ALPN protocol: game/1");
  });

  test("that shares no protocol with the listener is told so", async (t) => {
    const rig = await startEcho(t, "&alpn=game/2,game/1");
    const stranger = connect(t, rig.port, "-alpn", "game/0");
    assert.match(await refused(stranger), /alert no application protocol/);
  });

  describe("where a client certificate is required", () => {
    const REQUIRED = `&clientCertificate=require&clientCa=${tlsFile("ca.crt")}`;
    const certificate = (name: string) => ["-cert", tlsFile(`${name}.crt`), "-key", tlsFile(`${name}.key`)];

    test("is refused without one", async (t) => {
      const rig = await startEcho(t, REQUIRED);
      assert.match(await refused(connect(t, rig.port, "-tls1_3")), /alert certificate required/);
      assert.match(await refused(connect(t, rig.port, "-tls1_2")), /alert handshake failure/);
      await turnedAway(rig, 2);
    });

    test("is refused with one of somebody else's", async (t) => {
      const rig = await startEcho(t, REQUIRED);
      await refused(connect(t, rig.port, ...certificate("stranger")));
      await turnedAway(rig, 1);
    });

    test("has its certificate's name and fingerprint told to the manager", async (t) => {
      const rig = await startEcho(t, REQUIRED);
      const joined = next<[Session]>(rig.manager, "join");
      const client = connect(t, rig.port, ...certificate("client"));
      client.send("hello");
      await receives(client, Buffer.from("hello"));
      const [session] = await joined;
      assert.deepEqual(session.certificate, { name: "Test client", fingerprint: fingerprint("client.crt") });
    });
  });

  test("sees the new certificate once its files are replaced, while another goes on with the old one", async (t) => {
    const directory = temporaryDirectory(t);
    const put = (name: string) => {
      for (const kind of ["crt", "key"]) {
        const fresh = join(directory, `fresh.${kind}`);
        copyFileSync(tlsFile(`${name}.${kind}`), fresh);
        renameSync(fresh, join(directory, `server.${kind}`));
      }
    };
    put("server");
    const rig = await startEcho(t, "", `cert=${directory}/server.crt&key=${directory}/server.key`);
    const old = connect(t, rig.port);
    await old.says("Peer certificate: CN = Test server");
    put("renewed");
    const begun = performance.now();
    for (;;) {
      const client = connect(t, rig.port);
      client.end();
      assert.equal(await client.exited, 0, client.stderr);
      if (client.stderr.includes("Peer certificate: CN = Renewed server")) break;
      assert.match(client.stderr, /Peer certificate: CN = Test server/);
      assert.ok(performance.now() - begun < PATIENCE_MS, "the certificate was not read again");
    }
    old.send("still here");
    await receives(old, Buffer.from("still here"));
  });
});

/** As openssl has it. */
function fingerprint(name: string): string {
  const args = ["x509", "-in", tlsFile(name), "-noout", "-fingerprint", "-sha256"];
  const [, hex = ""] = spawnSync("openssl", args).stdout.toString().trim().split("=");
  return hex.replaceAll(":", "").toLowerCase();
}
