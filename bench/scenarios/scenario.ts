/** A question that is asked of several peers. */

import type { Bench } from "../bench.ts";
import type { CaseResult } from "../measure.ts";
import type { Column } from "../report.ts";

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly columns: readonly Column[];
  measure(bench: Bench): Promise<CaseResult[]>;
}

/** The messages of every scenario that does not say otherwise, bytes. */
export const MESSAGE_BYTES = 64;

export function clientCount(clients: number): string {
  return `${new Intl.NumberFormat("en").format(clients)} clients`;
}
