import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Guard, type GuardLimits } from "../../gateway/guard/guard.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

const NO_LIMITS: GuardLimits = {
  allow: [],
  deny: [],
  allowFile: undefined,
  denyFile: undefined,
  maxConnections: 0,
  maxConnectionsPerAddress: 0,
  maxConnectionsPerPrefix: 0,
  connectionRate: 0,
  connectionBurst: 0,
  addressRate: 0,
  addressBurst: 0,
};

function setUp(t: TestContext, limits: Partial<GuardLimits> = {}) {
  const clock = new FakeClock();
  const told = { changes: 0, failures: [] as string[] };
  const guard = new Guard({
    limits: { ...NO_LIMITS, ...limits },
    clock,
    changed: () => told.changes++,
    failed: (error) => told.failures.push(error.message),
  });
  t.after(() => guard.stop());
  /** What each of these is told who arrives one after the other. */
  const enter = (...addresses: string[]) => addresses.map((address) => guard.enter(address));
  return { guard, clock, told, enter };
}

/** Two files that a guard reads. */
function files(t: TestContext, { allow, deny }: { allow: string; deny: string }) {
  const directory = temporaryDirectory(t);
  const [allowFile, denyFile] = [join(directory, "allow.txt"), join(directory, "deny.txt")];
  writeFileSync(allowFile, allow);
  writeFileSync(denyFile, deny);
  return { allowFile, denyFile };
}

const [A, B, C] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"] as const;

describe("without limits", () => {
  test("everybody may come in, as often as they like", (t) => {
    const { enter } = setUp(t);
    assert.deepEqual(
      new Set(enter(...Array.from({ length: 1000 }, () => [A, C, ""]).flat())),
      new Set([undefined]),
    );
  });
});

describe("the checks", () => {
  test("are made in this order", (t) => {
    assert.deepEqual(setUp(t).guard.order, [
      "denied",
      "not-allowed",
      "banned",
      "too-many-connections",
      "too-many-from-address",
      "too-many-from-prefix",
      "address-rate",
      "connection-rate",
    ]);
  });

  test("refuse by the first that fails: lists, then bans, then counts", (t) => {
    const paths = files(t, { allow: C, deny: "" });
    const { guard, clock, enter } = setUp(t, { ...paths, maxConnections: 1 });
    assert.deepEqual(enter(C), [undefined]);
    writeFileSync(paths.allowFile, "");
    writeFileSync(paths.denyFile, C);
    guard.reload();
    guard.ban(C, 1000);
    assert.deepEqual(enter(C), ["denied"]);
    writeFileSync(paths.denyFile, "");
    guard.reload();
    assert.deepEqual(enter(C), ["not-allowed"]);
    writeFileSync(paths.allowFile, C);
    guard.reload();
    assert.deepEqual(enter(C), ["banned"]);
    clock.advance(1000);
    assert.deepEqual(enter(C), ["too-many-connections"]);
    guard.leave(C);
    assert.deepEqual(enter(C), [undefined]);
  });

  test("refuse by the first that fails: the counts from wide to narrow, then the rates", (t) => {
    const steps = [
      ["too-many-connections", { maxConnections: 1 }],
      ["too-many-from-address", { maxConnectionsPerAddress: 1 }],
      ["too-many-from-prefix", { maxConnectionsPerPrefix: 1 }],
      ["address-rate", { addressRate: 1, addressBurst: 1 }],
      ["connection-rate", { connectionRate: 1, connectionBurst: 1 }],
    ] as const;
    for (const [i, [refusal]] of steps.entries()) {
      const { enter } = setUp(t, Object.assign({}, ...steps.slice(i).map(([, limits]) => limits)));
      assert.deepEqual(enter(C, C), [undefined, refusal]);
    }
  });
});

