/** What protects a gateway's link and signs tickets, from its environment and the files that its settings name. */

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { resolveConfig } from "../../gateway/config.ts";
import { ConfigError } from "../../gateway/config-error.ts";
import { readCredentials } from "../../gateway/credentials.ts";
import { signTicket } from "../../gateway/guard/ticket.ts";
import type { Session } from "../../manager-stub/index.ts";
import { Authority, withoutOpenssl } from "../helpers/certificates.ts";
import { TestProcess } from "../helpers/process.ts";
import { type Settings, startManager, startRig, temporaryDirectory } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

const SECRET = "a secret for the tests";

function read(values: Settings) {
  return readCredentials(resolveConfig([{ values, describe: () => "from the test" }]).config);
}

function refused(message: string | RegExp, values: Settings): void {
  assert.throws(
    () => read(values),
    (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    },
  );
}

function file(t: TestContext, content: string, mode = 0o600): string {
  const path = join(temporaryDirectory(t), "file");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe("a gateway's credentials", () => {
  test("are none unless they are given", () => {
    assert.deepEqual(read({}), { secret: undefined, tls: undefined, ticketSecret: undefined, warnings: [] });
  });

  test("hold the secret of the environment, or the file's without its line end", (t) => {
    const nonces = { register: Buffer.alloc(16), challenge: Buffer.alloc(16) };
    const proofs = [{ managerSecret: SECRET }, { managerSecretFile: file(t, `${SECRET}\n`) }].map(
      (values) => {
        const { secret, warnings } = read(values);
        assert.deepEqual(warnings, []);
        return secret?.prove("gateway", nonces).toString("hex");
      },
    );
    assert.ok(proofs[0] !== undefined);
    assert.equal(proofs[0], proofs[1]);
  });

  test("warn of a secret's file that every user can read", (t) => {
    const path = file(t, SECRET, 0o644);
    const warning = `managerSecretFile: ${path} can be read by every user of this machine; chmod 600 it`;
    assert.deepEqual(read({ managerSecretFile: path }).warnings, [warning]);
  });

  test("hold what tickets are signed with, of the environment or a file, however it is written", (t) => {
    const hex = "5a".repeat(32);
    const ofFile = read({ ticketSecretFile: file(t, `hex:${hex}\r\n`) });
    assert.deepEqual(ofFile.warnings, []);
    for (const { ticketSecret } of [ofFile, read({ ticketSecret: hex })])
      assert.equal(Buffer.from(ticketSecret ?? []).toString("hex"), hex);
    const open = file(t, hex, 0o644);
    const warning = `ticketSecretFile: ${open} can be read by every user of this machine; chmod 600 it`;
    assert.deepEqual(read({ ticketSecretFile: open }).warnings, [warning]);
    refused(/^ticketSecretFile \(\/nonexistent\): ENOENT/, { ticketSecretFile: "/nonexistent" });
    refused(/^ticketSecretFile \(.*\): a ticket secret must have at least 32 bytes, and this one has 9;/, {
      ticketSecretFile: file(t, "change me"),
    });
  });

  test("are refused when a file is not there, or holds too little, by the setting's name", (t) => {
    refused(/^managerSecretFile \(\/nonexistent\): ENOENT/, { managerSecretFile: "/nonexistent" });
    const short = file(t, "123456789012345\n");
    const message = "a secret must have at least 16 bytes; this one has 15";
    refused(`managerSecretFile (${short}): ${message}`, { managerSecretFile: short });
    const tls = { manager: "tls://127.0.0.1:1" };
    refused(/^managerCa \(\/nonexistent\): ENOENT/, { ...tls, managerCa: "/nonexistent" });
  });

  test("are refused when a file holds something else", { skip: withoutOpenssl }, (t) => {
    const authority = new Authority(t);
    const { certFile, keyFile } = authority.issue();
    const other = authority.issue();
    const manager = "tls://127.0.0.1:1";
    refused(/^managerCa \(.*\): is not a certificate in PEM$/, { manager, managerCa: keyFile });
    const noCert = { manager, managerCert: keyFile, managerKey: keyFile };
    refused(/^managerCert \(.*\): is not a certificate in PEM$/, noCert);
    const noKey = { manager, managerCert: certFile, managerKey: certFile };
    refused(/^managerKey \(.*\): is not a private key in PEM without a passphrase$/, noKey);
    const mixed = { manager, managerCert: certFile, managerKey: other.keyFile };
    refused(/^managerKey \(.*\): does not belong to the certificate$/, mixed);
    const { tls } = read({ manager, managerCa: authority.file, managerCert: certFile, managerKey: keyFile });
    assert.ok(tls !== undefined);
  });

  test("warn of a key that every user can read, and not of certificates", { skip: withoutOpenssl }, (t) => {
    const authority = new Authority(t);
    const { certFile, keyFile } = authority.issue();
    for (const path of [authority.file, certFile, keyFile]) chmodSync(path, 0o644);
    const files = { managerCa: authority.file, managerCert: certFile, managerKey: keyFile };
    const { warnings } = read({ manager: "tls://127.0.0.1:1", ...files });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^managerKey: .* can be read by every user/);
  });
});

