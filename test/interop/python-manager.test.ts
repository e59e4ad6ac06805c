/** A manager in another language, written from docs/protocol.md by somebody who had not seen the code. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { recordLog } from "../helpers/log.ts";
import { managerOf, socketPath, startTestGateway } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

const skip = spawnSync("python3", ["--version"]).status === 0 ? false : "python3 is not there";

interface PythonEvent {
  readonly event: string;
  readonly [key: string]: unknown;
}

/** The Python manager, and what it has told. It ends with the test. */
class PythonManager {
  readonly child: ChildProcess;
  #text = "";
  #errors = "";

  constructor(t: TestContext, address: string, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    const args = [join(import.meta.dirname, "manager.py"), address, ...more];
    this.child = spawn("python3", args, { stdio: "pipe", env: { ...process.env, ...env } });
    this.child.stdout?.on("data", (text) => {
      this.#text += text;
    });
    this.child.stderr?.on("data", (text) => {
      this.#errors += text;
    });
    t.after(() => this.end());
  }

  /** Ends it, if it has not ended. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.stdin?.end();
    await ended;
  }

  /** Waits for the `nth` event of a name, counted from 1. */
  async heard(event: string, nth = 1): Promise<PythonEvent> {
    const all = () => {
      const lines = this.#text.slice(0, this.#text.lastIndexOf("\n") + 1).split("\n");
      const events = lines.filter((line) => line !== "").map((line): PythonEvent => JSON.parse(line));
      return events.filter((one) => one.event === event);
    };
    await until(() => all().length >= nth || this.child.exitCode !== null, `it says '${event}'`);
    const found = all()[nth - 1];
    assert.ok(found !== undefined, `it ended without '${event}': ${this.#errors}`);
    return found;
  }
}

test("a manager in Python registers a gateway, echoes, broadcasts, drops and shuts it down", {
  skip,
}, async (t) => {
  const address = `unix:${socketPath(t)}`;
  const manager = new PythonManager(t, address);
  await manager.heard("listening");
  const gateway = await startTestGateway(t, address, { name: "edge", shutdownExitCode: 64 });
  assert.equal((await manager.heard("registered")).name, "edge");
  const { endpoints } = await manager.heard("up");
  const port = (endpoints as { port: number }[])[0]?.port ?? 0;
  const join = async () => {
    const client = await TestClient.connect(port);
    t.after(() => client.close());
    return client;
  };

  const [first, second, third] = [await join(), await join(), await join()];
  await manager.heard("join", 3);
  first.send("hello\n");
  await first.expect("hello\n");
  const long = "x".repeat(200_000);
  second.send(long);
  await second.expect(long);

  first.send("all news\n");
  await first.expect("hello\nnews\n");
  await second.expect(`${long}news\n`);
  await third.expect("news\n");

  third.send("bye\n");
  await third.untilEnded();
  assert.equal(third.received.toString(), "news\nbye\n");
  third.close();
  const dropped = await manager.heard("leave");
  assert.deepEqual([dropped.reason, dropped.by], ["dropped", "manager"]);

  second.send("cut\n");
  await until(() => second.closed, "the client is cut");
  assert.equal(second.errorCode, "ECONNRESET");
  assert.equal((await manager.heard("leave", 2)).reason, "drop-discarded");

  const reset = await join();
  await manager.heard("join", 4);
  reset.socket.resetAndDestroy();
  assert.equal((await manager.heard("leave", 3)).reason, "client-reset");
  await until(() => gateway.sessions.table.usedCount === 1, "its end is acknowledged");

  await manager.heard("ping", 2);
  await until(() => managerOf(gateway).link.rttMs !== undefined, "a heartbeat is answered");

  first.send("stop\n");
  await manager.heard("draining");
  await first.untilEnded();
  first.close();
  assert.equal((await manager.heard("leave", 4)).reason, "shutdown");
  await manager.heard("down");
  assert.deepEqual(await gateway.ended, { code: 64 });
});

