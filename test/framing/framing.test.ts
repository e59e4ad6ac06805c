import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Framing, framing, framingNames, type MessageSink } from "../../gateway/framing/framing.ts";
import { cutAnywhere, cutAt, hex } from "../proto/support.ts";
import { decoderOf, framings, receive } from "./support.ts";

/** Messages of every kind that matters, beside each other; no line feed or trailing return in any. */
const messages = [hex("68656c6c6f"), hex(""), hex(""), hex("ff"), hex("00010002"), hex("0d31")];

function stream(one: Framing): Buffer {
  return Buffer.concat(messages.map((message) => one.encode(message)));
}

/** A sink that must not be called. */
const nothing: MessageSink = () => assert.fail("a message was handed on");

describe("the framings", () => {
  test("are found by name, and 'none' makes every read a message and leaves payloads alone", () => {
    for (const name of framingNames) assert.equal(framing(name).name, name);
    const payload = hex("010203");
    assert.equal(framing("none").decoder(1), undefined);
    assert.equal(framing("none").encode(payload), payload);
    assert.equal(framing("none").maxPayloadBytes, Number.POSITIVE_INFINITY);
  });

  for (const [title, one, encoded] of [
    ["u16be", framing("u16be"), "0003 616263"],
    ["u16le", framing("u16le"), "0300 616263"],
    ["u32be", framing("u32be"), "00000003 616263"],
    ["u32le", framing("u32le"), "03000000 616263"],
    ["u16be, counting itself", framing("u16be", true), "0005 616263"],
    ["u16le, counting itself", framing("u16le", true), "0500 616263"],
    ["u32be, counting itself", framing("u32be", true), "00000007 616263"],
    ["u32le, counting itself", framing("u32le", true), "07000000 616263"],
    ["line", framing("line"), "616263 0a"],
  ] as const) {
    test(`${title} is ${encoded} on the wire, both ways`, () => {
      assert.deepEqual(one.encode(Buffer.from("abc")), hex(encoded));
      assert.deepEqual(receive(decoderOf(one), [hex(encoded)]).messages, [Buffer.from("abc")]);
    });
  }

  for (const { title, framing: one } of framings) {
    describe(title, () => {
      const bytes = stream(one);

      test("finds every message of one read, in order and where it lies", () => {
        const places: Buffer[] = [];
        const decoder = decoderOf(one);
        const found: Buffer[] = [];
        assert.equal(
          decoder.push(bytes, 0, bytes.length, (memory, start, end) => {
            places.push(memory);
            found.push(memory.subarray(start, end));
            return true;
          }),
          bytes.length,
        );
        assert.deepEqual(found, messages);
        assert.ok(places.every((memory) => memory === bytes));
        assert.equal(decoder.pendingBytes, 0);
      });

      test("may be cut at any two bytes, in memory that is used again", () => {
        for (let first = 0; first <= bytes.length; first++) {
          for (let second = first; second <= bytes.length; second++) {
            const decoder = decoderOf(one);
            const received = receive(decoder, cutAt(bytes, [first, second]));
            assert.equal(received.fault, undefined);
            assert.equal(received.messages.length, messages.length, `cut at ${first} and ${second}`);
            assert.deepEqual(Buffer.concat(received.messages), Buffer.concat(messages));
            assert.equal(decoder.pendingBytes, 0);
          }
        }
      });

      test("may come byte by byte, and holds exactly what is not yet whole", () => {
        const decoder = decoderOf(one);
        const encoded = one.encode(hex("0102030405"));
        for (let length = 1; length < encoded.length; length++) {
          assert.equal(decoder.push(encoded.subarray(length - 1, length), 0, 1, nothing), 1);
          assert.equal(decoder.pendingBytes, length);
        }
        assert.deepEqual(receive(decoder, [encoded.subarray(-1)]).messages, [hex("0102030405")]);
        assert.equal(decoder.pendingBytes, 0);
      });

      test("reads what was read and nothing behind it", () => {
        const decoder = decoderOf(one);
        const encoded = one.encode(Buffer.from("abc"));
        const memory = Buffer.concat([encoded, encoded]);
        const found: string[] = [];
        const sink: MessageSink = (from, start, end) => found.push(from.toString("latin1", start, end)) > 0;
        for (const length of [encoded.length - 1, 0]) decoder.push(memory, 0, length, sink);
        assert.deepEqual(found, []);
        decoder.push(encoded.subarray(-1), 0, 1, sink);
        assert.deepEqual(found, ["abc"]);
      });

      test("takes the longest message that is allowed, and no longer one, wherever it is cut", () => {
        const longest = Buffer.alloc(20, "x");
        const allowed = one.encode(longest);
        const refused = one.encode(Buffer.alloc(21, "x"));
        for (let cut = 0; cut <= allowed.length; cut++) {
          const received = receive(decoderOf(one, 20), cutAt(allowed, [cut]));
          assert.deepEqual(received, { messages: [longest], fault: undefined });
          const tooBig = receive(decoderOf(one, 20), cutAt(refused, [cut]));
          assert.deepEqual(tooBig, { messages: [], fault: "too-big" });
        }
      });

      test("delivers what came before a message that is too big, and nothing after it", () => {
        const decoder = decoderOf(one, 4);
        const input = Buffer.concat([
          one.encode(hex("01")),
          one.encode(hex("0202020202")),
          one.encode(hex("03")),
        ]);
        assert.deepEqual(receive(decoder, [input]), { messages: [hex("01")], fault: "too-big" });
        assert.equal(decoder.pendingBytes, 0);
        assert.equal(decoder.push(input, 0, input.length, nothing), "too-big");
      });

      test("stops behind each message at which it is told to, and goes on from there", () => {
        for (let cut = 0; cut <= bytes.length; cut++) {
          const decoder = decoderOf(one);
          const found: Buffer[] = [];
          for (const piece of cutAt(bytes, [cut])) {
            for (let from = 0; from < piece.length; ) {
              const before = found.length;
              const taken = decoder.push(piece, from, piece.length, (memory, start, end) => {
                found.push(Buffer.from(memory.subarray(start, end)));
                return false;
              });
              assert.ok(typeof taken === "number" && taken > from);
              assert.ok(found.length <= before + 1);
              if (taken < piece.length) assert.equal(decoder.pendingBytes, 0);
              from = taken;
            }
          }
          assert.deepEqual(found, messages);
        }
      });

      test("whatever the messages and the cuts, the same messages come out", () => {
        const payload = fc.uint8Array({ maxLength: 300 }).map((values) => {
          const message = Buffer.from(values);
          return one.name === "line" ? withoutLineEnds(message) : message;
        });
        const check = (sent: readonly Buffer[], random: readonly number[]) => {
          const decoder = decoderOf(one);
          const input = Buffer.concat(sent.map((message) => one.encode(message)));
          const received = receive(decoder, cutAnywhere(input, random));
          assert.deepEqual(received, { messages: sent, fault: undefined });
          assert.equal(decoder.pendingBytes, 0);
        };
        fc.assert(
          fc.property(fc.array(payload, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), check),
          { seed: 7301, numRuns: 300 },
        );
      });

      test("whatever bytes come, the cuts make no difference", () => {
        const check = (values: Uint8Array, random: readonly number[]) => {
          const input = Buffer.from(values);
          const whole = receive(decoderOf(one, 6), [input]);
          assert.deepEqual(receive(decoderOf(one, 6), cutAnywhere(input, random)), whole);
        };
        // Bytes that are often lengths, line ends and zeroes.
        const byte = fc.oneof(fc.nat(8), fc.constantFrom(0x0a, 0x0d, 0xff));
        const input = fc.array(byte, { maxLength: 40 }).map((values) => Uint8Array.from(values));
        fc.assert(fc.property(input, fc.array(fc.nat(), { maxLength: 12 }), check), {
          seed: 7302,
          numRuns: 500,
        });
      });
    });
  }
});

function withoutLineEnds(message: Buffer): Buffer {
  return Buffer.from(message.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte)));
}
