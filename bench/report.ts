/** The figures as tables for people, and as JSON for later. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine.ts";
import type { CaseResult, Figures, PeerResult } from "./measure.ts";
import type { Options } from "./options.ts";

/** One column of a table. */
export interface Column {
  readonly head: string;
  /** What stands in it for a peer; `reference` is the one that it is compared with, if that was measured. */
  readonly cell: (result: PeerResult, reference: PeerResult | undefined) => string;
}

/** With more than this of a core taken by others, figures are not to be trusted. */
const DISTURBED = 0.05;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function duration(us: number): string {
  if (us < 1000) return `${us.toFixed(0)} µs`;
  return us < 100_000 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1000).toFixed(0)} ms`;
}

function column(head: string, text: (median: Figures) => string): Column {
  return { head, cell: ({ median }) => text(median) };
}

/** How many times the reference's it is. */
function ratio(of: (median: Figures) => number): Column {
  return {
    head: "",
    cell: ({ median }, reference) =>
      reference === undefined ? "" : `${(of(median) / of(reference.median)).toFixed(2)}×`,
  };
}

/** How far apart the rounds lie: half of the way from the least to the most. */
function spread(of: (round: Figures) => number): Column {
  return {
    head: "rounds",
    cell: ({ rounds, median }) => {
      const values = rounds.map(of);
      const half = (Math.max(...values) - Math.min(...values)) / 2;
      return rounds.length > 1 ? `±${percent(half / of(median))}` : "";
    },
  };
}

function rate(unit: string): Column {
  return {
    head: `${unit}/s`,
    cell: ({ median, loadBound }) => whole.format(median.perSecond) + (loadBound ? "*" : ""),
  };
}

const cpu = column("CPU each", ({ cpuUs }) => `${cpuUs.toFixed(2)} µs`);
const p50 = column("p50", ({ p50Us }) => duration(p50Us));
const p99 = column("p99", ({ p99Us }) => duration(p99Us));
const p999 = column("p99.9", ({ p999Us }) => duration(p999Us));
const max = column("max", ({ maxUs }) => duration(maxUs));
const late = column("load late", ({ latenessUs }) => duration(latenessUs));
const resident = column("resident", ({ rssBytes }) => `${(rssBytes / 2 ** 20).toFixed(0)} MiB`);
const shares = [
  column("gateway", ({ gatewayShare }) => percent(gatewayShare)),
  column("load", ({ loadShare }) => percent(loadShare)),
  column("behind", ({ backEndShare }) => percent(backEndShare)),
  column("others", ({ othersShare }) => percent(othersShare)),
];

/** Columns for work that goes as fast as it can. `unit` is what is counted: `messages`. */
export function throughputColumns(unit: string): Column[] {
  return [
    rate(unit),
    ratio(({ perSecond }) => perSecond),
    spread(({ perSecond }) => perSecond),
    cpu,
    ratio(({ cpuUs }) => cpuUs),
    p50,
    p99,
    resident,
    ...shares,
  ];
}

/** Columns for work at a rate that is given. */
export const latencyColumns: readonly Column[] = [
  rate("messages"),
  p50,
  p99,
  p999,
  max,
  late,
  cpu,
  ...shares,
];

export const memoryColumns: readonly Column[] = [
  column("clients", ({ clients }) => whole.format(clients)),
  column("bytes/client", ({ rssBytesPerClient }) => whole.format(rssBytesPerClient)),
  ratio(({ rssBytesPerClient }) => rssBytesPerClient),
  spread(({ rssBytesPerClient }) => rssBytesPerClient),
  resident,
];

/** The results of one scenario as a table, and below it what has no figures, and why. */
export function formatTable(cases: readonly CaseResult[], columns: readonly Column[]): string {
  const rows = cases.flatMap(({ title, reference, results }) => {
    const compared = results.find(({ peer }) => peer === reference);
    return results.map((result, i) => {
      const cells = columns.map(({ cell }) => cell(result, compared));
      return [i === 0 ? title : "", result.peer, ...cells];
    });
  });
  const lines = rows.length > 0 ? align([["", "", ...columns.map(({ head }) => head)], ...rows]) : [];
  return [...lines, ...formatMissing(cases)].join("\n");
}

/** Titles and names to the left, figures to the right. */
function align(table: readonly (readonly string[])[]): string[] {
  const widths = (table[0] ?? []).map((_, i) => Math.max(...table.map((row) => row[i]?.length ?? 0)));
  const pad = (text: string, i: number) =>
    i < 2 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0);
  return table.map((row) => row.map(pad).join("  ").trimEnd());
}

function formatMissing(cases: readonly CaseResult[]): string[] {
  const titles = new Map<string, string[]>();
  for (const { title, skipped, failed } of cases) {
    const lines = [
      ...skipped.map(({ peer, why }) => `skipped: ${peer}: ${why}`),
      ...failed.map(({ peer, why }) => `FAILED: ${peer}: ${why}`),
    ];
    for (const line of lines) titles.set(line, [...(titles.get(line) ?? []), title]);
  }
  return [...titles].map(([line, of]) => `${line} (${of.join("; ")})`);
}

/** What has to be known of how far figures can be trusted; empty when there is nothing. */
export function formatWarnings(cases: readonly CaseResult[]): string {
  const results = cases.flatMap((one) => one.results);
  const lines: string[] = [];
  if (results.some(({ loadBound }) => loadBound))
    lines.push("* The load's core was full and the gateway's was not: more could be had than this.");
  const taken = results.map(({ median }) => median.othersShare).filter((share) => share > DISTURBED);
  if (taken.length > 0)
    lines.push(
      `Others took up to ${percent(Math.max(...taken))} of a core in ${taken.length} of ${results.length} rows: ` +
        "measure again on a machine that is left alone.",
    );
  return lines.join("\n");
}

export interface ScenarioResult {
  readonly name: string;
  readonly title: string;
  readonly cases: readonly CaseResult[];
}

/** Everything that is kept of a run. */
export interface Report {
  readonly at: string;
  readonly machine: Machine;
  readonly options: Pick<Options, "rounds" | "seconds" | "warmUpSeconds" | "quick">;
  readonly scenarios: readonly ScenarioResult[];
}

/** Writes a report, and the directory that it is to lie in. */
export function writeReport(file: string, report: Report): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, undefined, 1)}\n`);
}
