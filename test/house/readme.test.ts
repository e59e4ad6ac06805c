/** What the README promises, tried as a reader would. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { ROOT, TestProcess } from "../helpers/process.ts";
import { startTestGateway, temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

describe("the package", () => {
  test("as it is built runs the README's manager, and its programs", async (t) => {
    const directory = temporaryDirectory(t);
    const installed = join(directory, "node_modules/sidegate");
    mkdirSync(installed, { recursive: true });
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", join(installed, "dist")], {
      cwd: ROOT,
    });
    writeFileSync(join(installed, "package.json"), readFileSync(join(ROOT, "package.json")));
    symlinkSync(join(ROOT, "node_modules"), join(installed, "node_modules"));

    for (const program of ["gateway", "manager-stub"]) {
      const main = join(installed, `dist/${program}/main.js`);
      assert.match(
        execFileSync(process.execPath, [main, "--help"], { encoding: "utf8" }),
        /^Usage: sidegate/,
      );
    }

    const example = /```ts\n(import \{ ManagerServer \}[\s\S]*?)```/.exec(
      readFileSync(join(ROOT, "README.md"), "utf8"),
    )?.[1];
    assert.ok(example !== undefined);
    assert.ok(example.trim().split("\n").length <= 15, "the example has 15 lines");
    const socket = `unix:${join(directory, "manager.sock")}`;
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
    writeFileSync(join(directory, "chat.ts"), example.replace("unix:run/manager.sock", socket));
    const manager = new TestProcess(t, join(directory, "chat.ts"), []);
    const gateway = await startTestGateway(t, socket, { name: "edge", reconnectMaxMs: 20 });
    await until(
      () => manager.stdout.includes("edge is up") || manager.child.exitCode !== null,
      "the gateway is up",
    );
    assert.equal(manager.stderr, "");

    const client = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
    t.after(() => client.close());
    await client.expect("Welcome!\n");
    client.send("hello\n");
    await client.expect(`Welcome!\n127.0.0.1:${client.socket.localPort} says: hello\n`);
    client.send("quit\n");
    await client.untilEnded();
    client.close();
    await until(() => manager.stdout.includes("127.0.0.1 has left: dropped"), "the leave is told");
  });
});
