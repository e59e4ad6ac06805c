import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestProcess } from "../helpers/process.ts";

const ESCAPE = "\u001b";
const FIXTURE = "test/fixtures/pretty-log.ts";

describe("the log for people", () => {
  test("shows what others say without what a terminal obeys, and on the line that it belongs to", async (t) => {
    const logging = new TestProcess(t, FIXTURE, []);
    assert.equal((await logging.exited).code, 0);
    const { stdout } = logging;
    assert.doesNotMatch(stdout, /[^\P{C}\n]/u);
    const lines = stdout.split("\n");
    const [first = "", second = "", third = ""] = lines.filter((line) => /^\[/.test(line));
    const shown = "�31m�]0;x���[12:00:00.000] INFO: forged�";
    assert.equal(first.split(shown).length - 1, 4, "the message, a value, and a key and a value in a list");
    assert.match(second, /WARN.*child/);
    assert.ok(second.includes(shown));
    assert.match(third, /ERROR.*error/);
    // The lines of an error's stack are its layout, and are indented.
    assert.match(stdout, /\n +at /);
    assert.equal(
      lines.filter((line) => /^\[/.test(line)).length,
      3,
      "nothing of it looks like a line of the log",
    );
  });

  test("has colours of its own all the same", async (t) => {
    const logging = new TestProcess(t, FIXTURE, [], { FORCE_COLOR: "1" });
    await logging.exited;
    const colours = new RegExp(`${ESCAPE}\\[\\d+m`, "g");
    assert.match(logging.stdout, colours);
    assert.doesNotMatch(logging.stdout.replaceAll(colours, ""), /[^\P{C}\n]/u);
  });
});
