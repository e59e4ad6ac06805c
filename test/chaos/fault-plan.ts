/** What is done to one link of a chaos run, drawn at random before it begins. */

import type { Random } from "../fuzz/random.ts";

export const directions = ["fromGateway", "fromManager"] as const;
export type Direction = (typeof directions)[number];

/**
 * How a link is cut: at both ends at once; in good order, after what was forwarded; or at one end first, while the
 * other believes for a while that it is up.
 */
export const cutStyles = ["both", "ended", "gateway-first", "manager-first"] as const;
export type CutStyle = (typeof cutStyles)[number];

/** Something happens once a direction has forwarded so many bytes. */
interface Moment {
  readonly direction: Direction;
  readonly afterBytes: number;
}

export interface FaultPlan {
  readonly cut?: Moment & { readonly style: CutStyle; readonly lingerMs: number };
  readonly stall?: Moment & { readonly ms: number };
  /** How long the pieces are that are forwarded at first, in the middle, and what lies between two. */
  readonly pieceBytes: number;
  readonly delayMs: number;
}

export const NO_FAULTS: FaultPlan = { pieceBytes: 0, delayMs: 0 };

/** In a registration, in what is sent again or the rejoins, and later. */
const CUT_RANGES_BYTES = [60, 400, 5000, 30_000, 120_000] as const;
const STALL_RANGE_BYTES = 20_000;
const STALL_MS = 15;
/** Long enough for both sides to take the link for dead. */
const LONG_STALL_MS = 450;
const LINGER_MS = 25;
const DELAY_MS = 3;

export function drawFaults(random: Random): FaultPlan {
  const cut = { ...drawMoment(random, random.pick(CUT_RANGES_BYTES)), style: random.pick(cutStyles) };
  const stallMs = random.chance(0.02) ? LONG_STALL_MS : 1 + random.below(STALL_MS);
  return {
    cut: { ...cut, lingerMs: random.below(LINGER_MS) },
    ...(random.chance(0.3) && { stall: { ...drawMoment(random, STALL_RANGE_BYTES), ms: stallMs } }),
    pieceBytes: random.chance(0.4) ? 1 + random.below(random.pick([8, 200, 3000])) : 0,
    delayMs: random.chance(0.2) ? 1 + random.below(DELAY_MS) : 0,
  };
}

function drawMoment(random: Random, rangeBytes: number): Moment {
  return { direction: random.pick(directions), afterBytes: random.below(rangeBytes) };
}
