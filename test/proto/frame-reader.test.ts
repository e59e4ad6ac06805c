import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FromManager, fromManagerBounds } from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import type { ProtocolErrorCode } from "../../proto/protocol-error.ts";
import { collectingReader, cutAt, frame, header, hex, refusal, sessionFrame } from "./support.ts";

const MIB = 1024 * 1024;
const { Ack, Drop, Msg, MsgAll, Registered, Shutdown } = FromManager;

/** Frames with and without a body, beside each other in every order that matters. */
const conversation = [
  { type: Msg, data: hex("07003000 68656c6c6f") },
  { type: Shutdown, data: Buffer.alloc(0) },
  { type: MsgAll, data: Buffer.alloc(0) },
  { type: MsgAll, data: hex("ff") },
  { type: Drop, data: hex("07003000") },
];
const conversationBytes = Buffer.concat(conversation.map(({ type, data }) => frame(type, data)));

function bufferBytes(): number {
  return process.memoryUsage().arrayBuffers;
}

describe("frames out of a stream", () => {
  test("frames that arrive in one read are handed on in order", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, MIB);
    reader.push(conversationBytes);
    assert.deepEqual(frames, conversation);
    assert.equal(reader.heldBytes, 0);
  });

  test("frames may be cut at any byte", () => {
    for (let cut = 0; cut <= conversationBytes.length; cut++) {
      const { reader, frames } = collectingReader(fromManagerBounds, MIB);
      for (const piece of cutAt(conversationBytes, [cut])) reader.push(piece);
      assert.deepEqual(frames, conversation, `cut at ${cut}`);
      assert.equal(reader.heldBytes, 0);
    }
  });

  test("frames may be cut at any two bytes", () => {
    for (let first = 0; first <= conversationBytes.length; first++) {
      for (let second = first; second <= conversationBytes.length; second++) {
        const { reader, frames } = collectingReader(fromManagerBounds, MIB);
        for (const piece of cutAt(conversationBytes, [first, second])) reader.push(piece);
        assert.equal(frames.length, conversation.length, `cut at ${first} and ${second}`);
        for (const [index, { data }] of frames.entries())
          assert.ok(data.equals(conversation[index]?.data ?? data));
      }
    }
  });

  test("frames may arrive byte by byte", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, MIB);
    for (const byte of conversationBytes) reader.push(Buffer.of(byte));
    assert.deepEqual(frames, conversation);
  });

  test("a frame without a body is handed on as soon as its header is whole", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, MIB);
    const bytes = frame(MsgAll);
    reader.push(bytes.subarray(0, 7));
    assert.equal(frames.length, 0);
    reader.push(bytes.subarray(7));
    assert.deepEqual(frames, [{ type: MsgAll, data: Buffer.alloc(0) }]);
  });

  test("only the bytes that were read count, not the rest of the buffer", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, MIB);
    const [first, second] = [frame(MsgAll, hex("01")), frame(MsgAll, hex("02"))];
    reader.push(Buffer.concat([first, second]), first.length);
    assert.equal(frames.length, 1);
    reader.push(Buffer.concat([first.subarray(0, 3), second]), 3);
    assert.equal(reader.heldBytes, 3);
    reader.push(first.subarray(3));
    assert.deepEqual(frames[1], { type: MsgAll, data: hex("01") });
  });
});

describe("where a frame's bytes lie", () => {
  /** Reads `pieces` and tells the buffers in which the frames were. */
  function buffersOf(pieces: readonly Buffer[]): Buffer[] {
    const buffers: Buffer[] = [];
    const reader = new FrameReader(fromManagerBounds, MIB, (_type, bytes) => buffers.push(bytes));
    for (const piece of pieces) reader.push(piece);
    return buffers;
  }

  test("a frame that lies whole in the input is not copied", () => {
    assert.deepEqual(
      buffersOf([conversationBytes]).map((buffer) => buffer === conversationBytes),
      conversation.map(() => true),
    );
  });

  test("a frame that was cut has a buffer of its own, which the next read does not touch", () => {
    const kept: Buffer[] = [];
    const reader = new FrameReader(fromManagerBounds, MIB, (_type, bytes, start, end) => {
      kept.push(bytes.subarray(start, end));
    });
    const shared = Buffer.alloc(16);
    const bytes = Buffer.concat([frame(MsgAll, hex("0102030405")), frame(MsgAll, hex("0a0b0c0d0e"))]);
    for (let from = 0; from < bytes.length; from += 5) {
      const length = bytes.copy(shared, 0, from, from + 5);
      reader.push(shared, length);
    }
    assert.deepEqual(kept, [hex("0102030405"), hex("0a0b0c0d0e")]);
  });
});