describe("a gateway with a secret for tickets", () => {
  test("lets in who has a ticket that is signed with it, and nobody else", async (t) => {
    const signedWith = Buffer.alloc(32, 0x5a);
    const { manager, gateway, client } = await startRig(t, {
      settings: {
        listen: ["tcp://127.0.0.1:0?framing=line&ticket=first-message"],
        ticketSecretFile: file(t, signedWith.toString("hex")),
      },
    });
    const present = async (secret: Buffer) => {
      const player = await client();
      player.send(`${signTicket({ user: "ann", expiresAtMs: Date.now() + 60_000 }, secret)}\n`);
      return player;
    };
    await (await present(Buffer.alloc(32, 0xa5))).untilEnded();
    assert.deepEqual([gateway.counters.refusals["bad-ticket"], gateway.counters.joins], [1, 0]);
    const joined = next<[Session]>(manager, "join");
    await present(signedWith);
    assert.equal((await joined)[0].user, "ann");
  });
});

describe("the gateway's process", () => {
  const MAIN = "gateway/main.ts";
  const LISTEN = ["--listen", "tcp://127.0.0.1:0"];

  test("ends with 2 and one clear line when a file of the link's is wrong", async (t) => {
    const gateway = new TestProcess(t, MAIN, [...LISTEN, "--manager-secret-file", "/nonexistent/secret"]);
    assert.equal((await gateway.exited).code, 2);
    assert.match(
      gateway.stderr,
      /^sidegate: managerSecretFile \(\/nonexistent\/secret\): ENOENT.*\nSee --help\.\n$/,
    );
  });

  test("registers with the secret of its environment, and never prints it", async (t) => {
    const { manager, link } = await startManager(t, { secret: SECRET });
    const args = [...LISTEN, "--manager", link, "--log-level", "trace"];
    const gateway = new TestProcess(t, MAIN, args, { SIDEGATE_MANAGER_SECRET: SECRET });
    await until(() => manager.gateways[0]?.health === "up", "the gateway is up");
    gateway.child.kill("SIGTERM");
    assert.equal((await gateway.exited).code, 0);
    assert.doesNotMatch(gateway.stdout + gateway.stderr, new RegExp(SECRET));
  });

  test("ends with 4 when the manager wants a secret and it has none", async (t) => {
    const { link } = await startManager(t, { secret: SECRET });
    const gateway = new TestProcess(t, MAIN, [...LISTEN, "--manager", link]);
    assert.equal((await gateway.exited).code, 4);
    assert.match(String(gateway.log().at(-1)?.msg), /set SIDEGATE_MANAGER_SECRET or managerSecretFile$/);
  });

  test("trusts the system's authorities when it is given none", { skip: withoutOpenssl }, async (t) => {
    const authority = new Authority(t);
    const { manager, link } = await startManager(t, { listen: "tls://127.0.0.1:0", tls: authority.issue() });
    new TestProcess(t, MAIN, [...LISTEN, "--manager", link], { SSL_CERT_FILE: authority.file });
    await until(() => manager.gateways[0]?.health === "up", "the gateway is up");
  });
});
