/** What the settings of several managers must hold, and what becomes of them. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { managerChoices } from "../../gateway/choice/choice.ts";
import { createChoice } from "../../gateway/choice/create-choice.ts";
import { readCommandLine } from "../../gateway/cli.ts";
import type { Config } from "../../gateway/config.ts";
import { ConfigError } from "../../gateway/config-error.ts";
import { createTicketChecker } from "../../gateway/limits.ts";
import { SECRET, START, signClaims } from "../guard/ticket-support.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { ROOT } from "../helpers/process.ts";
import { temporaryDirectory } from "../helpers/rig.ts";

const TWO = ["--manager", "battle=unix:/b", "--manager", "lobby=unix:/l"];
const env = { SIDEGATE_TICKET_SECRET: "5a".repeat(32) };

function choosing(way: string, ...args: readonly string[]): string[] {
  return [...TWO, "--manager-choice", way, ...args];
}

function run(args: readonly string[], environment: NodeJS.ProcessEnv = env): Config {
  const invocation = readCommandLine(args, environment);
  assert.ok(invocation.action === "run");
  return invocation.config;
}

function refused(message: string | RegExp, args: readonly string[]): void {
  assert.throws(
    () => readCommandLine(args, env),
    (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    },
  );
}

describe("the choice of managers", () => {
  test("is in turn, and nobody fails over, unless it is said", () => {
    const { managerChoice, managerTicketField, managerPrefixes, failover } = run(TWO);
    assert.deepEqual(
      [managerChoice, managerTicketField, managerPrefixes, failover],
      ["round-robin", "manager", [], false],
    );
    assert.equal(run([...TWO, "--failover", "true"]).failover, true);
    refused(/^failover \(from --failover\): must be true or false, not "yes"$/, [
      ...TWO,
      "--failover",
      "yes",
    ]);
  });

  test("may be each that there is, with what it needs, and with one manager too", () => {
    const needs: Readonly<Record<string, readonly string[]>> = {
      listener: ["--listen", "tcp://127.0.0.1:1?manager=lobby"],
      ticket: ["--listen", "ws://127.0.0.1:1?ticket=query"],
      "first-message": ["--manager-prefixes", "=lobby"],
    };
    for (const way of managerChoices) {
      assert.equal(run(choosing(way, ...(needs[way] ?? []))).managerChoice, way);
      const one = ["--manager", "lobby=unix:/l", "--manager-choice", way, ...(needs[way] ?? [])];
      assert.equal(createChoice(run(one)).needsOpening, way === "first-message");
    }
    refused(
      /managerChoice .*must be one of round-robin, least-sessions, hash, .*"random"/,
      choosing("random"),
    );
  });

  test("has an example of each in the documentation, which a gateway takes", (t) => {
    const page = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");
    const section = page.split("\n## ").find((part) => part.startsWith("Several managers\n")) ?? "";
    const path = join(temporaryDirectory(t), "sidegate.json");
    const shown = [...section.matchAll(/```json\n(.*?)```/gs)].map(([, example = ""]) => {
      writeFileSync(path, example);
      return run(["--config", path], {}).managerChoice;
    });
    assert.deepEqual(shown, managerChoices.slice(1), "all but the default");
  });

  describe("by listener", () => {
    const listen = (...options: readonly string[]) =>
      options.flatMap((option, i) => ["--listen", `tcp://127.0.0.1:${i + 1}?name=l${i}${option}`]);

    test("takes what each listener names", () => {
      const { listen: listeners } = run(choosing("listener", ...listen("&manager=battle", "&manager=lobby")));
      assert.deepEqual(
        listeners.map(({ manager }) => manager),
        ["battle", "lobby"],
      );
    });

    test("may name the only manager, which has no name of its own", () => {
      const args = ["--manager", "unix:/x", "--manager-choice", "listener", ...listen("&manager=manager")];
      assert.equal(run(args).listen[0]?.manager, "manager");
    });

    for (const [what, args, message] of [
      [
        "a listener that names none",
        choosing("listener", ...listen("&manager=battle", "")),
        "listen: 'l1' names no manager; with managerChoice=listener it must have manager=",
      ],
      [
        "a manager that there is not, with the nearest one",
        choosing("listener", ...listen("&manager=loby")),
        "listen: 'l0' names the manager 'loby', which there is not; did you mean 'lobby'?",
      ],
      [
        "a manager that is like none",
        choosing("listener", ...listen("&manager=x")),
        "listen: 'l0' names the manager 'x', which there is not",
      ],
      [
        "a listener's manager with another choice",
        choosing("hash", ...listen("", "&manager=battle")),
        "listen: 'l1' has manager=, which is for managerChoice=listener",
      ],
      [
        "a listener's manager with no choice at all",
        listen("&manager=manager"),
        "listen: 'l0' has manager=, which is for managerChoice=listener",
      ],
    ] as const) {
      test(`refuses ${what}`, () => refused(message, args));
    }
  });

  describe("by ticket", () => {
    const listen = ["--listen", "ws://127.0.0.1:1?ticket=query"];

    test("reads the manager out of the claim that is configured, and else reads none", () => {
      const clock = new FakeClock();
      const managerOf = (args: readonly string[]) => {
        const ticket = createTicketChecker(run(args), SECRET, clock)?.check(token, "203.0.113.7");
        assert.ok(typeof ticket === "object", String(ticket));
        return ticket.manager;
      };
      const token = signClaims({ sub: "ann", exp: START + 60, manager: "battle", shard: "lobby" });
      assert.equal(managerOf(choosing("ticket", ...listen)), "battle");
      assert.equal(managerOf(choosing("ticket", "--manager-ticket-field", "shard", ...listen)), "lobby");
      assert.equal(managerOf(choosing("hash", ...listen)), undefined);
    });

    for (const [what, args, message] of [
      [
        "a listener that wants no tickets",
        choosing("ticket", ...listen, "--listen", "tcp://127.0.0.1:2"),
        "listen: 'tcp-2' wants no tickets; with managerChoice=ticket it must have ticket=",
      ],
      [
        "a claim that tickets have already",
        choosing("ticket", "--manager-ticket-field", "ctx", ...listen),
        'managerTicketField (from --manager-ticket-field): must be another claim than sub, exp, nbf, iat, addr, jti, ctx, not "ctx"',
      ],
      [
        "a claim without a name",
        choosing("ticket", "--manager-ticket-field", "", ...listen),
        'managerTicketField (from --manager-ticket-field): must have 1 to 128 characters, not ""',
      ],
    ] as const) {
      test(`refuses ${what}`, () => refused(message, args));
    }
  });

  describe("by the first message", () => {
    const prefixes = (...lines: readonly string[]) =>
      choosing("first-message", ...lines.flatMap((line) => ["--manager-prefixes", line]));

    test("takes its table by repeated flags, by commas in a variable, by a list in the file", (t) => {
      const lines = ["GET=battle", "0x2c=battle", "=lobby"];
      const byFlags = run(prefixes(...lines)).managerPrefixes;
      assert.deepEqual(byFlags, [
        { prefix: Buffer.from("GET"), manager: "battle" },
        { prefix: Buffer.from(","), manager: "battle" },
        { prefix: Buffer.alloc(0), manager: "lobby" },
      ]);
      const variable = { SIDEGATE_MANAGER_PREFIXES: lines.join(",") };
      assert.deepEqual(run(choosing("first-message"), variable).managerPrefixes, byFlags);
      const path = join(temporaryDirectory(t), "sidegate.json");
      writeFileSync(path, JSON.stringify({ managerPrefixes: lines }));
      assert.deepEqual(run(choosing("first-message", "--config", path)).managerPrefixes, byFlags);
    });

    for (const [what, args, message] of [
      [
        "no table",
        prefixes(),
        "managerChoice=first-message must have managerPrefixes, such as BATTLE=battle",
      ],
      [
        "a table for another choice",
        choosing("hash", "--manager-prefixes", "=lobby"),
        "managerPrefixes is for managerChoice=first-message",
      ],
      [
        "a manager that there is not, with the nearest one",
        prefixes("GET=batle"),
        "managerPrefixes names the manager 'batle', which there is not; did you mean 'battle'?",
      ],
      ["a prefix of nobody", prefixes("GET="), "managerPrefixes names the manager '', which there is not"],
      [
        "a prefix twice",
        prefixes("GET=battle", "0x474554=lobby"),
        "managerPrefixes (from --manager-prefixes): '0x474554=lobby' has the prefix of another entry; give each prefix once",
      ],
      [
        "a line without a manager",
        prefixes("GET"),
        "managerPrefixes (from --manager-prefixes): 'GET' is not a prefix of a manager; use prefix=manager",
      ],
      [
        "a longer prefix than is awaited",
        prefixes(`${"x".repeat(65)}=lobby`),
        `managerPrefixes (from --manager-prefixes): '${"x".repeat(65)}=lobby' has a prefix of 65 bytes; 64 are the most`,
      ],
      [
        "a table that is too long",
        prefixes(...Array.from({ length: 257 }, (_, i) => `p${i}=lobby`)),
        /managerPrefixes .*must have at most 256 entries/,
      ],
    ] as const) {
      test(`refuses ${what}`, () => refused(message, args));
    }
  });
});
