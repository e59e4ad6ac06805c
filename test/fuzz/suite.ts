/** The two runs that each end of a link must stand: every fault by itself, then a long way at random. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Fault } from "./frames.ts";
import { MemoryWatch } from "./leaks.ts";
import { fuzzFrames, fuzzSeed, WORTHWHILE_FRAMES } from "./random.ts";

/** What the heap may grow between the first and the last quarter of a run. */
const MAX_GROWTH_BYTES = 1024 * 1024;

/** One end of a link under fuzz. */
export interface Fuzz {
  /** Frames and links so far. */
  readonly frames: number;
  readonly links: number;
  /** What the link did last, for the failure message. */
  readonly story: readonly string[];
  /** What the run has seen so far, by name; a long run must have seen some of each. */
  readonly seen: Readonly<Record<string, number>>;
  /** A link that is registered, or about to be, and meets one fault: its end must have the fault's code. */
  meet(fault: Fault, registered: boolean): Promise<void>;
  /** A link that takes a random course to its end. */
  wander(): Promise<void>;
  /** Ends everything, and checks that nothing is left. */
  close(): void | Promise<void>;
}

export interface FuzzFaults {
  readonly always: readonly Fault[];
  /** Only before registration, and only after it. */
  readonly early: readonly Fault[];
  readonly late: readonly Fault[];
}

export interface FuzzRuns extends FuzzFaults {
  /** The part of the frames that the long run has; half of them unless it is set. */
  readonly share?: number;
}

/** Runs `body`; its error says how to see it again. */
async function told(fuzz: Fuzz, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    const where = `link ${fuzz.links} after ${fuzz.frames} frames, FUZZ_SEED=${fuzzSeed}: ${fuzz.story.join("; ")}`;
    throw new Error(`${(error as Error).message} (${where})`, { cause: error });
  }
}

/** Declares the runs. `make` gives a fresh end of a link. */
export function describeFuzz(name: string, make: (seed: number) => Fuzz, runs: FuzzRuns): void {
  const { always, early, late, share = 0.5 } = runs;
  const begin = (t: TestContext) => {
    const fuzz = make(fuzzSeed);
    t.after(() => fuzz.close());
    return fuzz;
  };

  describe(`${name}, FUZZ_SEED=${fuzzSeed}`, () => {
    test("ends with the right code at each fault of a frame, before and after registration", async (t) => {
      const fuzz = begin(t);
      await told(fuzz, async () => {
        for (const fault of [...always, ...early]) await fuzz.meet(fault, false);
        for (const fault of [...always, ...late]) await fuzz.meet(fault, true);
      });
      assert.equal(fuzz.links, 2 * always.length + early.length + late.length);
    });

    test("takes or refuses whatever comes, and leaves nothing behind", async (t) => {
      const fuzz = begin(t);
      const memory = new MemoryWatch();
      const total = fuzzFrames * share;
      const start = process.hrtime.bigint();
      await told(fuzz, async () => {
        while (fuzz.frames < total) {
          await fuzz.wander();
          memory.note(fuzz.frames, total);
        }
      });
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      const grownBytes = memory.assertSteady(MAX_GROWTH_BYTES);
      t.diagnostic(
        `${fuzz.frames} frames over ${fuzz.links} links, ${Math.round(fuzz.frames / seconds)} frames/s, ` +
          `heap ${grownBytes} bytes, seen ${JSON.stringify(fuzz.seen)}`,
      );
      if (total < WORTHWHILE_FRAMES) return;
      for (const [what, count] of Object.entries(fuzz.seen))
        assert.ok(count > 0, `the run has seen no ${what}`);
    });
  });
}
