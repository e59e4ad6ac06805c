/** The outcomes of trials as Markdown. */

import type { RoundTrips } from "../honest.ts";
import { table, trips, whole } from "../table.ts";
import type { TrialOutcome } from "./run.ts";

/** One table. */
export function trialTable(outcomes: readonly TrialOutcome[]): string {
  const rows = outcomes.map(({ title, figures, says }) => {
    const { quiet, during, cpuPercent, rssBeforeMiB, rssPeakMiB } = figures;
    return [
      title,
      trips(quiet.lines),
      trips(during.lines),
      trips(during.joins),
      `${during.served} of ${during.served + during.missed}`,
      `${whole(cpuPercent)} %`,
      `${whole(rssBeforeMiB)} → ${whole(rssPeakMiB)}`,
      says,
    ];
  });
  const line = "a line's p50 / p99 / max ms";
  return table(
    [
      "clients",
      `${line} before`,
      `${line} during`,
      "a join's",
      "newcomers served",
      "CPU",
      "RSS MiB before → peak",
      "what came of it",
    ],
    rows,
  );
}

/** How it went, in one line. */
export function trialLine({ name, title, figures, says, complaints }: TrialOutcome): string {
  const { quiet, during } = figures;
  const refusals = counts(figures.vitals?.refusals ?? {});
  const figure = ({ p99Ms }: RoundTrips) => `${p99Ms.toFixed(1)} ms`;
  const parts = [
    ...complaints,
    `p99 ${figure(quiet.lines)} before and ${figure(during.lines)} during`,
    `joins ${figure(during.joins)}`,
    `${during.lines.count} lines, ${during.waiting} waited for`,
    `own longest pause ${whole(during.pauseMs)} ms`,
    ...(refusals === "" ? [] : [`refused ${refusals}`]),
    ...(says === "" ? [] : [says]),
  ];
  return `${complaints.length === 0 ? "ok" : "NOT OK"} ${name}, ${title}: ${parts.join("; ")}`;
}

function counts(of: Readonly<Record<string, number>>): string {
  const moved = Object.entries(of).filter(([, count]) => count > 0);
  return moved.map(([name, count]) => `${name} ${count}`).join(", ");
}
