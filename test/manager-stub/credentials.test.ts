/** What protects the stand-alone manager's link, from its environment and its flags. */

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type CredentialFlags, readCredentials, UsageError } from "../../manager-stub/credentials.ts";
import { Authority, withoutOpenssl } from "../helpers/certificates.ts";
import { socketPath, temporaryDirectory } from "../helpers/rig.ts";
import { runWith, startProcess } from "./manager-process.ts";
import { RawGateway } from "./raw-gateway.ts";

const SECRET = "a secret for the tests";

function file(t: TestContext, content: string, mode = 0o600): string {
  const path = join(temporaryDirectory(t), "file");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function refused(message: string | RegExp, flags: CredentialFlags, env: NodeJS.ProcessEnv = {}): void {
  assert.throws(
    () => readCredentials(flags, env),
    (error: Error) => {
      assert.ok(error instanceof UsageError, String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    },
  );
}

describe("the manager's credentials", () => {
  test("are none unless they are given", () => {
    assert.deepEqual(readCredentials({}, {}), { warnings: [] });
  });

  test("take a secret from the environment, or from a file without its line end", (t) => {
    const fromVariable = readCredentials({}, { SIDEGATE_MANAGER_SECRET: SECRET });
    assert.deepEqual(fromVariable, { secret: SECRET, warnings: [] });
    const { secret = "", warnings } = readCredentials({ secretFile: file(t, `${SECRET}\n`) }, {});
    assert.deepEqual([String(secret), warnings], [SECRET, []]);
  });

  test("warn of a secret's file that every user can read", (t) => {
    const secretFile = file(t, SECRET, 0o644);
    const warning = `--secret-file: ${secretFile} can be read by every user of this machine; chmod 600 it`;
    assert.deepEqual(readCredentials({ secretFile }, {}).warnings, [warning]);
  });

  test("refuse two secrets, one that is too short, and a file that is not there", (t) => {
    const both = "--secret-file and SIDEGATE_MANAGER_SECRET are both set; set one of them";
    refused(both, { secretFile: file(t, SECRET) }, { SIDEGATE_MANAGER_SECRET: SECRET });
    const short = "a secret must have at least 16 bytes";
    refused(`SIDEGATE_MANAGER_SECRET: ${short}`, {}, { SIDEGATE_MANAGER_SECRET: "123456789012345" });
    refused(`SIDEGATE_MANAGER_SECRET: ${short}`, {}, { SIDEGATE_MANAGER_SECRET: "" });
    const secretFile = file(t, "123456789012345\n");
    refused(`--secret-file ${secretFile}: ${short}`, { secretFile });
    refused(/^--secret-file: ENOENT/, { secretFile: "/nonexistent/secret" });
  });

  test("refuse a certificate without its key, and the other way round", (t) => {
    const path = file(t, "");
    for (const flags of [{ tlsCert: path }, { tlsKey: path }, { tlsClientCa: path }])
      refused("TLS needs both --tls-cert and --tls-key", flags);
    refused(/^--tls-key: ENOENT/, { tlsCert: path, tlsKey: "/nonexistent/key" });
    refused(/^--tls-client-ca: ENOENT/, { tlsCert: path, tlsKey: path, tlsClientCa: "/nonexistent/ca" });
  });

  test("warn of a key that every user can read, and not of certificates", (t) => {
    const open = file(t, "", 0o644);
    const { warnings } = readCredentials({ tlsCert: open, tlsKey: open, tlsClientCa: open }, {});
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^--tls-key: .* can be read by every user/);
  });
});

describe("the manager's process", () => {
  test("challenges gateways when it has a secret's file, of whose mode it warns", async (t) => {
    const secretFile = file(t, SECRET, 0o644);
    const listen = `unix:${socketPath(t)}`;
    const { running, link } = await startProcess(t, listen, "--secret-file", secretFile);
    const gateway = await RawGateway.connect(t, link);
    assert.equal((await gateway.askToRegister())[0], "Challenge");
    assert.ok(
      running.log().some(({ level, msg }) => level === 40 && /can be read by every user/.test(`${msg}`)),
    );
    assert.doesNotMatch(running.stdout, new RegExp(SECRET));
  });

  test("refuses to start beyond loopback with neither a secret nor TLS: exit code 2", async (t) => {
    const args = ["--listen", "tcp://0.0.0.0:0", "--http", "127.0.0.1:0"];
    const { exit, stdout, stderr } = await runWith(t, {}, ...args);
    assert.deepEqual([exit, stdout], [2, ""]);
    assert.match(stderr, /^sidegate-manager: cannot listen on tcp:\/\/0\.0\.0\.0:0: everybody who can .*\n$/);
  });

  test("refuses a secret that is too short, and never prints it: exit code 2", async (t) => {
    const listen = ["--listen", `unix:${socketPath(t)}`];
    const { exit, stdout, stderr } = await runWith(t, { SIDEGATE_MANAGER_SECRET: "tooshort" }, ...listen);
    const said = "sidegate-manager: SIDEGATE_MANAGER_SECRET: a secret must have at least 16 bytes\n";
    assert.deepEqual([exit, stdout, stderr], [2, "", said]);
  });

  test("listens over TLS, and warns when it does not know who dials", { skip: withoutOpenssl }, async (t) => {
    const authority = new Authority(t);
    const { certFile, keyFile } = authority.issue();
    const tls = ["--tls-cert", certFile, "--tls-key", keyFile];
    const open = await startProcess(t, "tls://127.0.0.1:0", ...tls);
    await RawGateway.registered(t, open.link, {}, { ca: authority.cert });
    await open.running.logged(
      "whoever reaches the link can register as a gateway; give it a secret, or --tls-client-ca",
    );
    const closed = await startProcess(t, "tls://127.0.0.1:0", ...tls, "--tls-client-ca", authority.file);
    const { cert, key } = authority.issue();
    await RawGateway.registered(t, closed.link, {}, { ca: authority.cert, cert, key });
    assert.equal(
      closed.running.log().some(({ level }) => Number(level) >= 40),
      false,
    );
  });

  test("refuses a certificate that can't be used: exit code 2", { skip: withoutOpenssl }, async (t) => {
    const { certFile } = new Authority(t).issue();
    const flags = ["--listen", "tls://127.0.0.1:0", "--tls-cert", certFile, "--tls-key", certFile];
    const { exit, stderr } = await runWith(t, {}, ...flags);
    const said = "sidegate-manager: tls.key is not a private key in PEM without a passphrase\n";
    assert.deepEqual([exit, stderr], [2, said]);
  });
});