describe("the memory of a frame that was cut", () => {
  /** Reads frames of these sizes, each cut in two, and tells the memory in which each was. */
  function memories(sizes: readonly number[], after: (reader: FrameReader, index: number) => void) {
    const found: ArrayBufferLike[] = [];
    const reader = new FrameReader(fromManagerBounds, MIB, (_type, bytes, start, end) => {
      found.push(bytes.buffer);
      assert.ok(bytes.subarray(start, end).every((byte) => byte === found.length));
    });
    for (const [index, size] of sizes.entries()) {
      const bytes = frame(MsgAll, Buffer.alloc(size, index + 1));
      reader.push(bytes.subarray(0, 9));
      reader.push(bytes.subarray(9));
      after(reader, index);
    }
    return found;
  }

  test("is used again once nobody needs it any more", () => {
    const found = memories([5, 7, 60_000, 3], (reader) => reader.reuse());
    assert.equal(new Set(found.slice(1)).size, 1);
  });

  test("is nobody else's as long as it may be needed", () => {
    const found = memories([5, 7, 60_000, 3], (reader, index) => {
      if (index !== 1) reader.reuse();
    });
    assert.equal(found[2] === found[1], false);
    assert.equal(found[3], found[2]);
  });

  test("is of the frame's own size where nobody ever says so, and for one that is large", () => {
    const sizes = [5, 7, 70_000];
    assert.deepEqual(
      memories(sizes, () => {}).map(({ byteLength }) => byteLength),
      sizes.map((size) => size + 8),
    );
    const large = memories([5, 70_000, 5], (reader) => reader.reuse());
    assert.equal(large[1]?.byteLength, 70_008);
    assert.notEqual(large[2], large[1]);
  });
});

describe("what is held of an unfinished frame", () => {
  test("exactly the bytes that came, and nothing once it is handed on", () => {
    const { reader } = collectingReader(fromManagerBounds, MIB);
    const bytes = sessionFrame(Msg, 0x00300007, hex("68656c6c6f"));
    for (let held = 1; held < bytes.length; held++) {
      reader.push(bytes.subarray(held - 1, held));
      assert.equal(reader.heldBytes, held);
    }
    reader.push(bytes.subarray(-1));
    assert.equal(reader.heldBytes, 0);
  });

  test("the place for a body is made once its header is whole and within bounds", () => {
    const { reader } = collectingReader(fromManagerBounds, 64 * MIB);
    const before = bufferBytes();
    reader.push(header(MsgAll, 48 * MIB).subarray(0, 7));
    assert.ok(bufferBytes() - before < MIB);
    reader.push(header(MsgAll, 48 * MIB).subarray(7));
    assert.ok(bufferBytes() - before > 40 * MIB);
    assert.equal(reader.heldBytes, 8);
    reader.stop();
  });

  test("nothing is made for a header that is out of bounds", () => {
    for (const cut of [0, 7]) {
      const { reader, frames } = collectingReader(fromManagerBounds, 64 * MIB);
      const before = bufferBytes();
      const lying = Buffer.concat([header(MsgAll, 0xffffffff), Buffer.alloc(100)]);
      reader.push(lying.subarray(0, cut));
      assert.throws(() => reader.push(lying.subarray(cut)), refusal("frame-too-big", /4294967295/));
      assert.ok(bufferBytes() - before < MIB);
      assert.deepEqual([reader.heldBytes, frames.length], [0, 0]);
    }
  });
});

