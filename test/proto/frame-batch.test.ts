import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { frame, hex, sessionFrame } from "./support.ts";

/** A body that differs for each `mark`. */
function body(length: number, mark: number): Buffer {
  return Buffer.alloc(length, 1 + (mark % 255));
}

describe("frames to bytes", () => {
  test("a frame is its type, the length of its body, and its body", () => {
    const batch = new FrameBatch();
    batch.frame(0x10, hex("81a161c0"));
    batch.frame(4, Buffer.alloc(0));
    assert.deepEqual(Buffer.concat(batch.take()), hex("10000000 04000000 81a161c0  04000000 00000000"));
  });

  test("a session frame has the session before its body, which may be part of a buffer", () => {
    const batch = new FrameBatch();
    batch.sessionFrame(2, 0xfff80001, hex("0102030405"), 1, 4);
    batch.sessionFrame(1, 0x00300007, hex("ff"));
    batch.sessionFrame(2, 0x00300007);
    batch.sessionFrame(2, 0x00300007, hex("0102"), 2);
    const bytes = hex(`02000000 07000000 0100f8ff 020304
      01000000 05000000 07003000 ff  02000000 04000000 07003000  02000000 04000000 07003000`);
    assert.deepEqual(Buffer.concat(batch.take()), bytes);
  });

  test("what is appended is a copy", () => {
    const batch = new FrameBatch();
    const bytes = hex("010203");
    batch.frame(1, bytes);
    batch.sessionFrame(0, 1, bytes);
    bytes.fill(0xff);
    assert.deepEqual(
      Buffer.concat(batch.take()),
      Buffer.concat([frame(1, hex("010203")), sessionFrame(0, 1, hex("010203"))]),
    );
  });

  test("whatever the sizes, the bytes are those of the frames in order, and are counted exactly", () => {
    const frames = fc.array(fc.record({ length: fc.nat(200), session: fc.boolean(), take: fc.boolean() }));
    const check = (appended: readonly { length: number; session: boolean; take: boolean }[]) => {
      const batch = new FrameBatch(64, 2);
      let expected: Buffer[] = [];
      for (const [mark, { length, session, take }] of appended.entries()) {
        const bytes = body(length, mark);
        if (session) batch.sessionFrame(2, mark, bytes);
        else batch.frame(1, bytes);
        expected.push(session ? sessionFrame(2, mark, bytes) : frame(1, bytes));
        assert.equal(batch.byteLength, Buffer.concat(expected).length);
        if (!take) continue;
        const taken = batch.take();
        assert.equal(batch.byteLength, 0);
        assert.deepEqual(Buffer.concat(taken), Buffer.concat(expected));
        batch.recycle(taken);
        expected = [];
      }
      assert.deepEqual(Buffer.concat(batch.take()), Buffer.concat(expected));
    };
    fc.assert(fc.property(frames, check));
  });
});

describe("chunks", () => {
  /** The lengths of the chunks that frames with bodies of `lengths` end up in. */
  function chunkLengths(...lengths: number[]): number[] {
    const batch = new FrameBatch(64);
    for (const [mark, length] of lengths.entries()) batch.frame(1, body(length, mark));
    return batch.take().map((chunk) => chunk.length);
  }

  test("frames share a chunk as long as it has room for all of the next one", () => {
    assert.deepEqual(chunkLengths(24, 24), [64]);
    assert.deepEqual(chunkLengths(24, 25), [32, 33]);
    assert.deepEqual(chunkLengths(24, 24, 0), [64, 8]);
    assert.deepEqual(chunkLengths(49, 0), [57, 8]);
  });

  test("a frame that fills a chunk exactly has no need of another", () => {
    assert.deepEqual(chunkLengths(56), [64]);
  });

  test("a frame that is larger than a chunk has one of its own, in its place", () => {
    assert.deepEqual(chunkLengths(57), [65]);
    assert.deepEqual(chunkLengths(1000, 2), [1008, 10]);
    assert.deepEqual(chunkLengths(2, 1000, 2), [10, 1008, 10]);
    assert.deepEqual(chunkLengths(1000, 1000), [1008, 1008]);
  });

  test("an empty batch has none", () => {
    const batch = new FrameBatch();
    assert.deepEqual([batch.take(), batch.byteLength], [[], 0]);
  });

  test("a chunk that was taken is never written again unless it is given back", () => {
    const batch = new FrameBatch(64);
    const taken: Buffer[] = [];
    const expected: Buffer[] = [];
    for (let mark = 0; mark < 50; mark++) {
      batch.frame(1, body(mark, mark));
      expected.push(frame(1, body(mark, mark)));
      if (mark % 3 === 0) taken.push(...batch.take());
    }
    taken.push(...batch.take());
    assert.deepEqual(Buffer.concat(taken), Buffer.concat(expected));
  });

  test("a chunk that was given back is written again, over its whole length", () => {
    const batch = new FrameBatch(64);
    batch.frame(1, body(3, 1));
    const first = batch.take();
    batch.frame(1, body(3, 2));
    batch.recycle(first);
    batch.take();
    batch.frame(1, body(56, 3));
    const [again, ...more] = batch.take();
    assert.equal(again?.buffer, first[0]?.buffer);
    assert.deepEqual([again?.length, more], [64, []]);
  });

  test("no more than maxSpare are kept", () => {
    const batch = new FrameBatch(64, 2);
    for (let mark = 0; mark < 5; mark++) batch.frame(1, body(56, mark));
    const first = batch.take();
    assert.equal(first.length, 5);
    batch.recycle(first);
    for (let mark = 0; mark < 5; mark++) batch.frame(1, body(56, mark));
    const old = new Set(first.map((chunk) => chunk.buffer));
    assert.equal(batch.take().filter((chunk) => old.has(chunk.buffer)).length, 2);
  });

  test("the chunk of an oversize frame is not kept", () => {
    const batch = new FrameBatch(64);
    batch.frame(1, body(500, 1));
    const first = batch.take();
    batch.recycle(first);
    for (let mark = 0; mark < 4; mark++) {
      batch.frame(1, body(56, mark));
      assert.deepEqual(batch.take(), [frame(1, body(56, mark))]);
    }
    assert.deepEqual(first, [frame(1, body(500, 1))]);
  });
});

test("clearing forgets what was not taken, and uses its chunks again", () => {
  const batch = new FrameBatch(64, 8);
  batch.frame(1, body(56, 1));
  const [first] = batch.take();
  batch.recycle(first === undefined ? [] : [first]);
  batch.frame(1, body(40, 2));
  batch.frame(1, body(40, 3));
  batch.clear();
  assert.deepEqual([batch.byteLength, batch.take()], [0, []]);
  const old: ArrayBufferLike[] = [];
  for (let mark = 0; mark < 3; mark++) {
    batch.frame(1, body(56, mark));
    const taken = batch.take();
    assert.deepEqual(taken, [frame(1, body(56, mark))]);
    old.push(...taken.map((chunk) => chunk.buffer));
  }
  assert.ok(first !== undefined && old.includes(first.buffer));
});
