import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readPrivateFile, withoutLineEnd } from "../../process/private-file.ts";
import { temporaryDirectory } from "../helpers/rig.ts";

describe("a private file", () => {
  test("is read whole, and warned of only when every user can read it", (t) => {
    const path = join(temporaryDirectory(t), "secret");
    writeFileSync(path, "what is in it\n");
    for (const [mode, isOpen] of [
      [0o600, false],
      [0o400, false],
      [0o640, false],
      [0o644, true],
      [0o604, true],
    ] as const) {
      chmodSync(path, mode);
      const { bytes, warning } = readPrivateFile(path);
      assert.equal(String(bytes), "what is in it\n");
      const expected = `${path} can be read by every user of this machine; chmod 600 it`;
      assert.equal(warning, isOpen ? expected : undefined, mode.toString(8));
    }
  });

  test("that is not there is told as the system tells it", () => {
    assert.throws(() => readPrivateFile("/nonexistent/secret"), { code: "ENOENT" });
  });

  test("loses one line end, of either kind, and nothing else", () => {
    const cut = (text: string) => String(withoutLineEnd(Buffer.from(text)));
    const texts = ["s", "s\n", "s\r\n", "s\n\n", "s\r", " s \n", "\n", "\r\n", "", "\r", "a\nb\n"];
    assert.deepEqual(texts.map(cut), ["s", "s", "s", "s\n", "s\r", " s ", "", "", "", "\r", "a\nb"]);
  });
});
