/** A line of the log, as pino writes it, with all text in it made harmless for people's terminals. */

import { harmless, harmlessLines } from "./harmless-text.ts";

/** The key of an error whose text has lines. */
const STACK = "stack";

/**
 * @param line JSON
 * @returns JSON with the same structure
 */
export function harmlessLine(line: string): string {
  return `${JSON.stringify(harmlessValue(JSON.parse(line)))}\n`;
}

function harmlessValue(value: unknown, key = ""): unknown {
  if (typeof value === "string") return key === STACK ? harmlessLines(value) : harmless(value);
  if (Array.isArray(value)) return value.map((one) => harmlessValue(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [harmless(name), harmlessValue(one, name)]),
  );
}
