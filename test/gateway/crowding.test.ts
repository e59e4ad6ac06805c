import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Crowding } from "../../gateway/links/crowding.ts";

const KIB = 1024;

describe("a link", () => {
  test("is crowded by frames or bytes that are not acknowledged, each on its own", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 1, bytes: 100 });
    assert.equal(crowding.isCrowded(4096, 1024 * KIB), false);
    assert.equal(crowding.isCrowded(4097, 0), true);
    assert.equal(crowding.isCrowded(0, 1024 * KIB + 1), true);
  });

  test("is not called crowded before its manager has acknowledged anything", () => {
    const crowding = new Crowding();
    assert.equal(crowding.isCrowded(1_000_000, 1_000_000_000), false);
  });

  test("is not called crowded for what a manager acknowledges at once, however much", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 50_000, bytes: 10_000 * KIB });
    assert.equal(crowding.isCrowded(100_000, 20_000 * KIB), false);
    assert.equal(crowding.isCrowded(100_001, 0), true);
    assert.equal(crowding.isCrowded(0, 20_001 * KIB), true);
  });

  test("is called so again after a while in which its manager acknowledges often", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 50_000, bytes: 10_000 * KIB });
    for (let acks = 0; acks < 50; acks++) crowding.acknowledged({ frames: 1000, bytes: 50 * KIB });
    assert.equal(crowding.isCrowded(4097, 0), true);
    assert.equal(crowding.isCrowded(0, 1024 * KIB + 1), true);
  });

  test("is not called so at once again when its manager acknowledges little in between", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 50_000, bytes: 10_000 * KIB });
    crowding.acknowledged({ frames: 1, bytes: 1 });
    assert.equal(crowding.isCrowded(80_000, 16_000 * KIB), false);
    assert.equal(crowding.isCrowded(90_000, 0), true);
    assert.equal(crowding.isCrowded(0, 18_000 * KIB), true);
  });

  test("knows nothing of the epoch before", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 1, bytes: 1 });
    crowding.reset();
    assert.equal(crowding.isCrowded(1_000_000, 0), false);
    assert.equal(crowding.isCrowded(0, 1_000_000_000), false);
  });

  test("is judged by nothing that the manager of the epoch before acknowledged at once", () => {
    const crowding = new Crowding();
    crowding.acknowledged({ frames: 50_000, bytes: 10_000 * KIB });
    crowding.reset();
    crowding.acknowledged({ frames: 1, bytes: 1 });
    assert.equal(crowding.isCrowded(4097, 0), true);
    assert.equal(crowding.isCrowded(0, 1024 * KIB + 1), true);
  });
});
