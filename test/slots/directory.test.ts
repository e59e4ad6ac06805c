import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Directory, type DirectoryLimits, type UserPolicy } from "../../gateway/slots/directory.ts";
import type { Slot } from "../../gateway/slots/slot.ts";
import { SlotTable } from "../../gateway/slots/slot-table.ts";

const MAX_GROUPS = 3;

/** A directory, slots to put into it, and those that it said were replaced. */
function setUp(userPolicy: UserPolicy = "allow", limits: Partial<DirectoryLimits> = {}) {
  const replaced: Slot[] = [];
  const directory = new Directory({ maxGroupsPerSession: MAX_GROUPS, userPolicy, ...limits }, (slot) => {
    replaced.push(slot);
    directory.release(slot);
  });
  const unheard = () => assert.fail("no client says anything here");
  const table = new SlotTable({
    identified: unheard,
    presented: unheard,
    failed: unheard,
    established: unheard,
    received: unheard,
    control: unheard,
    faulted: unheard,
    leaving: unheard,
    finished: unheard,
    left: unheard,
    closed: unheard,
  });
  table.resize(6);
  const slot = (index: number): Slot => {
    const found = table.slots[index];
    assert.ok(found !== undefined);
    return found;
  };
  return { directory, replaced, slot, slots: table.slots };
}

describe("a user", () => {
  test("is of every session that is bound to it, and of no other", () => {
    const { directory, slot } = setUp();
    for (const index of [0, 1]) assert.equal(directory.bind(slot(index), "ann"), true);
    directory.bind(slot(2), "bob");
    assert.deepEqual([...directory.user("ann")], [slot(0), slot(1)]);
    directory.bind(slot(0), "bob");
    assert.deepEqual([...directory.user("ann")], [slot(1)]);
    directory.bind(slot(1), "");
    assert.deepEqual([[...directory.user("ann")], slot(1).user, directory.userCount], [[], undefined, 1]);
  });

  test("that may be in once, and be replaced, is whoever came last", () => {
    const { directory, replaced, slot } = setUp("kick-old");
    directory.bind(slot(0), "ann");
    assert.equal(directory.bind(slot(1), "ann"), true);
    assert.deepEqual(replaced, [slot(0)]);
    assert.deepEqual([...directory.user("ann")], [slot(1)]);
    assert.equal(slot(0).user, undefined);
  });

  test("is not replaced by its own session", () => {
    for (const policy of ["kick-old", "refuse-new"] as const) {
      const { directory, replaced, slot } = setUp(policy);
      directory.bind(slot(0), "ann");
      assert.equal(directory.bind(slot(0), "ann"), true);
      assert.deepEqual([replaced, [...directory.user("ann")]], [[], [slot(0)]]);
    }
  });

  test("that may be in once, and not be replaced, is whoever came first", () => {
    const { directory, slot } = setUp("refuse-new");
    directory.bind(slot(0), "ann");
    directory.bind(slot(1), "bob");
    assert.equal(directory.isTaken("ann"), true);
    assert.equal(directory.bind(slot(1), "ann"), false);
    assert.deepEqual([slot(1).user, directory.userCount], [undefined, 1], "it is not bob any more, either");
    directory.release(slot(0));
    assert.equal(directory.isTaken("ann"), false);
    assert.equal(directory.bind(slot(1), "ann"), true);
  });

  test("that a session brings with its ticket is nobody's until it is bound", () => {
    const { directory, slot } = setUp("refuse-new");
    slot(0).user = "ann";
    assert.equal(directory.isTaken("ann"), false);
    assert.equal(directory.bind(slot(1), "ann"), true);
    assert.equal(directory.bind(slot(0), "ann"), false);
    assert.deepEqual([...directory.user("ann")], [slot(1)]);
  });
});