describe("the lists", () => {
  test("let in who is allowed and not denied", (t) => {
    const { enter } = setUp(t, { allow: ["192.0.2.0/24", "2001:db8::/32"], deny: [B] });
    assert.deepEqual(enter(A, B, C, "198.51.100.1"), [undefined, "denied", undefined, "not-allowed"]);
  });

  test("are those of the configuration and of the files together", (t) => {
    const paths = files(t, { allow: "198.51.100.0/24\n", deny: "198.51.100.9\n" });
    const { enter } = setUp(t, { allow: [A, B], deny: [B], ...paths });
    const answers = enter(A, B, "198.51.100.1", "198.51.100.9", C);
    assert.deepEqual(answers, [undefined, "denied", undefined, "denied", "not-allowed"]);
  });

  test("let nobody in when the file of the allowed is empty", (t) => {
    const { enter } = setUp(t, { allowFile: files(t, { allow: "# nobody yet\n", deny: "" }).allowFile });
    assert.deepEqual(enter(A), ["not-allowed"]);
  });

  test("stop a guard from being made when they are wrong, and leave no timer", (t) => {
    const paths = files(t, { allow: A, deny: "10.0.0.0/99\n" });
    const clock = new FakeClock();
    const make = (limits: Partial<GuardLimits>) =>
      new Guard({ limits: { ...NO_LIMITS, ...limits }, clock, changed() {}, failed() {} });
    assert.throws(() => make(paths), /deny\.txt' can't be used: line 1: '10\.0\.0\.0\/99'/);
    assert.throws(
      () => make({ allowFile: `${paths.allowFile}.not` }),
      /allow\.txt\.not' can't be used: ENOENT/,
    );
    assert.throws(() => make({ deny: ["nobody"] }), /'nobody' is not an address/);
    assert.equal(clock.timerCount, 0);
  });

  test("are read again by reload, and say so to those who are in", (t) => {
    const paths = files(t, { allow: `${A}\n${B}`, deny: "" });
    const { guard, enter, told } = setUp(t, paths);
    assert.deepEqual(enter(A, B), [undefined, undefined]);
    writeFileSync(paths.allowFile, A);
    guard.reload();
    assert.ok(told.changes > 0);
    assert.deepEqual([guard.tolerates(A), guard.tolerates(B)], [undefined, "not-allowed"]);
  });

  test("are read again when a file was edited", async (t) => {
    const paths = files(t, { allow: `${A}\n${B}`, deny: "" });
    const { guard, clock, told } = setUp(t, paths);
    writeFileSync(`${paths.denyFile}.new`, B);
    renameSync(`${paths.denyFile}.new`, paths.denyFile);
    await until(() => {
      clock.advance(1000);
      return told.changes > 0;
    }, "the edit is seen");
    assert.equal(guard.tolerates(B), "denied");
  });

  test("stay as they are when a file goes bad, which is told", (t) => {
    const paths = files(t, { allow: A, deny: "" });
    const { guard, enter, told } = setUp(t, paths);
    writeFileSync(paths.allowFile, "nobody");
    guard.reload();
    assert.match(told.failures.join(), /allow\.txt.*line 1/);
    assert.deepEqual(enter(A, B), [undefined, "not-allowed"]);
  });

  test("are not looked at any more after stop", (t) => {
    const { guard, clock } = setUp(t, files(t, { allow: A, deny: "" }));
    assert.equal(clock.timerCount, 2);
    guard.stop();
    assert.equal(clock.timerCount, 0);
  });
});

describe("a ban", () => {
  test("keeps out, and says so to those who are in", (t) => {
    const { guard, clock, enter, told } = setUp(t);
    assert.deepEqual(enter(A), [undefined]);
    guard.ban(A, 1000);
    assert.equal(told.changes, 1);
    assert.deepEqual([guard.tolerates(A), guard.tolerates(B)], ["banned", undefined]);
    assert.deepEqual(enter(A, B), ["banned", undefined]);
    clock.advance(1000);
    assert.deepEqual([guard.tolerates(A), ...enter(A)], [undefined, undefined]);
  });

  test("that lengthens another changes nothing for those who are in", (t) => {
    const { guard, told } = setUp(t);
    guard.ban(A, 1000);
    guard.ban(A, 2000);
    assert.equal(told.changes, 1);
  });

  test("is of the address, in whatever form it is written", (t) => {
    const { guard, enter } = setUp(t);
    guard.ban(`::ffff:${A}`, 1000);
    guard.ban("2001:DB8:0::0001", 1000);
    assert.deepEqual(enter(A, C), ["banned", "banned"]);
  });

  test("of no address bans nobody", (t) => {
    const { guard, enter, told } = setUp(t);
    guard.ban("", 1000);
    guard.ban("localhost", 1000);
    assert.equal(told.changes, 0);
    assert.deepEqual(enter(""), [undefined]);
  });
});

