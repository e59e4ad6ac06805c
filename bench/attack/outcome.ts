/** What came of one attack, and what is to be said of it. */

import type { Attack } from "./attack.ts";
import type { AssaultResult } from "./attacker.ts";
import type { Cost } from "./gateway.ts";
import type { Losses, RoundTrips } from "./honest.ts";
import type { NewcomerFigures } from "./newcomers.ts";

export interface Outcome {
  readonly name: string;
  readonly title: string;
  /** What the attacker achieved. */
  readonly assault: AssaultResult;
  readonly broadcasts: number;
  readonly before: RoundTrips;
  readonly during: RoundTrips;
  readonly losses: Losses;
  /** Honest clients that came meanwhile. */
  readonly newcomers: NewcomerFigures;
  readonly cost: Cost;
  readonly mayGrowMiB: number;
  /** The longest pause of the honest clients' own process, which their round trips have in them. */
  readonly ownPauseMs: number;
  readonly verdict: Verdict;
}

export interface Verdict {
  readonly lostNothing: boolean;
  readonly memoryBounded: boolean;
  /** What should have been counted and was not. */
  readonly missed: readonly string[];
}

/** Judges what came of an attack. */
export function judge(attack: Attack, losses: Losses, { refusals, ends, ...cost }: Cost): Verdict {
  return {
    lostNothing: losses.messages === 0 && losses.connections === 0 && cost.linkLosses.length === 0,
    memoryBounded: cost.rssPeakMiB - cost.rssBeforeMiB <= attack.mayGrowMiB,
    missed: attack.meets.filter((name) => !(name in refusals) && !(name in ends)),
  };
}

export function isGood({ lostNothing, memoryBounded, missed }: Verdict): boolean {
  return lostNothing && memoryBounded && missed.length === 0;
}
