/** What `npm run` runs. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../helpers/process.ts";

test("a program takes the place of npm's shell, or the shell would keep signals from it", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Readonly<Record<string, string>>;
  };
  const programs = Object.entries(scripts).filter(([, script]) => /\bnode \S+\.ts\b/.test(script));
  assert.ok(programs.length > 0);
  for (const [name, script] of programs) assert.match(script, /^exec node [^;&|]+$/, name);
});
