import assert from "node:assert/strict";
import { existsSync, mkdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import { type AcceptSink, ListenError, type Listener } from "../../gateway/transports/listener.ts";
import { ordinaryReadPath } from "../../gateway/transports/read-path.ts";
import { startFront } from "../front/support.ts";
import { TestClient } from "../helpers/client.ts";
import { TestProcess } from "../helpers/process.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

const refuse: AcceptSink = (arrival) => arrival.close();

function make(path: string, options = "", accept = refuse): Listener {
  const context = { readPath: ordinaryReadPath, maxMessageBytes: () => 1024 };
  return createListener(parseListenAddress(`unix:${path}${options}`), context, accept);
}

async function open(t: TestContext, path: string, options?: string, accept?: AcceptSink): Promise<Listener> {
  const listener = make(path, options, accept);
  await listener.open();
  t.after(() => listener.close());
  return listener;
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

describe("a listener on a Unix socket", () => {
  test("lets in its own user alone, unless it is told otherwise", async (t) => {
    const directory = temporaryDirectory(t);
    const rows = [
      ["", 0o600],
      ["?mode=0660", 0o660],
      ["?mode=666", 0o666],
      ["?mode=0777", 0o777],
    ] as const;
    for (const [options, mode] of rows) {
      const path = join(directory, `${mode}.sock`);
      await open(t, path, options);
      assert.equal(modeOf(path).toString(8), mode.toString(8));
    }
  });

  test("leaves the process's own mask as it was", async (t) => {
    const before = process.umask();
    await open(t, join(temporaryDirectory(t), "game.sock"), "?mode=0666");
    assert.equal(process.umask(), before);
  });

  test("says in its endpoint where it is, with no port", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const { endpoint } = await open(t, path, "?framing=line");
    assert.deepEqual(endpoint, {
      transport: "unix",
      host: path,
      port: 0,
      name: "unix-game.sock",
      framing: "line",
    });
  });

  test("makes its directory, but not those above it", async (t) => {
    const directory = temporaryDirectory(t);
    await open(t, join(directory, "run", "game.sock"));
    await assert.rejects(make(join(directory, "wrong", "run", "game.sock")).open(), /ENOENT/);
  });

  test("takes its file with it", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const listener = make(path);
    await listener.open();
    await listener.close();
    assert.equal(existsSync(path), false);
    await open(t, path);
  });

  test("leaves the file that its successor has made there", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const listener = make(path);
    await listener.open();
    unlinkSync(path);
    await open(t, path);
    const { ino } = statSync(path);
    await listener.close();
    assert.equal(statSync(path).ino, ino);
  });

  test("replaces a file that a dead process has left behind", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const script = join(temporaryDirectory(t), "leave.mjs");
    writeFileSync(
      script,
      `import { createServer } from "node:net"; createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"));`,
    );
    await new TestProcess(t, script, []).exited;
    assert.equal(existsSync(path), true);
    let accepted = 0;
    await open(t, path, "", (arrival) => {
      accepted++;
      arrival.close();
    });
    const client = await TestClient.connect(path);
    await client.untilEnded();
    client.close();
    assert.equal(accepted, 1);
  });

  for (const [what, prepare, message] of [
    [
      "another process listens on",
      async (t: TestContext, path: string) => {
        const other = createServer().listen(path);
        await next(other, "listening");
        t.after(() => other.close());
      },
      /another process listens on .*game\.sock; stop it, or choose another path/,
    ],
    [
      "is an ordinary file",
      async (_t: TestContext, path: string) => writeFileSync(path, "precious"),
      /game\.sock is there already, and is not a socket; move it away/,
    ],
    [
      "is a directory",
      async (_t: TestContext, path: string) => mkdirSync(path),
      /game\.sock is there already, and is not a socket/,
    ],
  ] as const) {
    test(`leaves a path alone that ${what}`, async (t) => {
      const path = join(temporaryDirectory(t), "game.sock");
      await prepare(t, path);
      await assert.rejects(make(path).open(), (error: Error) => {
        assert.ok(error instanceof ListenError);
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(`cannot listen on unix:${path}: `));
        return true;
      });
      assert.equal(existsSync(path), true);
    });
  }
});

describe("a client over a Unix socket", () => {
  test("has no address and no port, and is none that could be banned or denied", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const front = await startFront(t, `unix:${path}?framing=line&name=local`, {
      settings: { deny: ["0.0.0.0/0"] },
    });
    const client = await TestClient.connect(path);
    t.after(() => client.close());
    const session = await front.joined();
    assert.partialDeepStrictEqual(session, {
      addr: "",
      port: 0,
      transport: "unix",
      listener: "local",
      framing: "line",
    });
    client.send("hello\n");
    assert.deepEqual(await front.heard(1), ["hello"]);
    front.manager.drop(session, { banMs: 60_000 });
    await client.untilEnded();
    client.close();
    await front.ended();
    const next = await TestClient.connect(path);
    t.after(() => next.close());
    await front.joined(2);
  });

  test("counts among all, and not as one of an address", async (t) => {
    const path = join(temporaryDirectory(t), "game.sock");
    const settings = { maxConnections: 3, maxConnectionsPerAddress: 1 };
    const front = await startFront(t, `unix:${path}`, { settings });
    const clients = Array.from({ length: 4 }, () => new TestClient(path));
    t.after(() => {
      for (const client of clients) client.close();
    });
    await front.joined(3);
    await until(() => clients.some(({ ended, closed }) => ended || closed), "one is turned away");
    assert.deepEqual(front.refusals(), { "too-many-connections": 1 });
  });
});
