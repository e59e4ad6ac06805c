import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../gateway/clock.ts";
import { ConfigError } from "../../gateway/config-error.ts";
import { readSecret } from "../../gateway/guard/ticket.ts";
import { type Ticket, TicketChecker } from "../../gateway/guard/ticket-checker.ts";
import { runTicketCommand } from "../../gateway/ticket-command.ts";
import { temporaryDirectory } from "../helpers/rig.ts";

const SECRET = "0123456789abcdef".repeat(4);
const OTHER_SECRET = "fedcba9876543210".repeat(4);
const env = { SIDEGATE_TICKET_SECRET: SECRET };

/** Lets a token in, as a gateway with `secret` does. */
function admit(token: string, secret = SECRET, managerField = "manager"): Ticket {
  const checker = new TicketChecker({
    secrets: [readSecret(secret)],
    clock: systemClock,
    maxNonces: 10,
    maxLifeMs: 86_400_000,
    managerField,
  });
  const ticket = checker.check(token.trimEnd(), "2001:db8::7");
  assert.ok(typeof ticket === "object", String(ticket));
  return ticket;
}

function run(args: readonly string[], environment: NodeJS.ProcessEnv = env): Ticket {
  return admit(runTicketCommand(args, environment));
}

function refused(message: RegExp, args: readonly string[], environment: NodeJS.ProcessEnv = env): void {
  assert.throws(
    () => runTicketCommand(args, environment),
    (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n|0123456789abcdef/);
      return true;
    },
  );
}

function secretFile(t: TestContext, content: string): string {
  const path = join(temporaryDirectory(t), "secret");
  writeFileSync(path, content);
  return path;
}

describe("sidegate ticket", () => {
  test("prints one line, a token that is good for a minute and once", () => {
    const before = Date.now();
    const text = runTicketCommand(["--user", "ann"], env);
    const after = Date.now();
    assert.match(text, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { user, expiresAtMs, nonce, ...rest } = admit(text);
    assert.equal(user, "ann");
    assert.ok(expiresAtMs >= before + 60_000 && expiresAtMs <= after + 60_000);
    assert.match(nonce ?? "", /^[\da-f-]{36}$/);
    assert.deepEqual(rest, {});
    assert.notEqual(run(["--user", "ann"]).nonce, nonce);
  });

  test("signs what the flags say", () => {
    const before = Date.now();
    const flags = [
      "--user",
      "Zoë",
      "--ttl",
      "3600",
      "--address",
      "2001:DB8::7",
      "--context",
      "room 7",
      "--manager",
      "battle",
    ];
    const { expiresAtMs, ...ticket } = run([...flags, "--no-nonce"]);
    assert.deepEqual(ticket, { user: "Zoë", address: "2001:db8::7", context: "room 7", manager: "battle" });
    assert.ok(expiresAtMs >= before + 3_600_000);
    assert.notEqual(run([...flags, "--nonce"]).nonce, undefined);
  });

  test("names the manager in the claim that the gateway looks at", () => {
    const token = runTicketCommand(["--user", "ann", "--manager", "battle", "--manager-field", "shard"], env);
    assert.equal(admit(token, SECRET, "shard").manager, "battle");
    assert.equal(admit(token).manager, undefined);
  });

  test("finds the secret in the environment, or in a file that a flag or the environment names", (t) => {
    const [file, other] = [secretFile(t, `${SECRET}\n`), secretFile(t, `${OTHER_SECRET}\n`)];
    run(["--user", "ann"], { SIDEGATE_TICKET_SECRET_FILE: file });
    run(["--user", "ann", "--secret-file", file], {});
    const both = { SIDEGATE_TICKET_SECRET_FILE: other, SIDEGATE_TICKET_SECRET: OTHER_SECRET };
    run(["--user", "ann", "--secret-file", file], both);
    refused(/both set/, ["--user", "ann"], both);
  });

  test("prints its help, which names every flag and no secret", () => {
    const help = runTicketCommand(["--help"], env);
    for (const flag of [
      "user",
      "ttl",
      "address",
      "nonce",
      "no-nonce",
      "context",
      "manager",
      "manager-field",
      "secret-file",
    ]) {
      assert.match(help, new RegExp(`--${flag}\\b`));
    }
    assert.match(help, /SIDEGATE_TICKET_SECRET\b/);
    assert.doesNotMatch(help, new RegExp(SECRET));
  });

  for (const [what, args, message] of [
    ["nobody", [], /with --user/],
    ["an empty user", ["--user", ""], /--user must have 1 to 128 bytes, and has 0/],
    ["a user that is too long", ["--user", "x".repeat(129)], /--user must have.*has 129/],
    ["a user of too many bytes", ["--user", "é".repeat(65)], /--user must have.*has 130/],
    ["a context that is too long", ["--user", "a", "--context", "x".repeat(129)], /--context must have/],
    [
      "an empty manager",
      ["--user", "a", "--manager", ""],
      /--manager must have 1 to 64 characters, and has 0/,
    ],
    ["a manager that is too long", ["--user", "a", "--manager", "x".repeat(65)], /--manager must.*has 65/],
    ["a claim without a name", ["--user", "a", "--manager-field", ""], /--manager-field must have 1 to 128/],
    [
      "a claim that is taken",
      ["--user", "a", "--manager", "b", "--manager-field", "sub"],
      /--manager-field must be another claim than sub, exp, nbf, iat, addr, jti, ctx$/,
    ],
    ["an address that is none", ["--user", "a", "--address", "here"], /--address must be.*'here'/],
    ["a time that is none", ["--user", "a", "--ttl", "soon"], /--ttl must be a whole number.*'soon'/],
    ["no time at all", ["--user", "a", "--ttl", "0"], /--ttl .*from 1 to 86400/],
    ["more than a day", ["--user", "a", "--ttl", "86401"], /--ttl .*'86401'/],
    ["a misspelled flag", ["--usr", "a"], /unknown option '--usr'.*--user/],
    ["a secret as a flag", ["--user", "a", "--secret", SECRET], /unknown option '--secret'/],
    ["a stray argument", ["--user", "a", "b"], /too many arguments/],
    [
      "a file that is not there",
      ["--user", "a", "--secret-file", "/nonexistent/secret"],
      /cannot read the secret.*ENOENT/,
    ],
  ] as const) {
    test(`refuses ${what}`, () => refused(message, args));
  }

  test("refuses to sign without a secret, or with one that is too short", (t) => {
    refused(/no secret to sign with: set SIDEGATE_TICKET_SECRET/, ["--user", "a"], {});
    refused(/the secret in SIDEGATE_TICKET_SECRET: .*at least 32 bytes/, ["--user", "a"], {
      SIDEGATE_TICKET_SECRET: "short",
    });
    const file = secretFile(t, "");
    refused(/the secret in .*at least 32 bytes/, ["--user", "a", "--secret-file", file], {});
  });

  test("refuses text that is no text, or takes too much room", () => {
    refused(/out of its bounds/, ["--user", "\ud800"]);
    refused(/too long/, ["--user", "\x01".repeat(128), "--context", "\x01".repeat(128)]);
  });
});
