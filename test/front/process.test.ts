/** The gateway's process: what it reads again when it is asked to, and what it does without file descriptors. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Gateway } from "../../manager-stub/index.ts";
import { TestClient } from "../helpers/client.ts";
import { ROOT, TestProcess } from "../helpers/process.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import { startManager, temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile, tlsFile } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";

const MAIN = "gateway/main.ts";

describe("SIGHUP", () => {
  test("has address lists and certificates read again, and drops nobody who may stay", async (t) => {
    const directory = temporaryDirectory(t);
    const [denyFile, cert, key] = ["deny", "a.crt", "a.key"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(denyFile, "");
    copyFileSync(tlsFile("server.crt"), cert);
    copyFileSync(tlsFile("server.key"), key);
    const raw = await startRawManager(t);
    const listen = [`tls://127.0.0.1:0?cert=${cert}&key=${key}`, "tcp://127.0.0.1:0?name=plain"];
    const flags = ["--manager", raw.link, "--deny-file", denyFile];
    const gateway = new TestProcess(t, MAIN, [...flags, ...listen.flatMap((url) => ["--listen", url])]);
    const link = await raw.nextLink();
    link.register();
    const { endpoints } = (await link.wait("listening")).body;
    const [securePort = 0, plainPort = 0] = endpoints.map(({ port }) => port);
    await gateway.logged("listening");

    const dialSecure = async () => {
      const socket = connectTls({ port: securePort, host: "127.0.0.1", ca: readTlsFile("ca.crt") });
      t.after(() => socket.destroy());
      await next(socket, "secureConnect");
      return socket;
    };
    const dialPlain = (localAddress: string) => {
      const client = new TestClient(connect({ port: plainPort, host: "127.0.0.1", localAddress }));
      t.after(() => client.close());
      return client;
    };
    const before = await dialSecure();
    const denied = dialPlain("127.0.0.9");
    await link.wait("join", 2);

    writeFileSync(denyFile, "127.0.0.9\n");
    copyFileSync(tlsFile("renewed.crt"), cert);
    copyFileSync(tlsFile("renewed.key"), key);
    gateway.child.kill("SIGHUP");
    await gateway.logged("the address lists and certificates were read again");
    const { body } = await link.wait("disconnected");
    assert.deepEqual([body.reason, body.by], ["denied", "gateway"]);
    await until(() => denied.closed, "the one that is denied now is closed");
    await dialPlain("127.0.0.9").untilEnded();
    const after = await dialSecure();
    assert.equal(after.getPeerCertificate().subject.CN, "Renewed server");
    assert.equal(before.getPeerCertificate().subject.CN, "Test server");
    before.write("still here");
    assert.equal(String((await link.wait("message")).payload), "still here");
    assert.equal(gateway.child.exitCode, null);
  });
});

describe("a configuration whose files are wrong", () => {
  for (const [what, flags, message] of [
    [
      "a certificate",
      ["--listen", "tls://127.0.0.1:0?cert=/nowhere/a.crt&key=/nowhere/a.key"],
      /TLS certificate.*\/nowhere\/a/,
    ],
    ["an address list", ["--deny-file", "/nowhere/deny"], /\/nowhere\/deny/],
    ["a ticket secret", ["--ticket-secret-file", "/nowhere/secret"], /ticketSecretFile.*\/nowhere\/secret/],
  ] as const) {
    test(`ends the process with 2 and one clear line: ${what}`, async (t) => {
      const gateway = new TestProcess(t, MAIN, [...flags]);
      assert.equal((await gateway.exited).code, 2);
      assert.match(gateway.stderr, message);
      assert.match(gateway.stderr, /^sidegate: [^\n]+\nSee --help\.\n$/);
    });
  }
});

describe("a process that may open few files", () => {
  const MAX_FILES = 96;
  const CAPACITY = 100;
  const CLIENTS = 80;

  /** A gateway that may not open more, by a shell that sets the limit. */
  async function startLimited(t: TestContext) {
    const { manager, link } = await startManager(t, { pingMs: 100, capacity: CAPACITY });
    const up = next<[Gateway]>(manager, "gatewayUp");
    const args = [join(ROOT, MAIN), "--manager", link, "--listen", "tcp://127.0.0.1:0"];
    const shell = ["-c", `ulimit -n ${MAX_FILES} && exec "$@"`, "sh", process.execPath, ...args];
    const child = spawn("/bin/sh", shell, { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(child, "exit");
    t.after(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    const world = { log: "" };
    child.stdout.on("data", (text) => {
      world.log += text;
    });
    const [view] = await up;
    return { world, manager, view, port: view.endpoints[0]?.port ?? 0 };
  }

  test("turns away whom it has none left for; who is there goes on, and it does not spin", async (t) => {
    const { world, manager, view, port } = await startLimited(t);
    await until(() => world.log.includes("raise it"), "the log warns when it registers");
    const advice = `this process may open ${MAX_FILES} files, and ${CAPACITY} clients need ${CAPACITY + 64}: raise it`;
    assert.ok(world.log.includes(advice), world.log);

    let joined = 0;
    manager.on("join", () => joined++);
    manager.on("message", (session, payload) => manager.send(session, payload));
    const clients: TestClient[] = [];
    const isIn = (client: TestClient) => !client.ended && !client.closed;
    const dial = async () => {
      const before = joined;
      const client = new TestClient(port);
      clients.push(client);
      t.after(() => client.close());
      await until(() => joined > before || !isIn(client), "it is in, or not");
    };
    for (let index = 0; index < CLIENTS; index++) await dial();
    const inside = clients.filter(isIn);
    const refused = CLIENTS - inside.length;
    assert.ok(joined === inside.length && joined > 0 && refused > 0, `${joined} joined, ${refused} did not`);

    await until(() => view.vitals?.refusals?.descriptors === refused, "each of them is counted");
    assert.deepEqual(view.vitals?.refusals, { descriptors: refused });
    for (const client of inside) client.send("still here");
    await Promise.all(inside.map((client) => client.expect("still here")));

    const start = view.vitals;
    assert.ok(start);
    await until(() => (view.vitals?.seq ?? 0) >= start.seq + 5, "some time passes");
    const share = ((view.vitals?.cpuMs ?? 0) - (start.cpuMs ?? 0)) / ((view.vitals?.at ?? 0) - start.at);
    assert.ok(share < 0.5, `it is busy for ${share} of the time`);

    const left = next(manager, "leave");
    inside[0]?.reset();
    await left;
    const before = joined;
    await dial();
    assert.equal(joined, before + 1, "whose place is free again");
    assert.equal(view.health, "up");
  });
});
