/** Cuts and kills, for a short while; `npm run chaos` goes on for longer. */

import { describe, test } from "node:test";
import { runCutting } from "./cutting-run.ts";
import { runKilling } from "./killing-run.ts";

const SEED = Number(process.env.CHAOS_SEED ?? 20_260_101);

describe(`in chaos, CHAOS_SEED=${SEED}`, () => {
  test("nothing is lost, doubled, reordered or misdelivered when links are cut at any byte", async (t) => {
    t.diagnostic(await runCutting(t, { seed: SEED, cuts: 120, clients: 20 }));
  });

  test("nobody is disconnected when managers are killed, and what is lost is told to the byte", async (t) => {
    const options = { seed: SEED, kills: 3, seconds: 0, clients: 20, recordsBetween: 300 };
    t.diagnostic(await runKilling(t, options));
  });
});
