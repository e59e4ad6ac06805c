/** What every attack says of itself; the attacks are in attacks/. */

import type { Assault, AssaultResult } from "./attacker.ts";
import type { Ports } from "./profile.ts";

export interface Attack {
  /** For `--only`. */
  readonly name: string;
  /** What it does, in a few words. */
  readonly title: string;
  readonly assault: (ports: Ports) => Assault | Promise<Assault>;
  /** Broadcasts a second that the manager sends meanwhile; default none. */
  readonly broadcasts?: number;
  /** By how much the gateway's memory may grow while it goes on, MiB: what its limits allow, and garbage. */
  readonly mayGrowMiB: number;
  /** Refusals and ends that must be counted, or it has missed what it was for. */
  readonly meets: readonly string[];
  /** What it achieved, in a few words, beside connections. */
  readonly achieved?: (result: AssaultResult) => string;
}

/** What a gateway may grow by in any attack, MiB: garbage that is not collected yet. */
export const GARBAGE_MIB = 64;

/** What so many of so many bytes take, MiB. */
export function mebibytes(count: number, bytes: number): number {
  return Math.ceil((count * bytes) / 2 ** 20);
}

/** How much of what they said was taken, of clients of each kind: what attacks achieve that talk. */
export function takenRates({ seconds, targets }: AssaultResult): string {
  return targets
    .map(({ name, sentBytes }) => `${name} ${(sentBytes / seconds / 1024).toFixed(0)} KiB/s taken`)
    .join(", ");
}
