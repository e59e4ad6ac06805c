import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PendingInput } from "../../gateway/transports/pending-input.ts";

function textOf({ bytes, start, end }: PendingInput): string {
  return bytes.toString("utf8", start, end);
}

describe("what waits to be received", () => {
  test("is a copy of its own", () => {
    const memory = Buffer.from("..abc..");
    const pending = new PendingInput(memory, 2, 5);
    memory.fill("!");
    assert.deepEqual([textOf(pending), pending.length], ["abc", 3]);
  });

  test("stays whole and in order, however much was received of it when more comes", () => {
    for (let received = 0; received <= 6; received++) {
      for (let more = 0; more <= 40; more++) {
        const pending = new PendingInput(Buffer.from("abcdef"), 0, 6);
        pending.start += received;
        const input = Buffer.from(`..${"0123456789".repeat(4).slice(0, more)}..`);
        pending.append(input, 2, 2 + more);
        pending.append(Buffer.from("xyz"), 0, 2);
        const text = `${"abcdef".slice(received)}${input.toString("utf8", 2, 2 + more)}xy`;
        assert.deepEqual([textOf(pending), pending.length], [text, text.length]);
      }
    }
  });
});
