import { harmless } from "../process/harmless-text.ts";

/** Rows as a table for people: columns as wide as their widest cell, two spaces between. What a cell says is made harmless. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows.map((row) => row.map(harmless))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]) =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return `${lines.map((line) => format(line).trimEnd()).join("\n")}\n`;
}
