import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { framing } from "../../gateway/framing/framing.ts";
import { cutAt } from "../proto/support.ts";
import { decoderOf, receive } from "./support.ts";

const line = framing("line");

function lines(text: string, maxMessageBytes = 1024): { messages: string[]; fault: string | undefined } {
  const bytes = Buffer.from(text, "latin1");
  const whole = receive(decoderOf(line, maxMessageBytes), [bytes]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const received = receive(decoderOf(line, maxMessageBytes), cutAt(bytes, [cut]));
    assert.deepEqual(received, whole, `cut at ${cut}`);
  }
  return { messages: whole.messages.map((message) => message.toString("latin1")), fault: whole.fault };
}

describe("lines", () => {
  test("end with a line feed, or with a return and a line feed", () => {
    assert.deepEqual(lines("one\ntwo\r\n\n\r\nfive\nrest").messages, ["one", "two", "", "", "five"]);
  });

  test("hold a return that no line feed follows, and all but the last of several", () => {
    assert.deepEqual(lines("a\rb\n\rc\nd\r\r\n").messages, ["a\rb", "\rc", "d\r"]);
  });

  test("may be as long as the limit, the line's end not counted", () => {
    assert.deepEqual(lines("1234\n5678\r\n", 4), { messages: ["1234", "5678"], fault: undefined });
    for (const tooLong of [
      "12345\n",
      "12345\r\n",
      "1234\r\r\n",
      "1234\r5\n",
      "12345",
      "1234\r5",
      "1234\r\r",
    ]) {
      assert.deepEqual(lines(`ok\n${tooLong}`, 4), { messages: ["ok"], fault: "too-big" }, tooLong);
    }
  });

  test("are not yet too long while a return may end them", () => {
    const decoder = decoderOf(line, 4);
    assert.deepEqual(receive(decoder, [Buffer.from("1234\r")]), { messages: [], fault: undefined });
    assert.equal(decoder.pendingBytes, 5);
  });

  test("go out with a line feed behind them, in memory of their own", () => {
    const payload = Buffer.from("abc");
    const bytes = line.encode(payload);
    payload.fill(0);
    assert.equal(bytes.toString(), "abc\n");
    assert.equal(line.encode(Buffer.alloc(0)).toString(), "\n");
  });
});
