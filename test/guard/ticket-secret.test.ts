import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readSecret } from "../../gateway/guard/ticket.ts";

/** Bytes that need both characters in which base64 and base64url differ. */
const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - 5 * index));
const hex = bytes.toString("hex");

describe("a ticket secret", () => {
  for (const [title, text] of [
    ["hex", hex],
    ["hex in upper case", hex.toUpperCase()],
    ["base64", bytes.toString("base64")],
    ["base64 without padding", bytes.toString("base64").replace("=", "")],
    ["base64url", bytes.toString("base64url")],
    ["hex that says so", `hex:${hex}`],
    ["base64 that says so", `base64:${bytes.toString("base64")}`],
    ["a file's line", `${hex}\r\n`],
  ] as const) {
    test(`is read from ${title}`, () => assert.deepEqual(Buffer.from(readSecret(text)), bytes));
  }

  test("is text as it is, when it is nothing else or says so", () => {
    for (const text of [
      "correct horse battery staple, and more",
      "exactly-32-characters-in-base64-",
      "ünïcödé counts in bytes, not in characters",
    ]) {
      assert.equal(Buffer.from(readSecret(text)).toString(), text);
    }
    assert.equal(Buffer.from(readSecret(`text:${hex}`)).toString(), hex);
  });

  for (const [title, text, message] of [
    ["is empty", "", /has 0;/],
    ["is short text", "change me", /at least 32 bytes, and this one has 9;/],
    ["is short hex", "ab".repeat(31), /has 31;/],
    ["is short base64 that says so", "base64:AAAA", /has 3;/],
    ["is half a byte of hex", `${hex}a`, /two digits make a byte/],
    ["says hex and is none", "hex:wxyz", /is not hex/],
    ["says base64 and is none", "base64:!", /is not base64/],
  ] as const) {
    test(`that ${title} is refused with a reason, and not told`, () => {
      assert.throws(
        () => readSecret(text),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(text === "" || !error.message.includes(text));
          return true;
        },
      );
    });
  }
});
