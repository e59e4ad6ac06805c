import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameLog } from "../../proto/frame-log.ts";
import { MAX_NAME_BYTES, namePrefix, readName } from "../../proto/names.ts";
import { anyName, badNames } from "./names.ts";
import { frame, refusal } from "./support.ts";

describe("a name on the link", () => {
  test("is read as it was written, from wherever it lies", () => {
    const written = fc.tuple(anyName, fc.nat(5)).map(([name, before]) => ({
      name: name.toWellFormed(),
      before,
      bytes: Buffer.concat([Buffer.alloc(before, 0xff), namePrefix(name), Buffer.alloc(3, 0xff)]),
    }));
    fc.assert(
      fc.property(written, ({ name, before, bytes }) => {
        const start = before + 1;
        assert.equal(readName(bytes, start, start + bytes.readUInt8(before), "it"), name);
      }),
    );
  });

  test("has at most 128 bytes, at least one, and is UTF-8", () => {
    assert.equal(MAX_NAME_BYTES, 128);
    for (const { name, bytes } of badNames) {
      const read = () => readName(bytes, 0, bytes.length, "the user's name");
      assert.throws(read, refusal("bad-body", /^the user's name /), name);
    }
  });

  test("is one of its own, however much it looks like another", () => {
    const names = ["ann", "Ann", "ann ", "\ufeffann", "a\u0301", "\u00e1"];
    const read = names.map((name) => readName(Buffer.from(name), 0, Buffer.byteLength(name), "it"));
    assert.deepEqual(read, names);
    assert.equal(new Set(read).size, names.length);
  });
});

describe("a frame in two parts", () => {
  const parts: [Buffer, Buffer][] = [
    [Buffer.from("head"), Buffer.from("tail")],
    [Buffer.alloc(0), Buffer.from("tail")],
    [Buffer.from("head"), Buffer.alloc(0)],
    [Buffer.alloc(100, 1), Buffer.alloc(100, 2)],
  ];
  const whole = Buffer.concat(parts.map((both) => frame(7, Buffer.concat(both))));

  test("is as good as one, in a batch", () => {
    const batch = new FrameBatch(64, 2);
    for (const [head, tail] of parts) batch.frame(7, head, tail);
    assert.equal(batch.byteLength, whole.length);
    assert.deepEqual(Buffer.concat(batch.take()), whole);
  });

  test("is as good as one, in a log", () => {
    const log = new FrameLog(64, 2);
    for (const [head, tail] of parts) log.frame(7, head, tail);
    assert.deepEqual([log.appended, log.retainedBytes], [parts.length, whole.length]);
    assert.deepEqual(Buffer.concat(log.takeUnsent()), whole);
  });
});
