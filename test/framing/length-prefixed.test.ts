import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { framing } from "../../gateway/framing/framing.ts";
import { cutAt, hex } from "../proto/support.ts";
import { decoderOf, receive } from "./support.ts";

const MIB = 1024 * 1024;
const nothing = () => assert.fail("a message was handed on");

describe("a length before each message", () => {
  for (const [name, prefix] of [
    ["u16be", "0001"],
    ["u16le", "0100"],
    ["u32be", "00000003"],
    ["u32le", "03000000"],
  ] as const) {
    test(`${name}: a length that counts itself and is less than itself is a bad frame, wherever it is cut`, () => {
      for (let cut = 0; cut < hex(prefix).length; cut++) {
        const received = receive(decoderOf(framing(name, true)), cutAt(hex(prefix), [cut]));
        assert.deepEqual(received, { messages: [], fault: "bad-frame" });
      }
    });
  }

  test("counts itself or does not: the same bytes are another message", () => {
    const bytes = hex("0002 6162");
    assert.deepEqual(receive(decoderOf(framing("u16be")), [bytes]).messages, [hex("6162")]);
    const itself = receive(decoderOf(framing("u16be", true)), [bytes]);
    assert.equal(itself.messages[0]?.length, 0);
  });

  test("is too big by its prefix alone, which need not be followed by anything", () => {
    for (const [name, prefix] of [
      ["u16be", "0101"],
      ["u16le", "0101"],
      ["u32be", "ffffffff"],
      ["u32le", "ffffffff"],
    ] as const) {
      assert.equal(
        decoderOf(framing(name), 256).push(hex(prefix), 0, hex(prefix).length, nothing),
        "too-big",
      );
    }
  });

  test("an empty message is handed on as soon as its prefix is whole", () => {
    const decoder = decoderOf(framing("u32le"));
    assert.deepEqual(receive(decoder, [hex("000000")]).messages, []);
    assert.deepEqual(receive(decoder, [hex("00")]).messages, [hex("")]);
  });

  test("a message whose prefix alone was cut is not copied", () => {
    const decoder = decoderOf(framing("u32be"));
    decoder.push(hex("0000"), 0, 2, nothing);
    const rest = hex("0002 6162");
    let memory: Buffer | undefined;
    decoder.push(rest, 0, rest.length, (bytes) => {
      memory = bytes;
      return true;
    });
    assert.equal(memory, rest);
  });

  test("the longest payload that fits is encoded, and a longer one is our own fault", () => {
    for (const [one, max] of [
      [framing("u16be"), 65_535],
      [framing("u16le", true), 65_533],
    ] as const) {
      assert.equal(one.maxPayloadBytes, max);
      const longest = Buffer.alloc(max, 7);
      assert.deepEqual(receive(decoderOf(one, max), [one.encode(longest)]).messages, [longest]);
      assert.throws(() => one.encode(Buffer.alloc(max + 1)), RangeError);
    }
    assert.equal(framing("u32be").maxPayloadBytes, 4_294_967_295);
    assert.equal(framing("u32le", true).maxPayloadBytes, 4_294_967_291);
  });
});

describe("the memory of messages that are cut", () => {
  const arrayBuffers = () => process.memoryUsage().arrayBuffers;

  test("follows what came, not what was announced", () => {
    const announced = hex("00100000 ff");
    const before = arrayBuffers();
    const decoders = Array.from({ length: 1000 }, () => decoderOf(framing("u32be"), MIB));
    for (const decoder of decoders) decoder.push(announced, 0, announced.length, nothing);
    assert.ok(arrayBuffers() - before < MIB, `${arrayBuffers() - before} bytes`);
    assert.ok(decoders.every((decoder) => decoder.pendingBytes === 5));
  });

  test("is nothing while only the prefix was cut", () => {
    const prefix = hex("00100000");
    const decoders = Array.from({ length: 1000 }, () => decoderOf(framing("u32be"), MIB));
    const before = arrayBuffers();
    for (const decoder of decoders) decoder.push(prefix, 0, prefix.length, nothing);
    assert.ok(arrayBuffers() - before < 16 * decoders.length, `${arrayBuffers() - before} bytes`);
    assert.ok(decoders.every((decoder) => decoder.pendingBytes === 4));
  });

  test("is exactly the message's own once it is whole, however slowly it came", () => {
    const decoder = decoderOf(framing("u32be"), MIB);
    const message = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
    const memory: Buffer[] = [];
    for (const byte of framing("u32be").encode(message)) {
      decoder.push(Buffer.of(byte), 0, 1, (bytes, start, end) => {
        assert.deepEqual(bytes.subarray(start, end), message);
        return memory.push(bytes) > 0;
      });
    }
    assert.deepEqual(
      memory.map((bytes) => bytes.buffer.byteLength),
      [5000],
    );
  });
});
