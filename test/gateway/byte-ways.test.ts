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
  const said: { readPath?: string; text: string }[] = [];
  const say = (fields: object, text: string) => void said.push({ ...fields, text });
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
    assert.deepEqual(
      log.said.map(({ readPath }) => readPath),
      ["polled", "polled"],
    );
  });

  test("is by Node where there is none, which is said, with what would help", async () => {
    const log = listeningLog();
    const { poller: found, readPath } = await chooseWays("auto", log, none);
    assert.equal(found, undefined);
    assert.notEqual(readPath, ordinaryReadPath);
    assert.match(log.said[0]?.text ?? "", /there is no poller.*slower; `npm run build:poller`/);
    assert.equal(log.said[1]?.readPath, "shared");
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
    assert.deepEqual(await chooseWays("ordinary", log), { readPath: ordinaryReadPath, poller: undefined });
    assert.deepEqual(
      log.said.map(({ readPath }) => readPath),
      ["shared", "ordinary"],
    );
  });
});

describe("compiling the poller", { skip: process.platform !== "linux" && "it is for Linux" }, () => {
  function compile(compiler: string, ...args: string[]) {
    const script = join(ROOT, "scripts/build-poller.mjs");
    const env = { ...process.env, CC: compiler };
    return spawnSync(process.execPath, [script, ...args], { env, encoding: "utf8" });
  }

  test("does without where there is no compiler, and leaves what is there", () => {
    const before = existsSync(join(ROOT, "build/poller.node"));
    const { status, stderr } = compile("/nonexistent/cc");
    assert.equal(status, 0);
    assert.match(stderr, /^sidegate: the poller was not compiled: \/nonexistent\/cc can't be run/);
    assert.match(stderr, before ? /the one that is there is kept/ : /clients are read by Node.js/);
    assert.equal(existsSync(join(ROOT, "build/poller.node")), before);
  });

  test("fails where it is required, and says what the compiler said", () => {
    const { status, stderr } = compile("false", "--required");
    assert.equal(status, 1);
    assert.match(stderr, /false failed/);
  });

  test("gives the compiler the options that stand behind its name", () => {
    const { status, stderr } = compile("echo -O0 wants no");
    assert.equal(status, 0);
    assert.match(stderr, /echo made nothing/);
  });
});