test("a manager in Python lets clients in one by one, and sends framed messages whole", {
  skip,
}, async (t) => {
  const address = `unix:${socketPath(t)}`;
  const manager = new PythonManager(t, address, ["100", "admit"]);
  await manager.heard("listening");
  const listen = [
    "tcp://127.0.0.1:0?name=open&framing=line&maxMessageBytes=200000",
    "tcp://127.0.0.1:0?name=closed",
  ];
  const gateway = await startTestGateway(t, address, { name: "edge", listen, maxFrame: 65_536 });
  const { endpoints } = await manager.heard("up");
  const [open, closed] = endpoints as { port: number; framing?: string }[];
  assert.deepEqual([open?.framing, closed?.framing], ["line", undefined]);
  const join = async (port = 0) => {
    const client = await TestClient.connect(port);
    t.after(() => client.close());
    return client;
  };

  const [talker, shouter] = [await join(open?.port), await join(open?.port)];
  assert.equal((await manager.heard("join", 2)).framing, "line");
  talker.send("hel");
  talker.send("lo\nhello again\nall news\n");
  await talker.expect("hello\nhello again\nnews\n\n");
  shouter.send(`${"x".repeat(70_000)}\n`);
  await shouter.untilEnded();
  shouter.close();
  assert.equal((await manager.heard("leave")).reason, "dropped");

  const banned = await join(closed?.port);
  await banned.untilEnded();
  banned.close();
  await talker.untilEnded();
  talker.close();
  await manager.heard("leave", 3);
  const reasons = [await manager.heard("leave", 2), await manager.heard("leave", 3)].map(
    ({ reason }) => reason,
  );
  assert.deepEqual(reasons.sort(), ["denied", "dropped"], "the other from its address has to go, too");
  await until(() => gateway.sessions.table.usedCount === 0, "all are acknowledged");
});

test("a manager in Python and a gateway prove to each other that they have the same secret", {
  skip,
}, async (t) => {
  const secret = "a secret in two languages";
  const address = `unix:${socketPath(t)}`;
  const manager = new PythonManager(t, address, [], { SIDEGATE_MANAGER_SECRET: secret });
  await manager.heard("listening");
  const { log, loss } = recordLog();
  await startTestGateway(
    t,
    address,
    { name: "stranger", managerSecret: "a secret in one language" },
    { log },
  );
  await loss("manager-bad-proof");
  await startTestGateway(t, address, { name: "edge", managerSecret: secret });
  assert.equal((await manager.heard("registered")).name, "edge");
  await manager.heard("up");
});

test("a manager in Python acknowledges what it hears, so that a gateway need not stop", {
  skip,
}, async (t) => {
  const address = `unix:${socketPath(t)}`;
  const manager = new PythonManager(t, address);
  await manager.heard("listening");
  const gateway = await startTestGateway(t, address, { retainBytes: 1024 * 1024 });
  await manager.heard("up");
  const client = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
  t.after(() => client.close());
  const sent = "x".repeat(4_000_000);
  client.send(sent);
  await client.expect(sent);
});

test("a manager in Python that is started anew is told of the clients that are still there", {
  skip,
}, async (t) => {
  const address = `unix:${socketPath(t)}`;
  const first = new PythonManager(t, address);
  await first.heard("listening");
  const gateway = await startTestGateway(t, address);
  await first.heard("up");
  const client = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
  t.after(() => client.close());
  const { session } = await first.heard("join");
  client.send("hello\n");
  await client.expect("hello\n");
  await first.end();

  const second = new PythonManager(t, address);
  const again = await second.heard("join");
  assert.deepEqual([again.session, again.rejoin], [session, true]);
  await second.heard("up");
  client.send("again\n");
  await client.expect("hello\nagain\n");
  client.send("bye\n");
  await client.untilEnded();
  client.close();
  assert.equal((await second.heard("leave")).reason, "dropped");
});
