import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { chooseWays } from "../../gateway/byte-ways.ts";
import { ConfigError } from "../../gateway/config-error.ts";
import { ordinaryReadPath } from "../../gateway/transports/read-path.ts";
import { poller, whyNoPoller } from "../helpers/poller.ts";
import { ROOT } from "../helpers/process.ts";

/** A log that keeps what it is told. */
function listeningLog() {
  const said: string[] = [];
  const say = (_fields: unknown, text?: string) => void said.push(text ?? String(_fields));
  return { said, info: say as never, warn: say as never };
}

function none(): never {
  throw new Error("it was not compiled");
}

describe("how clients' bytes are moved", () => {
  test("is by the poller, where there is one", { skip: whyNoPoller ?? false }, async () => {
    const log = listeningLog();
    for (const wanted of ["auto", "polled"] as const) {
      assert.equal((await chooseWays(wanted, log)).poller, poller);
    }
    assert.deepEqual(log.said, []);
  });

  test("is by Node where there is none, which is said, with what would help", async () => {
    const log = listeningLog();
    const { poller: found, readPath } = await chooseWays("auto", log, none);
    assert.equal(found, undefined);
    assert.notEqual(readPath, ordinaryReadPath);
    assert.match(log.said.join(), /clients are read by Node.js, which is slower; `npm run build:poller`/);
  });

  test("is refused where the poller is wanted and there is none", async () => {
    await assert.rejects(chooseWays("polled", listeningLog(), none), (error: Error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /readPath is polled.*it was not compiled.*npm run build:poller/);
      return true;
    });
  });

  test("is by Node where that is wanted, poller or not", async () => {
    const log = listeningLog();
    assert.equal((await chooseWays("shared", log)).poller, undefined);
    assert.deepEqual(await chooseWays("ordinary", log), { readPath: ordinaryReadPath });
    assert.deepEqual(log.said, []);
  });
});

describe("compiling the poller", { skip: process.platform !== "linux" && "it is for Linux" }, () => {
  const script = join(ROOT, "scripts/build-poller.mjs");

  test("does without where there is no compiler, and leaves what is there", () => {
    const before = existsSync(join(ROOT, "build/poller.node"));
    const env = { ...process.env, CC: "/nonexistent/cc" };
    const { status, stderr } = spawnSync(process.execPath, [script], { env, encoding: "utf8" });
    assert.equal(status, 0);
    assert.match(
      stderr,
      /^sidegate: no poller, so clients are read by Node.js.*\/nonexistent\/cc can't be run/,
    );
    assert.equal(existsSync(join(ROOT, "build/poller.node")), before);
  });

  test("fails where it is required, and says what the compiler said", () => {
    const env = { ...process.env, CC: "false" };
    const { status, stderr } = spawnSync(process.execPath, [script, "--required"], { env, encoding: "utf8" });
    assert.equal(status, 1);
    assert.match(stderr, /false failed/);
  });
});
