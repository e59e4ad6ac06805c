import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  generationOf,
  MAX_CAPACITY,
  MAX_GENERATION,
  nextGeneration,
  sessionId,
  slotOf,
} from "../../proto/session-id.ts";

test("an id is its generation, shifted by 20 bits, and its slot", () => {
  assert.equal(sessionId(3, 7), 0x00300007);
  assert.equal(sessionId(1, 0), 0x00100000);
  assert.equal(sessionId(4095, 1_048_575), 0xffffffff);
});

test("an id is a u32 that is not 0, and gives back what it was made of", () => {
  const generations = fc.integer({ min: 1, max: MAX_GENERATION });
  const slots = fc.integer({ min: 0, max: MAX_CAPACITY - 1 });
  const check = (generation: number, slot: number) => {
    const id = sessionId(generation, slot);
    assert.ok(Number.isInteger(id) && id > 0 && id <= 0xffffffff);
    assert.deepEqual([generationOf(id), slotOf(id)], [generation, slot]);
  };
  for (const generation of [1, 2047, 2048, MAX_GENERATION]) {
    for (const slot of [0, 1, MAX_CAPACITY - 1]) check(generation, slot);
  }
  fc.assert(fc.property(generations, slots, check));
});

test("any u32 is taken apart, also those that are never a session", () => {
  assert.deepEqual([generationOf(0), slotOf(0)], [0, 0]);
  assert.deepEqual([generationOf(0xfffff), slotOf(0xfffff)], [0, 0xfffff]);
  assert.deepEqual([generationOf(0x80000000), slotOf(0x80000000)], [2048, 0]);
});

test("the generations go round without 0, each once", () => {
  const seen = new Set<number>();
  let generation = 0;
  for (let use = 0; use < MAX_GENERATION; use++) {
    generation = nextGeneration(generation);
    seen.add(generation);
  }
  assert.deepEqual([seen.size, Math.min(...seen), Math.max(...seen)], [MAX_GENERATION, 1, MAX_GENERATION]);
  assert.equal(nextGeneration(generation), 1);
});
