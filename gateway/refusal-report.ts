/** Tells the log how many clients were turned away, and why: a line now and then, however many there were. */

import type { Logger } from "pino";
import type { Clock } from "./clock.ts";
import { openFileLimit } from "./descriptors.ts";
import type { Counters } from "./metrics/counters.ts";

const REPORT_MS = 10_000;

/** Begins to report. Returns what ends it. */
export function reportRefusals(counters: Counters, clock: Clock, log: Logger): () => void {
  let before: Readonly<Record<string, number>> = { ...counters.refusals };
  return clock.every(REPORT_MS, () => {
    const now = { ...counters.refusals };
    const since = Object.entries(now)
      .map(([refusal, count]) => [refusal, count - (before[refusal] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    before = now;
    if (since.length === 0) return;
    const refusals = Object.fromEntries(since);
    log.warn({ refusals }, "clients were turned away");
    if (refusals.descriptors !== undefined) {
      log.error(
        `out of file descriptors: this process may open ${openFileLimit()}; raise it (ulimit -n, LimitNOFILE)`,
      );
    }
  });
}
