/** The documentation says what the code does. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { ExitCode } from "../../gateway/exit-codes.ts";
import { profiles } from "../../gateway/profiles.ts";
import { type SettingName, settingNames, settings } from "../../gateway/settings.ts";
import { slotEvents, transitions } from "../../gateway/slots/states.ts";
import { tlsFailures } from "../../link/tls.ts";
import { ROOT } from "../helpers/process.ts";

const pages = ["README.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: ROOT })];

function read(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

/** The state table as a drawing: what docs/architecture.md must hold. */
function drawStates(): string {
  const phases = Object.keys(transitions) as (keyof typeof transitions)[];
  const arrows = phases.flatMap((from) =>
    slotEvents.flatMap((event) => {
      const decision = transitions[from][event];
      if (typeof decision === "string") return [];
      const effects = decision.effects.length === 0 ? "" : ` / ${decision.effects.join(", ")}`;
      return [`  ${from} --> ${decision.to}: ${event}${effects}`];
    }),
  );
  return `\`\`\`mermaid\nstateDiagram-v2\n${arrows.join("\n")}\n\`\`\``;
}

describe("the documentation", () => {
  test("draws the slot's states as the table has them", () => {
    const drawn = drawStates();
    assert.ok(read("docs/architecture.md").includes(drawn), `docs/architecture.md must hold:\n${drawn}`);
  });

  test("lists every setting with its default", () => {
    // Behind the settings come the options of listeners, some of which are called alike.
    const [page = ""] = read("docs/configuration.md").split("\n## ");
    const rows = [...page.matchAll(/^\| `(\w+)` \| (.*?) \|/gm)];
    const documented = new Map(rows.map((row) => [row[1], row[2]?.replaceAll("`", "")]));
    const shown = (name: SettingName) => [settings[name].fallback ?? "none"].flat().join(",") || "none";
    for (const name of settingNames) {
      if (name !== "name") assert.equal(documented.get(name), shown(name), `the default of ${name}`);
      else assert.ok(documented.has(name));
    }
  });

  test("lists what each profile sets", () => {
    const shown = /```json\n(\{[\s\S]*?\})\n```/.exec(
      read("docs/configuration.md").split("### Profiles")[1] ?? "",
    );
    assert.deepEqual(JSON.parse(shown?.[1] ?? "{}"), profiles.internet);
  });

  test("lists every exit code", () => {
    const text = read("docs/errors.md");
    for (const code of Object.values(ExitCode)) assert.match(text, new RegExp(`^\\| ${code} \\|`, "m"));
  });

  test("lists every code that the sources name for a link's end", () => {
    const text = read("docs/errors.md");
    const sources = globSync("{proto,link,process,gateway,manager-stub}/**/*.ts", { cwd: ROOT })
      .map(read)
      .join("\n");
    const codes = [
      ...sources.matchAll(
        /#fail\("([a-z-]+)"|ProtocolError\(\s*"([a-z-]+)"|code: "((?:link|manager)-[a-z]+)"/g,
      ),
    ].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
    assert.ok(codes.length > 10);
    for (const code of [...codes, ...tlsFailures])
      assert.ok(text.includes(`\`${code}\``), `docs/errors.md does not explain ${code}`);
  });

  test("has no link to a file that is not there", () => {
    for (const page of pages) {
      for (const [, target = ""] of read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue;
        assert.ok(globSync(join(ROOT, dirname(page), target)).length > 0, `${page} links to ${target}`);
      }
    }
  });

  test("names only scripts that there are", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    for (const page of pages) {
      for (const [, script = ""] of read(page).matchAll(/npm run (?:-s )?([\w:]+)/g)) {
        assert.ok(Object.hasOwn(scripts, script), `${page} names the script ${script}`);
      }
    }
  });

  test("holds the two commands in the README", () => {
    assert.match(read("README.md"), /npm ci && npm start/);
    assert.match(read("README.md"), /npm ci && npm test/);
  });
});
