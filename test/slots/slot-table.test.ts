import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SlotTable } from "../../gateway/slots/slot-table.ts";
import { generationOf, MAX_GENERATION, slotOf } from "../../proto/session-id.ts";

function table(capacity: number): SlotTable {
  const slots = new SlotTable({
    identified: () => undefined,
    presented: () => undefined,
    failed() {},
    established() {},
    received() {},
    control() {},
    faulted() {},
    leaving() {},
    finished() {},
    left() {},
    closed() {},
  });
  slots.resize(capacity);
  return slots;
}

/** Takes a slot that must be there. */
function take(slots: SlotTable) {
  const slot = slots.take();
  assert.ok(slot !== undefined);
  return slot;
}

describe("the slot table", () => {
  test("gives out as many slots as the capacity, and no more", () => {
    const slots = table(3);
    const taken = [take(slots), take(slots), take(slots)];
    assert.equal(new Set(taken).size, 3);
    assert.equal(slots.take(), undefined);
    assert.equal(slots.usedCount, 3);
  });

  test("reuses the slot that has been free the longest", () => {
    const slots = table(3);
    const [first, second] = [take(slots), take(slots)];
    slots.free(second);
    slots.free(first);
    assert.deepEqual(slots.freeList, [2, second.index, first.index]);
  });

  test("finds a session by its whole id, and nobody by a stale one", () => {
    const slots = table(1);
    const slot = take(slots);
    const stale = slot.session;
    assert.equal(slots.find(stale), slot);
    slots.free(slot);
    assert.equal(slots.find(stale), undefined);
    take(slots);
    assert.equal(slots.find(stale), undefined);
    assert.equal(slots.find(0), undefined);
    assert.equal(slots.find(0xffff_ffff), undefined);
  });

  test("counts generations from 1 to 4095 and round again, as unsigned ids", () => {
    const slots = table(1);
    const seen = new Set<number>();
    for (let use = 1; use <= MAX_GENERATION; use++) {
      const slot = take(slots);
      assert.equal(generationOf(slot.session), use);
      assert.equal(slotOf(slot.session), 0);
      assert.ok(slot.session > 0);
      seen.add(slot.session);
      slots.free(slot);
    }
    assert.equal(seen.size, MAX_GENERATION);
    assert.equal(generationOf(take(slots).session), 1);
  });

  test("grows while slots are in use", () => {
    const slots = table(2);
    const first = take(slots);
    slots.resize(4);
    assert.deepEqual(slots.freeList, [1, 2, 3]);
    assert.equal(slots.find(first.session), first);
  });

  test("under a smaller capacity lets nobody in until fewer are used than it allows", () => {
    const slots = table(4);
    const taken = [take(slots), take(slots), take(slots)];
    slots.resize(2);
    assert.equal(slots.take(), undefined);
    for (const slot of taken.slice(0, 1)) slots.free(slot);
    assert.equal(slots.take(), undefined);
    for (const slot of taken.slice(1, 2)) slots.free(slot);
    assert.ok(slots.take() !== undefined);
    assert.equal(slots.take(), undefined);
  });

  test("sweeps the slots whose deadline has come, once, and no others", () => {
    const slots = table(3);
    const [early, late, never] = [take(slots), take(slots), take(slots)];
    slots.arm(early, 100);
    slots.arm(late, 200);
    slots.arm(never, 50);
    slots.disarm(never);
    const swept: number[] = [];
    for (const now of [99, 100, 150, 200, 1000]) slots.sweep(now, (slot) => swept.push(slot.index));
    assert.deepEqual(swept, [early.index, late.index]);
  });

  test("does not carry a deadline over to the next use of the slot", () => {
    const slots = table(1);
    const slot = take(slots);
    slots.arm(slot, 100);
    slots.free(slot);
    take(slots);
    slots.sweep(1000, () => assert.fail("a deadline outlived its session"));
  });
});
