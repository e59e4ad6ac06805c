import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TokenBucket } from "../../gateway/guard/token-bucket.ts";

describe("a token bucket", () => {
  test("gives its burst at once and then what comes in", () => {
    const bucket = new TokenBucket(4, 2, 1000);
    assert.deepEqual([bucket.take(1000), bucket.take(1000), bucket.take(1000)], [true, true, false]);
    assert.deepEqual([bucket.take(1249), bucket.take(1250), bucket.take(1250)], [false, true, false]);
  });

  test("holds no more than its burst, however long it waits", () => {
    const bucket = new TokenBucket(4, 2, 0);
    const taken = [0, 1, 2, 3].map(() => bucket.take(1_000_000));
    assert.deepEqual(taken, [true, true, false, false]);
  });

  test("takes nothing when it can't give all that was asked for", () => {
    const bucket = new TokenBucket(1, 10, 0);
    assert.equal(bucket.take(0, 11), false);
    assert.equal(bucket.take(0, 10), true);
    assert.equal(bucket.take(0), false);
  });
});
