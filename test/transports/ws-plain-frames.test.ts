import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type PlainFrameSink, readPlainFrames } from "../../gateway/transports/ws-plain-frames.ts";
import { clientFrame, Opcode } from "../front/raw-web.ts";

const MAX_PAYLOAD = 70_000;

/** Writes down what it hears, and goes on until it has heard `most`. */
class Heard implements PlainFrameSink {
  readonly list: string[] = [];
  readonly #most: number;

  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  plainMessage(bytes: Buffer, start: number, end: number, isBinary: boolean): boolean {
    return this.#hear(isBinary ? "binary" : "text", bytes.toString("latin1", start, end));
  }

  plainControl(bytes: Buffer, start: number, end: number, isPing: boolean): boolean {
    return this.#hear(isPing ? "ping" : "pong", bytes.toString("latin1", start, end));
  }

  #hear(kind: string, payload: string): boolean {
    this.list.push(`${kind} ${payload}`);
    return this.list.length < this.#most;
  }
}

function read(bytes: Buffer, heard = new Heard(), maxPayload = MAX_PAYLOAD): [number, string[]] {
  return [readPlainFrames(bytes, 0, bytes.length, maxPayload, heard), heard.list];
}

describe("plain frames", () => {
  it("are read one behind the other", () => {
    const frames = [
      clientFrame(Opcode.binary, "one"),
      clientFrame(Opcode.text, "zwei"),
      clientFrame(Opcode.ping, "p"),
      clientFrame(Opcode.pong, ""),
      clientFrame(Opcode.binary, ""),
    ];
    const bytes = Buffer.concat(frames);
    assert.deepEqual(read(bytes), [bytes.length, ["binary one", "text zwei", "ping p", "pong ", "binary "]]);
  });

  for (const length of [125, 126, 127, 65_535]) {
    it(`may have ${length} bytes`, () => {
      const bytes = clientFrame(Opcode.binary, "x".repeat(length));
      assert.deepEqual(read(bytes), [bytes.length, [`binary ${"x".repeat(length)}`]]);
    });
  }

  it("are left, like everything behind them, when they are not whole, at every byte", () => {
    const first = clientFrame(Opcode.binary, "one");
    const second = clientFrame(Opcode.binary, "x".repeat(130));
    const both = Buffer.concat([first, second]);
    for (let cut = first.length; cut < both.length; cut++) {
      const bytes = Buffer.from(both.subarray(0, cut));
      assert.deepEqual(read(bytes), [first.length, ["binary one"]]);
      assert.deepEqual(bytes.subarray(first.length), both.subarray(first.length, cut));
    }
  });

  const others: [string, Buffer][] = [
    ["a fragment", clientFrame(Opcode.binary, "a", { fin: false })],
    ["what goes on with one", clientFrame(0, "a")],
    ["a compressed one", clientFrame(Opcode.binary, "a", { compressed: true })],
    ["one without a mask", clientFrame(Opcode.binary, "abcdef", { masked: false })],
    ["a close frame", clientFrame(Opcode.close, Buffer.from([3, 232]))],
    ["an opcode that there is not", clientFrame(3, "a")],
    ["a control frame that is too long", clientFrame(Opcode.ping, "x".repeat(126))],
    ["a fragmented control frame", clientFrame(Opcode.ping, "a", { fin: false })],
    ["one with a length of 64 bits", clientFrame(Opcode.binary, "x".repeat(65_536))],
    ["text that is not UTF-8", clientFrame(Opcode.text, Buffer.from([0xc3, 0x28]))],
  ];
  for (const [name, frame] of others) {
    it(`leave ${name} as it came`, () => {
      const bytes = Buffer.concat([
        clientFrame(Opcode.binary, "one"),
        frame,
        clientFrame(Opcode.binary, "two"),
      ]);
      const before = Buffer.from(frame);
      const [taken, heard] = read(bytes);
      assert.deepEqual(heard, ["binary one"]);
      assert.deepEqual(bytes.subarray(taken, taken + frame.length), before);
    });
  }

  it("are no longer than a message may be", () => {
    const bytes = clientFrame(Opcode.binary, "12345");
    assert.deepEqual(read(Buffer.from(bytes), new Heard(), 5)[0], bytes.length);
    assert.deepEqual(read(bytes, new Heard(), 4), [0, []]);
  });

  it("are read no further than who hears them wants", () => {
    const frame = clientFrame(Opcode.binary, "a");
    const [taken, heard] = read(Buffer.concat([frame, frame, frame]), new Heard(2));
    assert.deepEqual([taken, heard.length], [2 * frame.length, 2]);
  });

  it("never reach beyond the bytes, whatever these are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (noise, length) => {
        const bytes = Buffer.from(noise);
        const within = Math.min(length, bytes.length);
        const beyond = Buffer.from(bytes.subarray(within));
        const taken = readPlainFrames(bytes, 0, within, MAX_PAYLOAD, new Heard());
        assert.ok(taken <= within);
        assert.deepEqual(bytes.subarray(within), beyond);
      }),
    );
  });
});
