import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Gathering } from "../../gateway/framing/gathering.ts";

describe("gathering a message", () => {
  test("takes at most twice what came, and never more than can come", () => {
    const limit = 10_000;
    for (const step of [1, 100, 999, limit]) {
      const gathering = new Gathering(step, limit);
      for (let sent = 0; sent < limit; sent += step) {
        const piece = Buffer.alloc(Math.min(step, limit - sent), sent % 251);
        gathering.append(piece, 0, piece.length, limit);
        const most = Math.min(limit, Math.max(64, 2 * gathering.length));
        assert.ok(gathering.bytes.buffer.byteLength <= most, `${gathering.bytes.length} for ${sent}`);
      }
      assert.equal(gathering.length, limit);
    }
  });

  test("moves a message that comes byte by byte only a few times", () => {
    const limit = 1 << 16;
    const gathering = new Gathering(1, limit);
    const seen = new Set<Buffer>();
    for (let sent = 0; sent < limit; sent++) {
      gathering.append(Buffer.of(sent % 251), 0, 1, limit);
      seen.add(gathering.bytes);
    }
    assert.ok(seen.size <= 12, `${seen.size} buffers`);
    assert.ok(gathering.bytes.every((byte, index) => byte === index % 251));
  });
});
