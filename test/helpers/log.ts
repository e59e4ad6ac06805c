/** A gateway's log, kept to be looked at. */

import { type Logger, pino } from "pino";
import { until } from "./wait.ts";

type Line = Readonly<Record<string, unknown>>;

export interface RecordedLog {
  readonly log: Logger;
  readonly lines: readonly Line[];
  /** Waits for a line that tells the end of a link with this code. */
  loss(code: string): Promise<Line>;
}

export function recordLog(): RecordedLog {
  const lines: Line[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const loss = async (code: string) => {
    const find = () => lines.find((line) => line.code === code);
    await until(() => find() !== undefined, `the log tells ${code}: ${JSON.stringify(lines)}`);
    return find() ?? {};
  };
  return { log, lines, loss };
}
