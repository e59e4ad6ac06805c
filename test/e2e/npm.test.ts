/** `npm run` under what stops it: a supervisor, a container in which npm is the first process, a terminal. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { toGateway } from "../../proto/from-manager.ts";
import { TestClient } from "../helpers/client.ts";
import { ROOT } from "../helpers/process.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import { socketPath } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

/** Makes npm the first process of a container, as far as signals go. */
const CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

const places: readonly { readonly where: string; readonly before: readonly string[] }[] = [
  { where: "as a child", before: [] },
  { where: "as the first process of a container", before: CONTAINER },
];

/** Whom a signal is sent to: npm alone, or as a terminal does it, npm and all that it started. */
const ways = [
  { what: "SIGTERM", signal: "SIGTERM", toAll: false },
  { what: "SIGINT", signal: "SIGINT", toAll: false },
  { what: "Ctrl-C", signal: "SIGINT", toAll: true },
  { what: "SIGTERM to all of its processes", signal: "SIGTERM", toAll: true },
] as const;

class Npm {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  output = "";

  constructor(t: TestContext, before: readonly string[], script: string, ...args: string[]) {
    const [command = "npm", ...rest] = [...before, "npm", "run", script, "--", ...args];
    const env = { ...process.env, npm_config_update_notifier: "false" };
    // In a group of its own, so that a signal to the group does not reach the test.
    this.child = spawn(command, rest, { cwd: ROOT, detached: true, env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on("data", (text) => {
        this.output += text;
      });
    }
    this.exited = once(this.child, "exit");
    t.after(async () => {
      this.#killAll();
      await this.exited;
    });
  }

  /** Waits until this is printed. */
  async printed(text: string): Promise<void> {
    const printed = () => this.output.includes(text);
    await until(() => printed() || this.child.exitCode !== null, `npm prints '${text}'`);
    assert.ok(printed(), this.output);
  }

  send({ signal, toAll }: (typeof ways)[number], before: readonly string[]): void {
    const { pid = 0 } = this.child;
    const npm = before.length === 0 ? pid : Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"));
    process.kill(toAll ? -pid : npm, signal);
  }

  #killAll(): void {
    try {
      process.kill(-(this.child.pid ?? 0), "SIGKILL");
    } catch {
      // All of them have ended.
    }
  }
}

for (const { where, before } of places) {
  const [command, ...options] = before;
  const skip = command !== undefined && spawnSync(command, [...options, "true"]).status !== 0;

  describe(`npm ${where}`, { skip }, () => {
    for (const way of ways) {
      test(`has the gateway drain on ${way.what}, and ends with it`, async (t) => {
        const raw = await startRawManager(t);
        const npm = new Npm(t, before, "gateway", "--manager", raw.link, "--listen", "tcp://127.0.0.1:0");
        const link = await raw.nextLink();
        link.register();
        const { body } = await link.wait("listening");
        const client = await TestClient.connect(body.endpoints[0]?.port ?? 0);
        t.after(() => client.close());
        const { session } = await link.wait("join");
        npm.send(way, before);
        assert.equal((await link.wait("draining")).body.reason, way.signal);
        // A client of a gateway that drains is still served.
        client.send("still here");
        await link.wait("message");
        client.socket.resetAndDestroy();
        await link.wait("disconnected");
        link.say((batch) => toGateway.drop(batch, session));
        assert.deepEqual(await npm.exited, [0, null], npm.output);
        assert.match(npm.output, /"msg":"ended"/);
      });

      test(`has the manager end in good order on ${way.what}, and ends with it`, async (t) => {
        const path = socketPath(t);
        const npm = new Npm(t, before, "manager", "--listen", `unix:${path}`, "--http", "127.0.0.1:0");
        await npm.printed("the manager listens");
        npm.send(way, before);
        assert.deepEqual(await npm.exited, [0, null], npm.output);
        assert.equal(existsSync(path), false);
      });
    }
  });
}
