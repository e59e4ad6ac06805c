/** docs/limits.md names limits that there are, with the defaults that they have, and counters that count them. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { refusals } from "../../gateway/guard/refusal.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { type SettingName, settings } from "../../gateway/settings.ts";
import { type ListenOptionName, listenOptions } from "../../gateway/transports/listen-options.ts";
import { endReasons } from "../../proto/bodies.ts";
import { ROOT } from "../helpers/process.ts";

const page = readFileSync(join(ROOT, "docs/limits.md"), "utf8");
const errors = readFileSync(join(ROOT, "docs/errors.md"), "utf8");
const sources = globSync("{proto,link,process,gateway}/**/*.ts", { cwd: ROOT })
  .map((file) => readFileSync(join(ROOT, file), "utf8"))
  .join("\n");

const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| limit "))
  .map((line) => line.slice(2, -2).split(" | "))
  .map(([limit = "", fallback = "", then = "", counted = ""]) => ({ limit, fallback, then, counted }));

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
}

/** The value of a constant of the program; undefined when there is none of that name. */
function constant(name: string): number | undefined {
  const expression = new RegExp(`const ${name} = ([\\d_ *]+);`).exec(sources)?.[1];
  return expression?.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1);
}

/** Whether it is a limit, and its default; undefined when there is no such limit. */
function defaultOf(name: string): unknown {
  if (Object.hasOwn(settings, name)) return settings[name as SettingName].fallback ?? "none";
  if (Object.hasOwn(listenOptions, name)) return listenOptions[name as ListenOptionName].fallback ?? "none";
  return constant(name);
}

describe("the page of limits", () => {
  test("has a row for all that matters", () => {
    assert.ok(rows.length > 45, `${rows.length} rows`);
    for (const { limit, then, counted } of rows) assert.ok(limit && then && counted, limit);
  });

  test("names only limits that there are, each with its default", () => {
    let checked = 0;
    for (const { limit, fallback } of rows) {
      // A limit that is no setting's is described in words.
      if (!limit.startsWith("`") || limit.includes(" of ")) continue;
      for (const name of quoted(limit)) {
        const found = defaultOf(name);
        assert.notEqual(found, undefined, `there is no limit ${name}`);
        const shown = [found].flat().join(",") || "none";
        if (name === quoted(limit)[0])
          assert.equal(fallback.replaceAll(",", ""), shown, `the default of ${name}`);
        checked++;
      }
    }
    assert.ok(checked > 45, `${checked} limits were looked up`);
  });

  test("names only counters that there are", () => {
    const counters = new Counters();
    for (const { limit, counted } of rows) {
      for (const name of quoted(counted)) {
        const [group = "", key = ""] = name.split(/\.(.*)/);
        if (name === "ListenOverflows") continue;
        if (group === "refusals")
          assert.ok((refusals as readonly string[]).includes(key), `${limit}: ${name}`);
        else if (group === "ends")
          assert.ok((endReasons as readonly string[]).includes(key), `${limit}: ${name}`);
        else if (group === "linkEnds" && key === "other") continue;
        else if (group === "linkEnds") assert.ok(errors.includes(`\`${key}\``), `${limit}: ${name}`);
        else assert.equal(typeof counters[name as keyof Counters], "number", `${limit}: ${name}`);
      }
    }
  });

  test("counts every refusal somewhere, or docs/errors.md says what it is", () => {
    for (const refusal of refusals) assert.ok(errors.includes(`\`${refusal}\``), refusal);
  });
});
