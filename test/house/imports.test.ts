/** Imports run one way (docs/architecture.md, "Rooms"). */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "../helpers/process.ts";

/** What each room may import: rooms, `node:` modules, packages. The most specific room counts. */
const RULES: Readonly<Record<string, readonly string[]>> = {
  proto: ["proto", "msgpackr/pack"],
  process: [
    "process",
    "node:fs",
    "node:stream",
    "node:net",
    "node:tls",
    "node:http",
    "node:events",
    "node:path",
    "node:tty",
    "pino",
    "pino-pretty",
  ],
  link: ["link", "proto", "node:stream", "node:crypto"],
  "manager-stub": ["manager-stub", "process", "link", "proto", "node:*", "commander", "pino", "zod"],
  "gateway/main.ts": ["gateway", "process", "node:*"],
  "gateway/cli.ts": [
    "gateway/arguments.ts",
    "gateway/config.ts",
    "gateway/config-error.ts",
    "gateway/settings.ts",
    "gateway/suggestion.ts",
    "gateway/ticket-command.ts",
    "node:fs",
    "commander",
  ],
  "gateway/ticket-command.ts": [
    "gateway/arguments.ts",
    "gateway/clock.ts",
    "gateway/config-error.ts",
    "gateway/guard",
    "node:crypto",
    "node:fs",
    "commander",
  ],
  "gateway/arguments.ts": ["gateway/config-error.ts", "commander"],
  "gateway/config.ts": [
    "gateway/config-error.ts",
    "gateway/profiles.ts",
    "gateway/settings.ts",
    "gateway/suggestion.ts",
    "zod",
  ],
  "gateway/profiles.ts": ["gateway/settings.ts"],
  "gateway/config-error.ts": [],
  "gateway/credentials.ts": [
    "gateway/config.ts",
    "gateway/config-error.ts",
    "gateway/guard/secret.ts",
    "gateway/links/dial.ts",
    "gateway/settings.ts",
    "link",
    "process/private-file.ts",
    "node:tls",
  ],
  "gateway/settings.ts": [
    "gateway/choice",
    "gateway/guard",
    "gateway/links/manager-address.ts",
    "gateway/schema.ts",
    "gateway/transports/listen-address.ts",
    "gateway/transports/shared-ports.ts",
    "proto",
    "link/secret.ts",
    "process/log.ts",
    "node:os",
    "zod",
  ],
  "gateway/schema.ts": ["zod"],
  "gateway/byte-ways.ts": ["gateway/config.ts", "gateway/config-error.ts", "gateway/transports", "pino"],
  "gateway/gateway.ts": ["gateway", "proto", "pino"],
  "gateway/limits.ts": ["gateway"],
  "gateway/lifecycle.ts": ["gateway", "proto", "async-mutex", "pino"],
  "gateway/manager-life.ts": [
    "gateway/clock.ts",
    "gateway/links",
    "gateway/slots",
    "proto",
    "node:timers/promises",
    "async-mutex",
    "pino",
  ],
  "gateway/refusal-report.ts": ["gateway/clock.ts", "gateway/descriptors.ts", "gateway/metrics", "pino"],
  "gateway/file-watch.ts": ["gateway/clock.ts", "node:fs"],
  "gateway/heap.ts": ["node:v8"],
  "gateway/clock.ts": [],
  "gateway/descriptors.ts": ["node:fs"],
  "gateway/exit-codes.ts": [],
  "gateway/suggestion.ts": ["fastest-levenshtein"],
  "gateway/choice": ["gateway/choice"],
  "gateway/framing": ["gateway/framing"],
  "gateway/guard": ["gateway/guard", "gateway/clock.ts", "gateway/file-watch.ts", "node:*"],
  "gateway/transports": [
    "gateway/transports",
    "gateway/framing",
    "gateway/guard",
    "gateway/config-error.ts",
    "gateway/schema.ts",
    "gateway/suggestion.ts",
    "process/sockets.ts",
    "process/unix-socket.ts",
    "proto",
    "node:*",
    "ws",
    "zod",
  ],
  "gateway/transports/connection.ts": [
    "gateway/framing/encoder.ts",
    "gateway/guard/refusal.ts",
    "gateway/transports/details.ts",
  ],
  "gateway/slots": [
    "gateway/slots",
    "gateway/choice",
    "gateway/links/unacknowledged.ts",
    "gateway/framing/encoder.ts",
    "gateway/framing/gathering.ts",
    "gateway/guard",
    "gateway/transports/connection.ts",
    "gateway/transports/listener.ts",
    "gateway/metrics",
    "gateway/clock.ts",
    "proto",
  ],
  "gateway/slots/states.ts": [],
  "gateway/links": [
    "gateway/links",
    "gateway/clock.ts",
    "link",
    "process/sockets.ts",
    "proto",
    "node:crypto",
    "node:net",
    "node:tls",
  ],
  "gateway/routers": [
    "gateway/routers",
    "gateway/slots",
    "gateway/links",
    "gateway/metrics",
    "gateway/clock.ts",
    "proto",
    "pino",
  ],
  "gateway/metrics": [
    "gateway/metrics",
    "gateway/guard/refusal.ts",
    "gateway/links/manager-link.ts",
    "proto/bodies.ts",
    "node:perf_hooks",
  ],
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
