import assert from "node:assert/strict";
import fs, { appendFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import {
  AddressFile,
  MAX_ADDRESS_ENTRIES,
  MAX_ADDRESS_FILE_BYTES,
  parseAddressFile,
} from "../../gateway/guard/address-file.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

/** A file that is loaded and watched, and what was told of it. */
function setUp(t: TestContext, text = "192.0.2.1\n") {
  const path = join(temporaryDirectory(t), "deny.txt");
  writeFileSync(path, text);
  const clock = new FakeClock();
  const sizes: number[] = [];
  const failures: string[] = [];
  const file = new AddressFile({
    path,
    clock,
    changed: (set) => sizes.push(set.size),
    failed: (error) => failures.push(error.message),
  });
  file.load();
  file.watch();
  t.after(() => file.stop());
  /** Lets seconds pass until `condition` holds. */
  const passUntil = (condition: () => boolean, what: string) =>
    until(() => {
      clock.advance(1000);
      return condition();
    }, what);
  return { path, clock, file, sizes, failures, passUntil };
}

/** Puts another function in the place of one of node:fs/promises until the test ends. */
function replace(t: TestContext, name: "stat" | "readFile", by: (...args: never[]) => unknown) {
  const mock = t.mock.method(fs.promises, name, by as never);
  const restore = () => {
    mock.mock.restore();
    syncBuiltinESMExports();
  };
  syncBuiltinESMExports();
  t.after(restore);
  return restore;
}

describe("the text of an address file", () => {
  test("has an address or CIDR on each line, comments and blank lines", () => {
    const set = parseAddressFile("# ours\n192.0.2.1\n\n  10.0.0.0/8  # the office\n2001:db8::/32");
    assert.equal(set.size, 3);
    for (const address of ["192.0.2.1", "10.1.2.3", "2001:db8::1"]) assert.ok(set.has(address), address);
  });

  test("may begin with a byte order mark and end its lines with CR LF", () => {
    const set = parseAddressFile("\ufeff192.0.2.1\r\n# comment\r\n\r\n192.0.2.2\r\n");
    assert.equal(set.size, 2);
    assert.ok(set.has("192.0.2.1") && set.has("192.0.2.2"));
  });

  test("may be empty", () => assert.equal(parseAddressFile("").size, 0));

  test("is refused with the line that is bad", () => {
    assert.throws(
      () => parseAddressFile("# one\r\n\r\n192.0.2.1\n192.0.2.256\n"),
      /^Error: line 4: '192\.0\.2\.256' is/,
    );
    assert.throws(() => parseAddressFile("192.0.2.1 192.0.2.2"), /line 1/);
  });

  test("has so many addresses and no more", () => {
    const most = "192.0.2.1\n".repeat(MAX_ADDRESS_ENTRIES);
    assert.equal(parseAddressFile(`${most}\n# the end\n`).size, MAX_ADDRESS_ENTRIES);
    assert.throws(() => parseAddressFile(`${most}192.0.2.2`), /line 200001: .* 200000 addresses/);
  });
});

describe("loading", () => {
  test("gives the set and keeps it", (t) => {
    const { file } = setUp(t);
    assert.ok(file.current.has("192.0.2.1"));
    assert.equal(file.load(), file.current);
  });

  test("says which file is not there, and which line is bad", (t) => {
    const { file, path } = setUp(t);
    writeFileSync(path, "nobody");
    assert.throws(() => file.load(), new RegExp(`'${path}' can't be used: line 1: 'nobody' is not`));
    rmSync(path);
    assert.throws(() => file.load(), new RegExp(`'${path}' can't be used: ENOENT`));
    assert.ok(file.current.has("192.0.2.1"));
  });

  test("refuses what is no ordinary file, and what is too long", (t) => {
    const { file, path } = setUp(t);
    truncateSync(path, MAX_ADDRESS_FILE_BYTES + 1);
    assert.throws(() => file.load(), /16777217 bytes, and 16777216 are the most/);
    rmSync(path);
    mkdirSync(path);
    assert.throws(() => file.load(), /not an ordinary file/);
  });
});

describe("reloading", () => {
  test("tells the new set at once", (t) => {
    const { file, path, sizes } = setUp(t);
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n");
    file.reload();
    assert.deepEqual(sizes, [2]);
    assert.ok(file.current.has("192.0.2.2"));
  });

  test("tells of a bad file, and keeps the last good set", (t) => {
    const { file, path, sizes, failures } = setUp(t);
    writeFileSync(path, "nobody");
    file.reload();
    assert.match(failures.join(), /^the address file .* line 1/);
    assert.deepEqual(sizes, []);
    assert.ok(file.current.has("192.0.2.1"));
  });

  test("tells of a file that is gone, and the watch does not tell it again", async (t) => {
    const { file, path, failures, passUntil } = setUp(t);
    rmSync(path);
    file.reload();
    assert.match(failures.join(), /ENOENT/);
    let seconds = 0;
    await passUntil(() => ++seconds > 100, "time passes");
    assert.equal(failures.length, 1);
  });

  test("is not undone by a look that was under way", async (t) => {
    const { file, path, sizes, passUntil } = setUp(t);
    const reading = Promise.withResolvers<string>();
    let asked = false;
    const restore = replace(t, "readFile", () => {
      asked = true;
      return reading.promise;
    });
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n");
    await passUntil(() => asked, "the file is read");
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n192.0.2.3\n");
    file.reload();
    restore();
    reading.resolve("192.0.2.1\n192.0.2.2\n");
    await reading.promise;
    writeFileSync(path, "");
    await passUntil(() => sizes.includes(0), "the next edit is seen");
    assert.deepEqual(sizes, [3, 0]);
  });
});

describe("watching", () => {
  test("sees an edit in place", async (t) => {
    const { file, path, sizes, passUntil } = setUp(t);
    appendFileSync(path, "192.0.2.2\n");
    await passUntil(() => sizes.length > 0, "the edit is seen");
    assert.deepEqual(sizes, [2]);
    assert.ok(file.current.has("192.0.2.2"));
  });

  test("sees a new file that was renamed over the old", async (t) => {
    const { path, file, passUntil } = setUp(t);
    writeFileSync(`${path}.new`, "192.0.2.9\n");
    renameSync(`${path}.new`, path);
    await passUntil(() => file.current.has("192.0.2.9"), "the new file is seen");
    assert.ok(!file.current.has("192.0.2.1"));
  });

  test("waits until the file has stood still for a second", async (t) => {
    const { path, clock, sizes, failures, passUntil } = setUp(t);
    let looks = 0;
    const stat = fs.promises.stat;
    replace(t, "stat", async (...args: Parameters<typeof stat>) => {
      const found = await stat(...args);
      looks++;
      return found;
    });
    for (let i = 2; i < 6; i++) {
      appendFileSync(path, i === 5 ? "2.0.2.5\n" : `192.0.2.${i}\n${i === 4 ? "19" : ""}`);
      clock.advance(1000);
      await until(() => looks === i - 1, "it has looked");
    }
    assert.deepEqual([sizes, failures], [[], []]);
    await passUntil(() => sizes.length > 0, "the file is read");
    assert.deepEqual([sizes, failures], [[5], []]);
  });

  test("tells once of a bad file, keeps the last good set, and takes the mended one", async (t) => {
    const { file, path, sizes, failures, passUntil } = setUp(t);
    writeFileSync(path, "192.0.2.1\nnobody\n");
    await passUntil(() => failures.length > 0, "the bad file is told");
    assert.match(failures.join(), /line 2: 'nobody'/);
    assert.ok(file.current.has("192.0.2.1"));
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n");
    await passUntil(() => sizes.length > 0, "the mended file is taken");
    assert.equal(failures.length, 1);
  });

  test("tells once that the file is gone, and notices when it is back, unchanged or not", async (t) => {
    const { file, path, sizes, failures, passUntil } = setUp(t);
    renameSync(path, `${path}.away`);
    await passUntil(() => failures.length > 0, "its absence is told");
    assert.match(failures.join(), /ENOENT/);
    assert.ok(file.current.has("192.0.2.1"));
    let seconds = 0;
    await passUntil(() => ++seconds > 100, "time passes");
    renameSync(`${path}.away`, path);
    await passUntil(() => sizes.length > 0, "its return is noticed");
    rmSync(path);
    await passUntil(() => failures.length > 1, "its second absence is told");
    writeFileSync(path, "192.0.2.3\n192.0.2.4\n");
    await passUntil(() => sizes.length > 1, "its second return is noticed");
    assert.deepEqual([sizes, failures.length], [[1, 2], 2]);
  });

  test("tries again, and tells once, when the file can't be read", async (t) => {
    const { path, sizes, failures, passUntil } = setUp(t);
    let tries = 0;
    const restore = replace(t, "readFile", async () => {
      tries++;
      throw new Error("EMFILE: too many open files");
    });
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n");
    await passUntil(() => tries >= 3, "it has been tried three times");
    restore();
    await passUntil(() => sizes.length > 0, "it is read");
    assert.deepEqual([sizes, failures.length], [[2], 1]);
    assert.match(failures.join(), /EMFILE/);
  });

  test("says nothing while the file stays as it is", async (t) => {
    const { sizes, failures, passUntil } = setUp(t);
    let seconds = 0;
    await passUntil(() => ++seconds > 100, "time passes");
    assert.deepEqual([sizes, failures], [[], []]);
  });

  test("looks once at a time, however long a look takes", async (t) => {
    const { clock } = setUp(t);
    let looks = 0;
    const answer = Promise.withResolvers<never>();
    replace(t, "stat", () => {
      looks++;
      return answer.promise;
    });
    clock.advance(10_000);
    assert.equal(looks, 1);
    answer.reject(new Error("ESTALE"));
    await until(() => {
      clock.advance(1000);
      return looks > 1;
    }, "it looks again");
  });

  test("ends with stop, also for a look that is under way", async (t) => {
    const { file, clock, path, sizes, failures, passUntil } = setUp(t);
    const reading = Promise.withResolvers<string>();
    let asked = false;
    replace(t, "readFile", () => {
      asked = true;
      return reading.promise;
    });
    writeFileSync(path, "192.0.2.1\n192.0.2.2\n");
    await passUntil(() => asked, "the file is read");
    file.stop();
    reading.resolve("192.0.2.1\n192.0.2.2\n");
    let turns = 0;
    await until(() => ++turns > 20, "the read has come through");
    assert.deepEqual([sizes, failures], [[], []]);
    assert.equal(clock.timerCount, 0);
  });
});
