import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { flagOf, readCommandLine, variableOf } from "../../gateway/cli.ts";
import type { Config } from "../../gateway/config.ts";
import { ConfigError } from "../../gateway/config-error.ts";
import { settingNames, settings } from "../../gateway/settings.ts";
import { temporaryDirectory } from "../helpers/rig.ts";

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Config {
  const invocation = readCommandLine(args, env);
  assert.ok(invocation.action === "run");
  return invocation.config;
}

function print(args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const invocation = readCommandLine(args, env);
  assert.ok(invocation.action === "print");
  return invocation.text;
}

function refused(message: RegExp, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  assert.throws(
    () => readCommandLine(args, env),
    (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    },
  );
}

function file(t: TestContext, content: unknown): string {
  const path = join(temporaryDirectory(t), "sidegate.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("the gateway's configuration", () => {
  test("has defaults for everything: a Unix socket, and loopback for clients", () => {
    const config = run([]);
    assert.deepEqual(config.manager, [
      { name: "manager", address: { kind: "unix", path: "run/manager.sock" } },
    ]);
    assert.equal(config.listen.length, 1);
    assert.partialDeepStrictEqual(config.listen[0], {
      transport: "tcp",
      host: "127.0.0.1",
      port: 7300,
      name: "tcp-7300",
      reusePort: false,
      backlog: 4096,
      framing: "none",
    });
    assert.equal(config.clientBufferBytes, 2 ** 20);
    assert.ok(Object.isFrozen(config));
  });

  test("takes flags over the environment over the file over the defaults", (t) => {
    const path = file(t, { name: "file", drainMs: 1, halfCloseMs: 1, logLevel: "debug" });
    const env = { SIDEGATE_NAME: "env", SIDEGATE_DRAIN_MS: "2", SIDEGATE_CONFIG: path };
    const config = run(["--name", "flag"], env);
    assert.deepEqual(
      [config.name, config.drainMs, config.halfCloseMs, config.logLevel, config.ackTimeoutMs],
      ["flag", 2, 1, "debug", 10_000],
    );
  });

  test("takes a profile's values over the defaults, and everything else over them", (t) => {
    assert.equal(run([]).messageRate, 0);
    const path = file(t, { profile: "internet", messageRate: 7 });
    const config = run(["--byte-rate", "0", "--config", path]);
    assert.deepEqual([config.messageRate, config.byteRate, config.addressRate], [7, 0, 10]);
    const printed = print(["--profile", "internet", "--print-config"]);
    assert.match(printed, /^addressRate +10 +profile internet$/m);
    assert.match(printed, /^ratePolicy +pause +default$/m);
    refused(/^profile \(from --profile\): must be one of none, internet, not "home"$/, ["--profile", "home"]);
  });

  test("has a flag and a variable for every setting, named alike", () => {
    assert.equal(flagOf("clientBufferBytes"), "--client-buffer-bytes");
    assert.equal(variableOf("clientBufferBytes"), "SIDEGATE_CLIENT_BUFFER_BYTES");
    const help = print(["--help"]);
    for (const name of settingNames) {
      const { secret } = settings[name];
      assert.equal(new RegExp(`${flagOf(name)} <`).test(help), !secret, flagOf(name));
    }
  });

  test("takes a secret from the environment alone, and never shows it", (t) => {
    const env = { SIDEGATE_MANAGER_SECRET: "a secret for the tests" };
    const config = run([], env);
    assert.doesNotMatch(JSON.stringify(config), /a secret/);
    const nonces = { register: Buffer.alloc(16), challenge: Buffer.alloc(16) };
    assert.equal(config.managerSecret?.prove("gateway", nonces).length, 32);
    const printed = print(["--print-config"], env);
    assert.match(printed, /^managerSecret +\*\*\* +from SIDEGATE_MANAGER_SECRET$/m);
    assert.doesNotMatch(printed, /a secret/);
    assert.match(print(["--print-config"]), /^managerSecret +default$/m);
    assert.doesNotMatch(print(["--help"]), /--manager-secret /);
    refused(/unknown option '--manager-secret'/, ["--manager-secret", "a secret for the tests"]);
    const path = file(t, { managerSecret: "a secret for the tests" });
    const message = /^managerSecret may not stand in .*\/sidegate\.json; set SIDEGATE_MANAGER_SECRET$/;
    refused(message, ["--config", path]);
  });

  test("refuses a secret that is too short without showing it", () => {
    const message =
      /^managerSecret \(from SIDEGATE_MANAGER_SECRET\): a secret must have at least 16 bytes; this one has 8$/;
    refused(message, [], { SIDEGATE_MANAGER_SECRET: "hunter22" });
    refused(/this one has 0$/, [], { SIDEGATE_MANAGER_SECRET: "" });
  });

  test("refuses two secrets", () => {
    const env = { SIDEGATE_MANAGER_SECRET: "a secret for the tests", SIDEGATE_MANAGER_SECRET_FILE: "secret" };
    refused(/^managerSecret and managerSecretFile are both set/, [], env);
    const tickets = { SIDEGATE_TICKET_SECRET: "5a".repeat(32), SIDEGATE_TICKET_SECRET_FILE: "secret" };
    refused(/^ticketSecret and ticketSecretFile are both set/, [], tickets);
  });

  test("takes several listeners: by repeated flags, by commas in a variable, by a list in the file", (t) => {
    const urls = ["tcp://127.0.0.1:1?name=a", "tcp://[::1]:2?name=b&reusePort=true&backlog=7"];
    const byFlags = run(urls.flatMap((url) => ["--listen", url])).listen;
    const second = { transport: "tcp", host: "::1", port: 2, name: "b", reusePort: true, backlog: 7 };
    assert.partialDeepStrictEqual(byFlags[1], second);
    assert.deepEqual(run([], { SIDEGATE_LISTEN: urls.join(",") }).listen, byFlags);
    assert.deepEqual(run(["--config", file(t, { listen: urls })]).listen, byFlags);
  });

  test("takes several managers: by repeated flags, by commas in a variable, by a list or a text in the file", (t) => {
    const urls = ["battle=tcp://10.0.0.5:7390", "lobby=unix:/run/lobby.sock"];
    const byFlags = run(urls.flatMap((url) => ["--manager", url])).manager;
    assert.deepEqual(byFlags, [
      { name: "battle", address: { kind: "tcp", host: "10.0.0.5", port: 7390 } },
      { name: "lobby", address: { kind: "unix", path: "/run/lobby.sock" } },
    ]);
    assert.deepEqual(run([], { SIDEGATE_MANAGER: urls.join(",") }).manager, byFlags);
    assert.deepEqual(run(["--config", file(t, { manager: urls })]).manager, byFlags);
    const one = { name: "manager", address: { kind: "unix", path: "/run/lobby.sock" } };
    assert.deepEqual(run(["--config", file(t, { manager: "unix:/run/lobby.sock" })]).manager, [one]);
    const printed = print(["--print-config", ...urls.flatMap((url) => ["--manager", url])]);
    assert.match(printed, new RegExp(`^manager +${urls.join(",")} +from --manager$`, "m"));
  });

  test("takes what is set for TLS as soon as one manager is there", () => {
    const some = ["--manager", "a=tcp://127.0.0.1:1", "--manager", "b=tls://127.0.0.1:1"];
    assert.equal(run([...some, "--manager-servername", "game.example"]).managerServername, "game.example");
  });

  test("can be printed, with where each value came from", (t) => {
    const path = file(t, { drainMs: 7 });
    const text = print(["--print-config", "--config", path, "--name", "edge"], {
      SIDEGATE_LOG_LEVEL: "warn",
    });
    assert.match(text, /^name +edge +from --name$/m);
    assert.match(text, /^logLevel +warn +from SIDEGATE_LOG_LEVEL$/m);
    assert.match(text, new RegExp(`^drainMs +7 +from ${path}$`, "m"));
    assert.match(text, /^halfCloseMs +1000 +default$/m);
    assert.equal(text.trim().split("\n").length, settingNames.length);
  });

  test("refuses a misspelled flag, variable, key and listener option by name, with the nearest right one", (t) => {
    refused(/unknown option '--lisen'.*--listen/, ["--lisen", "tcp://127.0.0.1:1"]);
    refused(/'SIDEGATE_DRAINMS'.*'SIDEGATE_DRAIN_MS'/, [], { SIDEGATE_DRAINMS: "1" });
    refused(/unknown key 'clientBufferByte' in .*'clientBufferBytes'/, [
      "--config",
      file(t, { clientBufferByte: 1 }),
    ]);
    refused(/unknown option 'reuseport'.*'reusePort'/, ["--listen", "tcp://127.0.0.1:1?reuseport=true"]);
  });

  test("takes no offence at the variables that Kubernetes sets for a Service, whatever its name", () => {
    for (const service of ["SIDEGATE", "SIDEGATE_MANAGER", "SIDEGATE_2_EDGE_PORT"]) {
      const { drainMs } = run([], {
        [`${service}_SERVICE_HOST`]: "10.0.0.1",
        [`${service}_SERVICE_PORT`]: "7390",
        [`${service}_SERVICE_PORT_LINK_2`]: "7390",
        [`${service}_PORT`]: "tcp://10.0.0.1:7390",
        [`${service}_PORT_7390_TCP`]: "tcp://10.0.0.1:7390",
        [`${service}_PORT_7390_TCP_PROTO`]: "tcp",
        [`${service}_PORT_7390_TCP_PORT`]: "7390",
        [`${service}_PORT_7390_TCP_ADDR`]: "10.0.0.1",
        [`${service}_PORT_7391_UDP_ADDR`]: "10.0.0.1",
        SIDEGATE_DRAIN_MS: "5",
      });
      assert.equal(drainMs, 5);
    }
  });

  test("refuses a variable that is only like those of a Service", () => {
    for (const variable of ["SIDEGATE_LISTEN_PORT", "SIDEGATE_SERVICE", "SIDEGATE_PORT_TCP"]) {
      refused(new RegExp(`unknown environment variable '${variable}'`), [], { [variable]: "7300" });
    }
    refused(/'SIDEGATE_LISTENER'/, [], { SIDEGATE_LISTENER: "X_PORT=tcp://10.0.0.1:7300" });
  });

  for (const [what, args, message] of [
    [
      "a number that is none",
      ["--drain-ms", "soon"],
      /drainMs \(from --drain-ms\): must be a whole number.*"soon"/,
    ],
    ["a number out of bounds", ["--max-capacity", "0"], /maxCapacity .* from 1 to 1048576, not "0"/],
    ["a negative number", ["--half-close-ms=-1"], /halfCloseMs.*not "-1"/],
    [
      "a manager that is no address",
      ["--manager", "http://x"],
      /'http:\/\/x' is not a link address.*unix:\/path/,
    ],
    [
      "a manager without a name beside another",
      ["--manager", "unix:/x", "--manager", "b=unix:/y"],
      /^manager \(from --manager\): 'unix:\/x' has no name; of several managers each must have one/,
    ],
    [
      "two managers of one name",
      ["--manager", "a=unix:/x", "--manager", "a=unix:/y"],
      /^manager \(from --manager\): two managers are named 'a'; give each a name of its own$/,
    ],
    [
      "an authority for several managers without TLS",
      ["--manager", "a=unix:/x", "--manager", "b=tcp://127.0.0.1:1", "--manager-ca", "x"],
      /^managerCa is for a manager at tls:\/\/host:port$/,
    ],
    ["a listener that is no address", ["--listen", "7300"], /'7300' is not an address to listen on/],
    ["a bad listener option", ["--listen", "tcp://127.0.0.1:1?backlog=0"], /backlog must be a whole number/],
    ["a bad truth value", ["--listen", "tcp://127.0.0.1:1?reusePort=yes"], /reusePort must be true or false/],
    ["an unknown level", ["--log-level", "loud"], /logLevel .*must be one of trace, debug.*"loud"/],
    ["an unknown read path", ["--read-path", "fast"], /must be one of auto, polled, shared, ordinary/],
    ["an empty name", ["--name", ""], /name .*must not be empty/],
    [
      "waits that contradict",
      ["--reconnect-min-ms", "9", "--reconnect-max-ms", "8"],
      /must not be more than/,
    ],
    [
      "two listeners of one name",
      ["--listen", "tcp://127.0.0.1:1", "--listen", "tcp://127.0.0.2:1"],
      /two listeners are named 'tcp-1'/,
    ],
    [
      "a certificate without its key",
      ["--manager", "tls://127.0.0.1:1", "--manager-cert", "x"],
      /managerCert and managerKey go together/,
    ],
    [
      "a key without its certificate",
      ["--manager", "tls://127.0.0.1:1", "--manager-key", "x"],
      /managerCert and managerKey go together/,
    ],
    ["an authority for a link without TLS", ["--manager-ca", "x"], /managerCa is for a manager at tls:/],
    [
      "a certificate for a link without TLS",
      ["--manager", "tcp://127.0.0.1:1", "--manager-cert", "x", "--manager-key", "x"],
      /managerCert is for a manager at tls:/,
    ],
    [
      "a server's name that is an address",
      ["--manager", "tls://127.0.0.1:1", "--manager-servername", "127.0.0.1"],
      /managerServername .*must be a host's name, and no IP address/,
    ],
    ["a stray argument", ["start"], /too many arguments/],
    [
      "a file that is not there",
      ["--config", "/nonexistent/sidegate.json"],
      /cannot read the configuration file.*ENOENT/,
    ],
  ] as const) {
    test(`refuses ${what}`, () => refused(message, args));
  }

  test("refuses a file that is not one JSON object", (t) => {
    refused(/is not JSON/, ["--config", file(t, "{")]);
    refused(/must hold one JSON object/, ["--config", file(t, [])]);
    refused(/drainMs \(from .*\): must be a whole number/, ["--config", file(t, { drainMs: 1.5 })]);
    refused(/manager \(from .*\): must be text/, ["--config", file(t, { manager: [7300] })]);
    refused(/manager \(from .*\): must not be empty/, ["--config", file(t, { manager: [] })]);
    refused(/listen \(from .*\): must be a URL, or an object/, ["--config", file(t, { listen: [7300] })]);
  });
});
