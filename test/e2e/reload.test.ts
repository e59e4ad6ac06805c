import assert from "node:assert/strict";
import { test } from "node:test";
import { canMakeNamespaces, measureInNamespace } from "../../bench/reload.ts";

const skip = canMakeNamespaces() ? false : "needs root and unshare, for a network namespace of its own";

test("a reload under pm2 with tcp_migrate_req on costs no client that connects meanwhile", { skip }, () => {
  const { served, failed } = measureInNamespace(true, { reloads: 2, rate: 300 });
  assert.deepEqual(failed, {});
  assert.ok(served > 100, `only ${served} clients came`);
});