describe("headers that are refused", () => {
  const refused: readonly [string, Buffer, ProtocolErrorCode][] = [
    ["a type whose low byte is a known one", header(0x100, 0), "unknown-type"],
    ["a type that nobody sends", header(40, 0), "unknown-type"],
    ["a payload over maxFrame", header(MsgAll, MIB + 1), "frame-too-big"],
    ["a map over 65,536 bytes", header(Registered, 64 * 1024 + 1), "frame-too-big"],
    ["a map without a byte", header(Registered, 0), "bad-length"],
    ["a session frame without a session", header(Msg, 3), "bad-length"],
    ["an Ack that is too short", header(Ack, 7), "bad-length"],
    ["an Ack that is too long", header(Ack, 9), "bad-length"],
  ];
  for (const [what, bytes, code] of refused) {
    test(`${what}, wherever its header is cut, and what came before it is handed on`, () => {
      for (let cut = 0; cut < 8; cut++) {
        const { reader, frames } = collectingReader(fromManagerBounds, MIB);
        reader.push(Buffer.concat([conversationBytes, bytes.subarray(0, cut)]));
        assert.deepEqual(frames, conversation);
        assert.throws(() => reader.push(bytes.subarray(cut)), refusal(code));
        assert.equal(reader.heldBytes, 0);
      }
    });
  }

  test("a reader that refused a header reads no more", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, MIB);
    assert.throws(
      () => reader.push(Buffer.concat([header(40, 0), conversationBytes])),
      refusal("unknown-type"),
    );
    reader.push(conversationBytes);
    assert.deepEqual([frames.length, reader.heldBytes], [0, 0]);
  });
});

describe("maxFrame", () => {
  const small = frame(MsgAll, Buffer.alloc(64, 1));
  const large = frame(MsgAll, Buffer.alloc(65, 2));

  test("raised by a frame it holds for the next one, also in the same read", () => {
    for (const pieces of [
      [Buffer.concat([small, large])],
      [small, large],
      [...small, ...large].map((b) => Buffer.of(b)),
    ]) {
      const lengths: number[] = [];
      const reader = new FrameReader(fromManagerBounds, 64, (_type, _bytes, start, end) => {
        lengths.push(end - start);
        reader.maxFrame = 65;
      });
      for (const piece of pieces) reader.push(piece);
      assert.deepEqual(lengths, [64, 65]);
    }
  });

  test("not raised it holds", () => {
    const { reader, frames } = collectingReader(fromManagerBounds, 64);
    assert.throws(() => reader.push(Buffer.concat([small, large])), refusal("frame-too-big"));
    assert.equal(frames.length, 1);
  });
});

describe("stopping", () => {
  test("in the middle of a read keeps the rest of it back", () => {
    for (const cut of [0, 3, 8, 10]) {
      const types: number[] = [];
      const reader = new FrameReader(fromManagerBounds, MIB, (type) => {
        types.push(type);
        reader.stop();
      });
      for (const piece of cutAt(conversationBytes, [cut])) reader.push(piece);
      reader.push(conversationBytes);
      assert.deepEqual([types, reader.heldBytes], [[Msg], 0], `cut at ${cut}`);
    }
  });

  test("lets go of a frame that is half there", () => {
    for (const half of [3, 8, 12]) {
      const { reader, frames } = collectingReader(fromManagerBounds, MIB);
      reader.push(conversationBytes.subarray(0, half));
      reader.stop();
      assert.equal(reader.heldBytes, 0);
      reader.push(conversationBytes.subarray(half));
      assert.deepEqual([frames.length, reader.heldBytes], [0, 0]);
    }
  });

  test("an error of who takes the frames comes out, and nothing more is read", () => {
    for (const cut of [0, 10]) {
      let taken = 0;
      const reader = new FrameReader(fromManagerBounds, MIB, () => {
        taken++;
        throw new Error("the sink's own");
      });
      assert.throws(() => {
        for (const piece of cutAt(conversationBytes, [cut])) reader.push(piece);
      }, /^Error: the sink's own$/);
      reader.push(conversationBytes);
      assert.deepEqual([taken, reader.heldBytes], [1, 0]);
    }
  });
});
