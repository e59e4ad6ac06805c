/** The poller's C, compiled for this with what finds a write past the end of its memory, where there is a compiler that can. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../helpers/process.ts";

const directory = mkdtempSync(join(tmpdir(), "sidegate-native-"));
process.once("exit", () => rmSync(directory, { recursive: true }));
const program = join(directory, "poller-checks");
const whyNot = compile();

/** @returns why it can't be compiled here */
function compile(): string | undefined {
  if (process.platform !== "linux") return "the poller is for Linux";
  const sources = ["test/native/poller-checks.c", "gateway/native/poller.c"].map((name) => join(ROOT, name));
  const [compiler = "cc", ...options] = process.env.CC?.split(" ").filter(Boolean) ?? [];
  const sanitizer = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  const build = (flags: readonly string[], files: readonly string[]) =>
    spawnSync(compiler, [...options, "-std=c11", "-D_GNU_SOURCE", ...flags, "-o", program, ...files], {
      encoding: "utf8",
      input: "int main(void) { return 0; }",
    });
  // What it can't do here is one thing, and what is wrong with our sources another.
  const able = build(sanitizer, ["-x", "c", "-"]);
  if (able.error !== undefined) return `${compiler} can't be run`;
  if (able.status !== 0 || spawnSync(program).status !== 0)
    return `${compiler} has no address sanitizer here`;
  const flags = ["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-Wl,--wrap=accept4", ...sanitizer];
  const { status, stderr } = build(flags, sources);
  assert.equal(status, 0, stderr);
  return undefined;
}

describe("the poller, in memory of exactly its size", { skip: whyNot ?? false }, () => {
  for (const [what, check] of [
    ["hears last words in many reads, where its memory is full at any place in them", "memory-is-full"],
    ["hears last words in many reads, where it has no room to tell of another", "records-are-full"],
    [
      "tells nothing of a client before it is asked for, though it has another's descriptor",
      "descriptor-is-used-again",
    ],
    ["stops no listener that has the descriptor of the one to be stopped", "listener-is-stopped-twice"],
    ["tells of everybody who can't be accepted", "arrival-fails"],
  ] as const) {
    test(what, () => {
      const { status, signal, stderr } = spawnSync(program, [check], { encoding: "utf8", timeout: 60_000 });
      assert.deepEqual([status, signal], [0, null], stderr);
    });
  }
});