describe("a group", () => {
  test("is there as long as somebody is in it", () => {
    const { directory, slot } = setUp();
    assert.equal(directory.add(slot(0), "red"), "added");
    assert.equal(directory.add(slot(0), "red"), "there");
    assert.equal(directory.groupCount, 1);
    directory.remove(slot(1), "red");
    assert.deepEqual([...directory.group("red")], [slot(0)]);
    directory.remove(slot(0), "red");
    assert.deepEqual([directory.groupCount, [...directory.group("red")]], [0, []]);
  });

  test("beyond as many as a session may be in does not get it, until it leaves another", () => {
    const { directory, slot } = setUp();
    const additions = ["a", "b", "c", "d"].map((name) => directory.add(slot(0), name));
    assert.deepEqual(additions, ["added", "added", "added", "full"]);
    assert.equal(directory.group("d").size, 0);
    directory.remove(slot(0), "a");
    assert.equal(directory.add(slot(0), "d"), "added");
  });

  test("may be called as a user is", () => {
    const { directory, slot } = setUp();
    directory.bind(slot(0), "red");
    directory.add(slot(1), "red");
    assert.deepEqual([[...directory.user("red")], [...directory.group("red")]], [[slot(0)], [slot(1)]]);
  });
});

/** What the directory must say, kept in the plainest way. */
class Model {
  readonly users = new Map<Slot, string>();
  readonly groups = new Map<Slot, string[]>();

  release(slot: Slot): void {
    this.users.delete(slot);
    this.groups.delete(slot);
  }

  bind(slot: Slot, user: string, policy: UserPolicy): boolean {
    if (this.users.get(slot) === user) return true;
    this.users.delete(slot);
    if (user === "") return true;
    const others = this.named(this.users, user);
    if (policy === "refuse-new" && others.length > 0) return false;
    if (policy === "kick-old") for (const other of others) this.release(other);
    this.users.set(slot, user);
    return true;
  }

  add(slot: Slot, group: string): "added" | "there" | "full" {
    const groups = this.groups.get(slot) ?? [];
    if (groups.includes(group)) return "there";
    if (groups.length >= MAX_GROUPS) return "full";
    this.groups.set(slot, [...groups, group]);
    return "added";
  }

  remove(slot: Slot, group: string): void {
    const groups = (this.groups.get(slot) ?? []).filter((one) => one !== group);
    this.groups.set(slot, groups);
  }

  named(map: ReadonlyMap<Slot, string | string[]>, name: string): Slot[] {
    const has = (value: string | string[]) => (Array.isArray(value) ? value.includes(name) : value === name);
    return [...map].flatMap(([slot, value]) => (has(value) ? [slot] : []));
  }
}

const names = ["", "ann", "bob", "cy", "dee", "eve"];

const anyStep = fc.record({
  what: fc.constantFrom("bind", "add", "add", "add", "remove", "release"),
  index: fc.nat(5),
  name: fc.nat(names.length - 1),
});

test("whoever comes and goes, a directory says what the plainest of records says, and keeps nothing else", () => {
  const byIndex = (slots: Iterable<Slot>) => [...slots].map(({ index }) => index).sort();
  const policies = fc.constantFrom<UserPolicy>("allow", "kick-old", "refuse-new");
  let refusals = 0;
  const check = (policy: UserPolicy, steps: readonly { what: string; index: number; name: number }[]) => {
    const { directory, slot, slots } = setUp(policy);
    const model = new Model();
    for (const { what, index, name } of steps) {
      const one = slot(index);
      const text = names[name] ?? "";
      if (what === "bind") {
        const bound = directory.bind(one, text);
        assert.equal(bound, model.bind(one, text, policy));
        if (!bound) refusals++;
      } else if (what === "add") assert.equal(directory.add(one, text), model.add(one, text));
      else if (what === "remove") {
        directory.remove(one, text);
        model.remove(one, text);
      } else {
        directory.release(one);
        model.release(one);
      }
      for (const known of names) {
        assert.deepEqual(byIndex(directory.user(known)), byIndex(model.named(model.users, known)));
        assert.deepEqual(byIndex(directory.group(known)), byIndex(model.named(model.groups, known)));
      }
      assert.equal(directory.userCount, new Set(model.users.values()).size);
      assert.equal(directory.groupCount, new Set([...model.groups.values()].flat()).size);
      for (const each of slots) {
        assert.equal(each.user, model.users.get(each));
        assert.deepEqual([...(each.groups ?? [])].sort(), [...(model.groups.get(each) ?? [])].sort());
      }
    }
    for (const each of slots) directory.release(each);
    assert.deepEqual([directory.userCount, directory.groupCount], [0, 0]);
  };
  const lives = fc.array(anyStep, { minLength: 20, maxLength: 80 });
  fc.assert(fc.property(policies, lives, check), {
    numRuns: 400,
    seed: Number(process.env.PROPERTY_SEED ?? 20_261_122),
  });
  assert.ok(refusals > 20, `${refusals} were refused`);
});
