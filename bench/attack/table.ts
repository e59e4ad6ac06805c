/** Figures as Markdown. */

import type { RoundTrips } from "./honest.ts";

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** The median, the worst of a hundred and the worst. */
export function trips({ p50Ms, p99Ms, maxMs }: RoundTrips): string {
  return [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1)).join(" / ");
}

export function whole(value: number): string {
  return value.toFixed(0);
}
