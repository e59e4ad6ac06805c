import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import {
  ListenError,
  ListenOptionsError,
  ManagerServer,
  type ManagerServerOptions,
} from "../../manager-stub/index.ts";
import { socketPath, startManager, temporaryDirectory } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { RawGateway } from "./raw-gateway.ts";

/** That a manager can't listen there, and what it says. */
async function rejects(
  listen: string,
  message: string | RegExp,
  options: ManagerServerOptions = {},
): Promise<void> {
  const manager = new ManagerServer({ listen, ...options });
  const listening = manager.listen();
  listening.then(
    () => manager.close(),
    () => {},
  );
  await assert.rejects(listening, (error: Error) => {
    assert.ok(error instanceof ListenError, String(error.stack));
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

/** Leaves a socket file behind that nobody listens on, as a manager that was killed does. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.first`);
  await next(server, "listening");
  renameSync(`${path}.first`, path);
  server.close();
  await next(server, "close");
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

const SECRET = "a secret for the tests";

const hasIpv6 = Object.values(networkInterfaces()).some((one) =>
  one?.some(({ address }) => address === "::1"),
);

describe("a manager on a Unix socket", () => {
  test("is for its own user alone", async (t) => {
    const path = socketPath(t);
    const mask = process.umask();
    const made = () => readdirSync(dirname(path));
    const started = startManager(t, { listen: `unix:${path}` });
    for (let steps = 0; made().length === 0 && steps < 100; steps++) await Promise.resolve();
    // It has another name at first.
    assert.deepEqual(
      made().map((name) => modeOf(join(dirname(path), name))),
      ["600"],
      "from the first moment on",
    );
    await started;
    assert.equal(modeOf(path), "600");
    assert.equal(process.umask(), mask);
  });

  test("gives the address that gateways dial", async (t) => {
    const listen = `unix:${socketPath(t)}`;
    const { link } = await startManager(t, { listen });
    assert.equal(link, listen);
    await RawGateway.registered(t, link);
  });

  test("makes the directory that is missing, but not those above it", async (t) => {
    const directory = join(temporaryDirectory(t), "run");
    await rejects(`unix:${directory}/game/manager.sock`, /^cannot listen on .*ENOENT/);
    await startManager(t, { listen: `unix:${directory}/manager.sock` });
    assert.ok(statSync(join(directory, "manager.sock")).isSocket());
  });

  test("refuses a place where another manager listens, who goes on", async (t) => {
    const path = socketPath(t);
    const { manager, link } = await startManager(t, { listen: `unix:${path}` });
    const gateway = await RawGateway.registered(t, link);
    await rejects(
      link,
      `cannot listen on ${link}: another process listens on ${path}; stop it, or choose another path`,
    );
    assert.deepEqual(await gateway.sync(), []);
    assert.equal(manager.gateways.length, 1);
  });

  test("refuses a place where somebody listens who is too busy to answer", async (t) => {
    const path = socketPath(t);
    const busy = createServer((socket) => socket.on("error", () => {}).end());
    t.after(() => busy.close());
    await next(busy.listen({ path, backlog: 1 }), "listening");
    // In this turn of the event loop it accepts nobody, and its queue is full.
    const queued = Array.from({ length: 8 }, () => connect(path).on("error", () => {}));
    t.after(() => {
      for (const socket of queued) socket.destroy();
    });
    await rejects(`unix:${path}`, /: another process listens on /);
    assert.ok(statSync(path).isSocket());
  });

  test("replaces the socket of one who is gone, whatever its mode was", async (t) => {
    const path = socketPath(t);
    await leaveSocket(path);
    chmodSync(path, 0o777);
    const { link } = await startManager(t, { listen: `unix:${path}` });
    assert.equal(modeOf(path), "600");
    await RawGateway.registered(t, link);
  });

  test("leaves the socket that its successor has made there", async (t) => {
    const path = socketPath(t);
    const { manager, link } = await startManager(t, { listen: `unix:${path}` });
    unlinkSync(path);
    await startManager(t, { listen: link });
    await manager.close();
    await RawGateway.registered(t, link);
  });

  test("takes its socket with it", async (t) => {
    const path = socketPath(t);
    const { manager } = await startManager(t, { listen: `unix:${path}` });
    await manager.close();
    assert.equal(existsSync(path), false);
  });

  test("refuses a path where something else is, and leaves it alone", async (t) => {
    const path = socketPath(t);
    writeFileSync(path, "precious");
    const link = `unix:${path}`;
    await rejects(
      link,
      `cannot listen on ${link}: ${path} is there already, and is not a socket; move it away`,
    );
    assert.equal(statSync(path).size, 8);
    const directory = join(temporaryDirectory(t), "d");
    mkdirSync(directory);
    await rejects(`unix:${directory}`, /is not a socket/);
  });

  test("says what is wrong when its directory can't be made", async (t) => {
    const file = join(temporaryDirectory(t), "file");
    writeFileSync(file, "");
    await rejects(`unix:${file}/manager.sock`, new RegExp(`^cannot listen on unix:${file}/manager.sock: E`));
    await rejects(`unix:${file}/deep/manager.sock`, /^cannot listen on .*ENOTDIR/);
  });

  test("says what is wrong with a path that is too long", async (t) => {
    const path = join(temporaryDirectory(t), "x".repeat(107));
    const manager = new ManagerServer({ listen: `unix:${path}` });
    await assert.rejects(manager.listen(), /is longer than the 107 bytes that a Unix socket's path may have/);
  });
});

describe("a manager on TCP", () => {
  test("with port 0 gives the port that it got", async (t) => {
    const { link } = await startManager(t, { listen: "tcp://127.0.0.1:0" });
    assert.match(link, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    await RawGateway.registered(t, link);
  });

  test("listens on IPv6", { skip: !hasIpv6 }, async (t) => {
    const { link } = await startManager(t, { listen: "tcp://[::1]:0" });
    assert.match(link, /^tcp:\/\/\[::1\]:[1-9]\d*$/);
    await RawGateway.registered(t, link);
  });

  test("refuses a port that is taken", async (t) => {
    const { link } = await startManager(t, { listen: "tcp://127.0.0.1:0" });
    await rejects(link, `cannot listen on ${link}: another process listens there`);
  });

  test("says what is wrong with an address that this machine does not have", async () => {
    const expected = /^cannot listen on tcp:\/\/192\.0\.2\.1:0: .*EADDRNOTAVAIL/;
    await rejects("tcp://192.0.2.1:0", expected, { secret: SECRET });
  });
});

describe("a manager beyond loopback", () => {
  const beyond = [
    "tcp://0.0.0.0:0",
    "tcp://[::]:0",
    "tcp://192.0.2.1:0",
    "tcp://manager.example:0",
    "tcp://127.1:0",
  ];

  for (const listen of beyond) {
    test(`refuses to listen on ${listen} with neither a secret nor TLS, and says what to do`, async () => {
      const manager = new ManagerServer({ listen });
      await assert.rejects(manager.listen(), (error: Error) => {
        assert.ok(error instanceof ListenOptionsError && error instanceof ListenError);
        const what = "everybody who can reach this address could register as a gateway";
        assert.equal(
          error.message,
          `cannot listen on ${listen}: ${what}; give it a secret, use tls://, or listen on loopback`,
        );
        return true;
      });
    });
  }

  test("listens there with a secret", async (t) => {
    const { link } = await startManager(t, { listen: "tcp://0.0.0.0:0", secret: SECRET });
    assert.match(link, /^tcp:\/\/0\.0\.0\.0:[1-9]\d*$/);
  });

  test("needs neither on loopback, by whatever name", async (t) => {
    for (const host of [
      "127.0.0.1",
      "127.1.2.3",
      "localhost",
      ...(hasIpv6 ? ["[::1]", "[::ffff:127.0.0.1]"] : []),
    ])
      await startManager(t, { listen: `tcp://${host}:0` });
  });

  test("needs a certificate for TLS, on loopback too", async () => {
    const message = "cannot listen on tls://127.0.0.1:0: TLS needs a certificate and its key";
    await rejects("tls://127.0.0.1:0", message, { secret: SECRET });
  });
});
