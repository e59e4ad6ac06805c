import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestBody } from "../../manager-stub/request-body.ts";

describe("the body of a request", () => {
  test("is what came, in whatever pieces", () => {
    const text = JSON.stringify({ text: "grüße".repeat(1000) });
    for (const size of [1, 2, 1023, 1024, 1025, 100_000]) {
      const body = new RequestBody(100_000);
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += size) body.append(bytes.subarray(at, at + size));
      assert.equal(body.toString(), text);
      assert.deepEqual([body.length, body.isTooLong], [bytes.length, false]);
    }
  });

  test("takes at most twice what came of it, and never more than it may be long", () => {
    const body = new RequestBody(10_000);
    for (let length = 1; length <= 10_000; length++) {
      body.append(Buffer.of(length & 0x7f));
      assert.ok(body.memoryBytes <= Math.min(10_000, Math.max(1024, 2 * length)));
    }
    assert.equal(body.isTooLong, false);
    body.append(Buffer.alloc(5_000_000));
    assert.deepEqual([body.isTooLong, body.memoryBytes], [true, 10_000]);
  });
});
