import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { descriptorWarning, openFileLimit } from "../../gateway/descriptors.ts";

describe("the limit of open files", () => {
  test("is known on Linux", { skip: process.platform !== "linux" && "only Linux tells it in /proc" }, () => {
    assert.ok((openFileLimit() ?? 0) >= 64);
  });

  test("is warned of when the capacity does not fit it, with what to raise", () => {
    assert.equal(descriptorWarning(1000, 1064), undefined);
    assert.match(
      descriptorWarning(1000, 1063) ?? "",
      /may open 1063 files.*1000 clients need 1064.*ulimit -n/,
    );
    assert.equal(descriptorWarning(1000, undefined), undefined);
  });
});
