/** Imports run one way (docs/architecture.md, "Rooms"). */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../helpers/process.ts";

/** What each room may import: rooms, `node:` modules, packages. The most specific room counts. */
const RULES: Readonly<Record<string, readonly string[]>> = {
  proto: ["proto", "msgpackr/pack"],
  process: ["node:fs", "node:stream", "pino", "pino-pretty"],
  link: ["link", "proto", "node:stream", "node:crypto"],
  "manager-stub": ["manager-stub", "process", "link", "proto", "node:*", "commander", "pino", "zod"],
  "gateway/main.ts": ["gateway", "process", "node:*"],
  "gateway/cli.ts": ["gateway/config.ts", "gateway/suggestion.ts", "node:fs", "commander"],
  "gateway/credentials.ts": [
    "gateway/config.ts",
    "gateway/links/dial.ts",
    "link",
    "process/private-file.ts",
    "node:tls",
  ],
  "gateway/config.ts": [
    "proto",
    "link/secret.ts",
    "process/log.ts",
    "gateway/transports/listen-url.ts",
    "node:os",
    "zod",
  ],
  "gateway/gateway.ts": ["gateway", "proto", "pino"],
  "gateway/lifecycle.ts": ["gateway", "proto", "async-mutex", "pino"],
  "gateway/heap.ts": ["node:v8"],
  "gateway/clock.ts": [],
  "gateway/descriptors.ts": ["node:fs"],
  "gateway/exit-codes.ts": [],
  "gateway/suggestion.ts": ["fastest-levenshtein"],
  "gateway/transports": ["gateway/transports", "gateway/suggestion.ts", "proto", "node:net", "node:events"],
  "gateway/transports/connection.ts": [],
  "gateway/slots": [
    "gateway/slots",
    "gateway/transports/connection.ts",
    "gateway/metrics",
    "gateway/clock.ts",
    "proto",
  ],
  "gateway/slots/states.ts": [],
  "gateway/links": [
    "gateway/links",
    "gateway/clock.ts",
    "link",
    "proto",
    "node:crypto",
    "node:net",
    "node:tls",
  ],
  "gateway/routers": ["gateway/routers", "gateway/slots", "gateway/links", "gateway/clock.ts"],
  "gateway/metrics": ["gateway/metrics", "node:perf_hooks"],
};

interface Import {
  readonly from: string;
  readonly to: string;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found = text.matchAll(
    /^(?:import|export)\s[^;]*?from\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  return [...found].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? "";
    const to = target.startsWith(".") ? relative(ROOT, join(ROOT, dirname(file), target)) : target;
    return { from: file, to };
  });
}

function ruleFor(file: string): readonly string[] | undefined {
  const rooms = Object.keys(RULES).filter((room) => file === room || file.startsWith(`${room}/`));
  const closest = rooms.sort((a, b) => b.length - a.length)[0];
  return closest === undefined ? undefined : RULES[closest];
}

function allowed({ from, to }: Import): boolean {
  return (ruleFor(from) ?? []).some((room) => {
    return to === room || to.startsWith(`${room}/`) || (room === "node:*" && to.startsWith("node:"));
  });
}

const sources = globSync("{proto,link,process,gateway,manager-stub}/**/*.ts", { cwd: ROOT });

describe("the rooms", () => {
  test("are known for every source file", () => {
    assert.ok(sources.length > 40);
    assert.deepEqual(
      sources.filter((file) => ruleFor(file) === undefined),
      [],
    );
  });

  test("import only what they may", () => {
    const broken = sources.flatMap(importsOf).filter((one) => !allowed(one));
    assert.deepEqual(broken, []);
  });

  test("have no circles", () => {
    const graph = new Map(sources.map((file) => [file, importsOf(file).map(({ to }) => to)]));
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `a circle: ${[...path, file].join(" -> ")}`);
      if (done.has(file)) return;
      for (const to of graph.get(file) ?? []) if (graph.has(to)) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of sources) visit(file, []);
  });
});