describe("the counts", () => {
  test("bound each address, each /64 and the total, and free what leaves", (t) => {
    const { guard, enter } = setUp(t, {
      maxConnections: 5,
      maxConnectionsPerAddress: 2,
      maxConnectionsPerPrefix: 3,
    });
    assert.deepEqual(enter(A, A, A), [undefined, undefined, "too-many-from-address"]);
    assert.deepEqual(enter(C, C, C), [undefined, undefined, "too-many-from-address"]);
    assert.deepEqual(enter("2001:db8::2", "2001:db8::3"), [undefined, "too-many-connections"]);
    guard.leave(A);
    assert.deepEqual(enter("2001:db8::3", A), ["too-many-from-prefix", undefined]);
  });

  test("hold for an IPv4 address by itself, whatever a /64 may have", (t) => {
    const { enter } = setUp(t, { maxConnectionsPerPrefix: 1 });
    assert.deepEqual(enter(A, A), [undefined, undefined]);
  });

  test("are not used up by who is refused, by whatever check", (t) => {
    const { guard, enter } = setUp(t, {
      deny: [B],
      maxConnections: 2,
      connectionRate: 1,
      connectionBurst: 1,
    });
    assert.deepEqual(enter(B, B, A, A, A), [
      "denied",
      "denied",
      undefined,
      "connection-rate",
      "connection-rate",
    ]);
    guard.leave(A);
    assert.throws(() => guard.leave(A), /never entered/);
  });
});

describe("the rates", () => {
  test("let a burst in and then so many a second", (t) => {
    const { clock, enter } = setUp(t, { addressRate: 2, addressBurst: 2 });
    assert.deepEqual(enter(A, A, A, B), [undefined, undefined, "address-rate", undefined]);
    clock.advance(500);
    assert.deepEqual(enter(A, A), [undefined, "address-rate"]);
  });

  test("let one in at a time when there is no burst", (t) => {
    const { clock, enter } = setUp(t, { addressRate: 1, connectionRate: 1 });
    assert.deepEqual(enter(A, B), [undefined, "connection-rate"]);
    clock.advance(1000);
    assert.deepEqual(enter(A), [undefined]);
  });

  test("of all are not used up by one address", (t) => {
    const { enter } = setUp(t, { addressRate: 1, addressBurst: 1, connectionRate: 1, connectionBurst: 2 });
    const flood = enter(...Array.from({ length: 100 }, () => A));
    assert.equal(flood.filter((refusal) => refusal === undefined).length, 1);
    assert.deepEqual(enter(B, "192.0.2.3"), [undefined, "connection-rate"]);
  });

  test("are not used up by who is refused for another reason", (t) => {
    const { guard, clock, enter } = setUp(t, {
      maxConnectionsPerAddress: 1,
      addressRate: 0.001,
      addressBurst: 2,
      connectionRate: 0.001,
      connectionBurst: 2,
    });
    guard.ban(A, 10);
    assert.deepEqual(enter(A, A, A), ["banned", "banned", "banned"]);
    clock.advance(10);
    assert.deepEqual(enter(A, A, A), [undefined, "too-many-from-address", "too-many-from-address"]);
    guard.leave(A);
    assert.deepEqual(enter(A), [undefined]);
  });
});

describe("a client without an address", () => {
  test("passes every check on addresses", (t) => {
    const { guard, enter } = setUp(t, {
      allow: [A],
      deny: ["0.0.0.0/0", "::/0"],
      maxConnectionsPerAddress: 1,
      maxConnectionsPerPrefix: 1,
      addressRate: 1,
      addressBurst: 1,
    });
    assert.deepEqual(enter("", "", ""), [undefined, undefined, undefined]);
    assert.equal(guard.tolerates(""), undefined);
  });

  test("counts in total, and arrives at the rate of all", (t) => {
    const { clock, enter } = setUp(t, { maxConnections: 2, connectionRate: 1, connectionBurst: 1 });
    assert.deepEqual(enter("", ""), [undefined, "connection-rate"]);
    clock.advance(1000);
    assert.deepEqual(enter("", ""), [undefined, "too-many-connections"]);
  });
});
