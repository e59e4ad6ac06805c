import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Unread } from "../../gateway/slots/unread.ts";

function keep(messages: readonly Buffer[]): Unread {
  const [first = Buffer.alloc(0), ...others] = messages;
  // As messages come: in memory that is used again.
  const shared = Buffer.alloc(Math.max(...messages.map(({ length }) => length)) + 2);
  const put = (message: Buffer) => {
    shared.fill("!");
    message.copy(shared, 1);
    return [shared, 1, 1 + message.length] as const;
  };
  const unread = new Unread(...put(first));
  for (const message of others) unread.add(...put(message));
  shared.fill("!");
  return unread;
}

function messagesOf(unread: Unread): Buffer[] {
  const messages: Buffer[] = [];
  unread.handOn((bytes, start, end) => {
    messages.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  });
  return messages;
}

describe("what a client has said before it is in", () => {
  test("stays the messages that it was, in order", () => {
    const lengths = fc.oneof(fc.constant(0), fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384));
    const message = fc.tuple(lengths, fc.nat(255)).map(([length, byte]) => Buffer.alloc(length, byte));
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 20 }), (messages) => {
        const unread = keep(messages);
        assert.deepEqual(unread.joined(), Buffer.concat(messages));
        assert.deepEqual(messagesOf(unread), messages);
      }),
    );
  });

  test("is handed on as long as more is wanted, and the next time from there", () => {
    const unread = keep(["one", "", "two", "three"].map((text) => Buffer.from(text)));
    const taken: string[] = [];
    const takeUpTo = (most: number) =>
      unread.handOn((bytes, start, end) => taken.push(bytes.toString("utf8", start, end)) < most);
    assert.deepEqual([takeUpTo(2), taken], [false, ["one", ""]]);
    assert.equal(String(unread.joined()), "twothree");
    unread.add(Buffer.from("four"), 0, 4);
    assert.deepEqual([takeUpTo(4), taken.slice(2)], [false, ["two", "three"]]);
    assert.deepEqual([takeUpTo(5), taken.slice(4)], [true, ["four"]]);
    assert.deepEqual([takeUpTo(9), unread.joined().length], [true, 0]);
  });

  test("may be a message of megabytes", () => {
    const messages = [Buffer.alloc(5_000_000, "a"), Buffer.from("b")];
    assert.deepEqual(messagesOf(keep(messages)), messages);
  });

  test("takes at most twice what it weighs, however many messages it is", () => {
    const empty = Buffer.alloc(0);
    assert.ok(keep(Array(65_536).fill(empty)).memoryBytes <= 2 * 65_536);
    const short = Array<Buffer>(10_000).fill(Buffer.from("ab"));
    assert.ok(keep(short).memoryBytes <= 2 * 30_000);
  });

  test("takes no part of Node's pool, a slab of which a few bytes would keep", () => {
    keep([Buffer.from("hello"), Buffer.from("you")]).handOn(({ buffer }) => {
      assert.ok(buffer.byteLength <= 64, `${buffer.byteLength} bytes`);
      return true;
    });
  });
});
