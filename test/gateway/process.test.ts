import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { meaningless } from "../../process/signals.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { TestClient } from "../helpers/client.ts";
import { TestProcess } from "../helpers/process.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import { socketPath } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

const MAIN = "gateway/main.ts";

/** A gateway's process that is registered and listens, with one client. */
async function running(t: TestContext, ...args: string[]) {
  const raw = await startRawManager(t);
  const gateway = new TestProcess(t, MAIN, ["--manager", raw.link, "--listen", "tcp://127.0.0.1:0", ...args]);
  const link = await raw.nextLink();
  link.register();
  const { body } = await link.wait("listening");
  const client = await TestClient.connect(body.endpoints[0]?.port ?? 0);
  t.after(() => client.close());
  await link.wait("join");
  return { gateway, link, client };
}

describe("the gateway's process", () => {
  test("is ready once it listens, and drains on SIGTERM", async (t) => {
    const { gateway, link, client } = await running(t);
    await until(() => gateway.ready, "it has said that it is ready");
    gateway.child.kill("SIGTERM");
    await link.wait("draining");
    client.socket.resetAndDestroy();
    const { session } = await link.wait("disconnected");
    link.say((batch) => toGateway.drop(batch, session));
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    assert.equal(gateway.stderr, "");
  });

  test("ends at once on a second signal that comes later than a Ctrl-C may come twice", async (t) => {
    const { gateway, link, client } = await running(t);
    gateway.child.kill("SIGINT");
    await link.wait("draining");
    await until(() => {
      gateway.child.kill("SIGINT");
      return gateway.child.exitCode !== null;
    }, "it has ended");
    assert.deepEqual(await gateway.exited, { code: 130, signal: null });
    await client.untilEnded();
  });

  test("goes on when signals come that mean nothing to it, and opens no debugger", async (t) => {
    const { gateway, link, client } = await running(t);
    for (const signal of meaningless) {
      gateway.child.kill(signal);
      await until(() => gateway.log().some((line) => line.signal === signal), `${signal} is logged`);
    }
    client.send("still here");
    await link.wait("message");
    assert.equal(gateway.stderr, "", "Node says there that its debugger listens");
  });

  for (const signal of ["SIGQUIT", "SIGALRM"] as const) {
    test(`drains on ${signal} too`, async (t) => {
      const { gateway, link } = await running(t, "--drain-ms", "0");
      gateway.child.kill(signal);
      assert.equal((await link.wait("draining")).body.reason, signal);
      const { session } = await link.wait("disconnected");
      link.say((batch) => toGateway.drop(batch, session));
      assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    });
  }

  test("drains when the process manager that started it goes away", async (t) => {
    const { gateway, link } = await running(t, "--drain-ms", "0");
    gateway.child.disconnect();
    const { body } = await link.wait("draining");
    assert.equal(body.reason, "the process manager is gone");
    const { session } = await link.wait("disconnected");
    link.say((batch) => toGateway.drop(batch, session));
    assert.equal((await gateway.exited).code, 0);
  });

  test("ends with 2 and one clear line when its configuration is wrong", async (t) => {
    const gateway = new TestProcess(t, MAIN, ["--drain-ms", "soon"]);
    assert.equal((await gateway.exited).code, 2);
    assert.equal(
      gateway.stderr,
      'sidegate: drainMs (from --drain-ms): must be a whole number from 0 to 86400000, not "soon"\nSee --help.\n',
    );
    assert.equal(gateway.stdout, "");
  });

  test("ends with 3 and one clear line when its port is in use, before a manager answers", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await next(taken, "listening");
    t.after(() => taken.close());
    const { port } = taken.address() as { port: number };
    const nobody = `unix:${socketPath(t)}`;
    const gateway = new TestProcess(t, MAIN, ["--manager", nobody, "--listen", `tcp://127.0.0.1:${port}`]);
    assert.equal((await gateway.exited).code, 3);
    assert.equal(gateway.stderr, "");
    const last = gateway.log().at(-1);
    assert.match(String(last?.msg), /another process listens there: stop it/);
    assert.doesNotMatch(gateway.stdout, / at /, "no stack trace");
  });

  test("goes on when nobody reads its log any more", async (t) => {
    const { gateway, link, client } = await running(t, "--log-level", "debug");
    gateway.child.stdout?.pause();
    const { session } = await link.wait("join");
    // Each is a line of the log, and all of them are more than the pipe and the log's own bound hold.
    const LINES = 20_000;
    for (let line = 0; line < LINES; line++) link.say((batch) => toGateway.dropDiscard(batch, 0));
    client.send("are you there?");
    assert.equal(String((await link.wait("message")).payload), "are you there?");
    link.say((batch) => toGateway.dropDiscard(batch, session));
    await until(() => client.closed, "the drop is carried out");
    gateway.child.kill("SIGTERM");
    await until(() => gateway.child.exitCode !== null, "it ends");
    assert.equal(gateway.child.exitCode, 0);
    gateway.child.stdout?.resume();
  });

  test("drains also when the process manager went away while it started", async (t) => {
    const raw = await startRawManager(t);
    const gateway = new TestProcess(t, MAIN, ["--manager", raw.link, "--listen", "tcp://127.0.0.1:0"]);
    gateway.child.disconnect();
    assert.equal((await gateway.exited).code, 0);
  });

  test("survives the end of what reads its log", async (t) => {
    const { gateway, link, client } = await running(t, "--log-level", "trace");
    gateway.child.stdout?.destroy();
    gateway.child.stderr?.destroy();
    const { session } = await link.wait("join");
    link.say((batch) => toGateway.dropDiscard(batch, session));
    await until(() => client.closed, "the drop is carried out");
    gateway.child.kill("SIGTERM");
    assert.equal((await gateway.exited).code, 0);
  });
});
