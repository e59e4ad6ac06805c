import assert from "node:assert/strict";
import fs, { renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { watchFiles } from "../../gateway/file-watch.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

/** Counts the questions to the file system that are not answered yet. */
function countLooks(t: TestContext): () => number {
  let underWay = 0;
  const { stat } = fs.promises;
  const mock = t.mock.method(fs.promises, "stat", (async (...args: Parameters<typeof stat>) => {
    underWay++;
    try {
      return await stat(...args);
    } finally {
      underWay--;
    }
  }) as typeof stat);
  syncBuiltinESMExports();
  t.after(() => {
    mock.mock.restore();
    syncBuiltinESMExports();
  });
  return () => underWay;
}

/** Two files that are watched. */
function watching(t: TestContext) {
  const looksUnderWay = countLooks(t);
  const directory = temporaryDirectory(t);
  const files = ["a", "b"].map((name) => join(directory, name));
  const [a = "", b = ""] = files;
  for (const file of files) writeFileSync(file, "first");
  const clock = new FakeClock();
  const world = { changes: 0, a, b, directory, clock, stop: () => {}, look };
  world.stop = watchFiles({ files, clock, changed: () => world.changes++ });
  t.after(world.stop);

  /** A second passes, and the files are looked at. */
  async function look(times = 1): Promise<void> {
    for (let time = 0; time < times; time++) {
      await settled();
      clock.advance(1000);
      await settled();
    }
  }

  /** A look that was begun is over, and what was found is worked off. */
  async function settled(): Promise<void> {
    await until(() => looksUnderWay() === 0, "the files were looked at");
    await new Promise((resolve) => setImmediate(resolve));
  }
  return world;
}

describe("files that are watched", () => {
  test("are found to have changed once they have looked the same twice, and once for each change", async (t) => {
    const world = watching(t);
    await world.look(3);
    assert.equal(world.changes, 0);
    writeFileSync(world.a, "second");
    await world.look();
    assert.equal(world.changes, 0, "it may still be being written");
    await world.look();
    assert.equal(world.changes, 1);
    await world.look(3);
    assert.equal(world.changes, 1);
    writeFileSync(world.b, "second");
    await world.look(2);
    assert.equal(world.changes, 2);
  });

  test("are left alone while they are being written", async (t) => {
    const world = watching(t);
    await world.look();
    for (let part = 0; part < 5; part++) {
      writeFileSync(world.a, "part".repeat(part + 2));
      await world.look();
    }
    assert.equal(world.changes, 0);
    await world.look();
    assert.equal(world.changes, 1);
  });

  test("may be changed by a rename, a link that is set anew, or a touch", async (t) => {
    const world = watching(t);
    await world.look();
    writeFileSync(`${world.a}.new`, "first");
    renameSync(`${world.a}.new`, world.a);
    await world.look(2);
    assert.equal(world.changes, 1);
    rmSync(world.a);
    symlinkSync(world.b, world.a);
    await world.look(2);
    assert.equal(world.changes, 2);
    utimesSync(world.b, 1, 1);
    await world.look(2);
    assert.equal(world.changes, 3);
  });

  test("may go, and come back", async (t) => {
    const world = watching(t);
    await world.look();
    rmSync(world.a);
    await world.look(2);
    assert.equal(world.changes, 1);
    writeFileSync(world.a, "again");
    await world.look(2);
    assert.equal(world.changes, 2);
  });

  test("are not looked at any more once that was ended, nor when there are none", async (t) => {
    const world = watching(t);
    await world.look();
    world.stop();
    assert.equal(world.clock.timerCount, 0);
    writeFileSync(world.a, "second");
    await world.look(3);
    assert.equal(world.changes, 0);
    watchFiles({ files: [], clock: world.clock, changed: () => world.changes++ });
    assert.equal(world.clock.timerCount, 0);
  });
});
