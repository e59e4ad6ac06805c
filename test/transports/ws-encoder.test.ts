import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { frame, Opcode } from "../../gateway/transports/ws-encoder.ts";

describe("a server's frame", () => {
  const headers: [number, string][] = [
    [0, "8200"],
    [1, "8201"],
    [125, "827d"],
    [126, "827e007e"],
    [65_535, "827effff"],
    [65_536, "827f0000000000010000"],
  ];
  for (const [length, header] of headers) {
    it(`of ${length} bytes says so as RFC 6455, section 5.2, has it`, () => {
      const payload = Buffer.alloc(length, "x");
      const bytes = frame(Opcode.binary, payload);
      assert.equal(bytes.toString("hex", 0, header.length / 2), header);
      assert.deepEqual(bytes.subarray(header.length / 2), payload);
    });
  }

  it("names its kind, and that it is compressed", () => {
    assert.equal(frame(Opcode.text, Buffer.from("a")).toString("hex"), "810161");
    assert.equal(frame(Opcode.text, Buffer.from("a"), true).toString("hex"), "c10161");
    assert.equal(frame(Opcode.close, Buffer.from([3, 232])).toString("hex"), "880203e8");
  });
});
