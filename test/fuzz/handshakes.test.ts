/** Whatever clients' handshakes are and however they end, a gateway lives, and holds nothing of them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readPaths } from "../helpers/poller.ts";
import { fuzzHandshakes } from "./handshakes/rounds.ts";
import { fuzzSeed } from "./random.ts";

/** Of all read paths together. */
const connections = Number(process.env.FUZZ_HANDSHAKES ?? 30_000);

/** A run of so many has seen these at least once. */
const WORTHWHILE = 30_000;
const SEEN = {
  refusals: ["bad-proxy-header", "bad-ticket", "bad-upgrade", "denied", "handshake-timeout", "left-early"],
  moreRefusals: ["descriptors", "no-slot", "tls-handshake", "untrusted-proxy"],
  ends: ["bad-frame", "client-closed", "client-reset", "drop-discarded", "dropped", "idle", "not-admitted"],
} as const;

/** What the heap may grow between the first rounds and the last. */
const MAX_GROWTH_BYTES = 4 * 1024 * 1024;

/** Tens of seconds on a machine that has nothing else to do. */
const TIMEOUT_MS = 10 * 60_000;

describe(`in a storm of handshakes, FUZZ_SEED=${fuzzSeed}`, { concurrency: readPaths.length }, () => {
  for (const { readPath, skip } of readPaths) {
    test(`a gateway lives and holds nothing, read by way of ${readPath}`, {
      skip,
      timeout: TIMEOUT_MS,
    }, async (t) => {
      const share = Math.ceil(connections / readPaths.length);
      const summary = await fuzzHandshakes({ readPath, seed: fuzzSeed, connections: share });
      t.diagnostic(JSON.stringify(summary));
      assert.equal(summary.connections, share);
      assert.ok(summary.grownBytes < MAX_GROWTH_BYTES, `the heap has grown by ${summary.grownBytes} bytes`);
      if (connections < WORTHWHILE) return;
      for (const code of [...SEEN.refusals, ...SEEN.moreRefusals])
        assert.ok(summary.refusals.includes(code), `nobody was turned away as ${code}`);
      for (const code of SEEN.ends) assert.ok(summary.ends.includes(code), `nobody was ended as ${code}`);
    });
  }
});
