import assert from "node:assert/strict";
import { linkSync, lstatSync, mkdirSync, readdirSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { listenOnPath, UnixSocketError } from "../../process/unix-socket.ts";
import { TestClient } from "../helpers/client.ts";
import { socketPath, temporaryDirectory } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";

const MODE = { mode: 0o600 };

/** A server that says who it is, and is closed with the test. */
function named(t: TestContext, name: string): Server {
  const server = createServer((socket) => socket.on("error", () => {}).end(name));
  t.after(() => server.close());
  return server;
}

/** Who answers at a path. */
async function whoAnswers(path: string): Promise<string> {
  const client = await TestClient.connect(path);
  await client.untilEnded();
  client.close();
  return String(client.received);
}

/** Leaves a socket file behind that nobody listens on. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.first`);
  await next(server, "listening");
  renameSync(`${path}.first`, path);
  server.close();
  await next(server, "close");
}

describe("a socket's file", () => {
  test("is the only one that is made, with the mode that is asked for, and goes with the server", async (t) => {
    const directory = temporaryDirectory(t);
    const path = join(directory, "game.sock");
    const server = named(t, "first");
    const remove = await listenOnPath(server, path, { mode: 0o660, backlog: 5 });
    assert.deepEqual(readdirSync(directory), ["game.sock"]);
    assert.equal(lstatSync(path).mode & 0o777, 0o660);
    assert.equal(await whoAnswers(path), "first");
    remove();
    server.close();
    assert.deepEqual(readdirSync(directory), []);
  });

  test("is left alone when it is a successor's by now", async (t) => {
    const path = socketPath(t);
    const first = named(t, "first");
    const remove = await listenOnPath(first, path, MODE);
    unlinkSync(path);
    await listenOnPath(named(t, "second"), path, MODE);
    remove();
    first.close();
    await next(first, "close");
    assert.equal(await whoAnswers(path), "second");
  });

  test("is removed once: after that its number may be another's", async (t) => {
    const path = socketPath(t);
    const remove = await listenOnPath(named(t, "first"), path, MODE);
    linkSync(path, `${path}.kept`);
    remove();
    renameSync(`${path}.kept`, path);
    remove();
    assert.equal(await whoAnswers(path), "first");
  });

  test("that can't be removed any more is nobody's trouble", async (t) => {
    const directory = join(temporaryDirectory(t), "run");
    const remove = await listenOnPath(named(t, "first"), join(directory, "game.sock"), MODE);
    renameSync(directory, `${directory}.away`);
    symlinkSync(directory, directory);
    remove();
  });

  test("that is gone already is nobody's trouble", async (t) => {
    const path = socketPath(t);
    const remove = await listenOnPath(named(t, "first"), path, MODE);
    unlinkSync(path);
    remove();
  });

  test("that was left behind is replaced, but not one that was made meanwhile", async (t) => {
    const path = socketPath(t);
    await leaveSocket(path);
    const slower = listenOnPath(named(t, "slower"), path, MODE);
    // It has asked by now whether anybody answers, and has not heard yet that nobody does.
    unlinkSync(path);
    named(t, "faster").listen(path);
    await assert.rejects(slower, (error: Error) => {
      assert.ok(error instanceof UnixSocketError);
      assert.equal(error.message, `another process listens on ${path}; stop it, or choose another path`);
      return true;
    });
    assert.equal(await whoAnswers(path), "faster");
  });

  test("is one server's when several begin at once, and the others leave nothing behind", async (t) => {
    const directory = temporaryDirectory(t);
    const path = join(directory, "game.sock");
    await leaveSocket(path);
    const names = ["a", "b", "c"];
    const begun = names.map((name) => listenOnPath(named(t, name), path, MODE));
    const settled = await Promise.allSettled(begun);
    const winners = names.filter((_, index) => settled[index]?.status === "fulfilled");
    assert.deepEqual(winners, [await whoAnswers(path)]);
    assert.deepEqual(readdirSync(directory), ["game.sock"]);
  });

  test("may have a path as long as a socket's can be, and a name as short", async (t) => {
    const directory = temporaryDirectory(t);
    const long = join(directory, "x".repeat(107 - directory.length - 1));
    await listenOnPath(named(t, "long"), long, MODE);
    assert.equal(await whoAnswers(long), "long");
    const deep = join(directory, "d".repeat(107 - directory.length - 3));
    mkdirSync(deep);
    // Often enough to hit upon the name itself, of the few that are as short.
    for (let round = 0; round < 200; round++) {
      const server = named(t, "short");
      const remove = await listenOnPath(server, join(deep, "s"), MODE);
      assert.equal(await whoAnswers(join(deep, "s")), "short");
      remove();
      server.close();
    }
  });
});
