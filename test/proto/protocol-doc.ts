/** docs/protocol.md as data: its sections, its tables, and the frames that it shows byte by byte. */

import { readFileSync } from "node:fs";
import { hex } from "./support.ts";

export interface Example {
  /** The heading that it stands under. */
  readonly heading: string;
  readonly sender: "gateway" | "manager";
  readonly bytes: Buffer;
  /** What is said beside the bytes. */
  readonly comments: readonly string[];
}

export interface Section {
  readonly heading: string;
  /** 2 for a chapter, 3 for a part of one. */
  readonly level: number;
  readonly text: string;
}

export const protocolText = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");

/** The page's sections in order, each up to the next heading of any level. */
export const sections: readonly Section[] = protocolText.split(/^(?=##+ )/m).map((text) => {
  const [, marks = "", heading = ""] = /^(#+) (.*)$/m.exec(text) ?? [];
  return { heading, level: marks.length, text };
});

/** The section with this heading. */
export function section(heading: string): Section {
  const found = sections.find((one) => one.heading === heading);
  if (found === undefined) throw new Error(`docs/protocol.md has no section '${heading}'`);
  return found;
}

/** The rows of the table whose head begins with `head`, as cells; undefined when there is none. */
export function table({ text }: Section, head: string): readonly (readonly string[])[] | undefined {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  if (start === -1) return undefined;
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** The words that stand in backticks. */
export function codeWords(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
}

/** Every frame that the page shows. */
export const examples: readonly Example[] = sections.flatMap(({ heading, text }) =>
  [...text.matchAll(/^```hex (.*)\n((?:.*\n)*?)^```$/gm)].map(([, sender = "", block = ""]) => {
    if (sender !== "gateway" && sender !== "manager") throw new Error(`who is '${sender}' in ${heading}?`);
    const lines = block.trimEnd().split("\n").map(parseLine);
    const comments = lines.map(({ comment }) => comment).filter((comment) => comment !== "");
    return { heading, sender, bytes: Buffer.concat(lines.map(({ bytes }) => bytes)), comments };
  }),
);

function parseLine(line: string): { bytes: Buffer; comment: string } {
  const [whole, digits = "", comment = ""] =
    /^([0-9a-f]{2}(?: [0-9a-f]{2})*)(?: {2,}(\S.*))?$/.exec(line) ?? [];
  if (whole === undefined) throw new Error(`'${line}' is not bytes and a comment`);
  return { bytes: hex(digits), comment };
}
