/** The gateway's log: one line an event, to standard output, as JSON or for people. */

import { destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export const logFormats = ["json", "pretty"] as const;

export interface LogOptions {
  readonly name: string;
  readonly logLevel: (typeof logLevels)[number];
  readonly logFormat: (typeof logFormats)[number];
}

/** A logger whose lines are written at once; a full disk or a closed pipe loses lines, never the process. */
export function createLog({ name, logLevel, logFormat }: LogOptions): Logger {
  const out = destination({ dest: 1, sync: true });
  out.on("error", () => {});
  const options = { name, level: logLevel, base: { name, pid: process.pid } };
  if (logFormat === "json") return pino(options, out);
  return pino(
    options,
    pretty({ destination: out, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l", singleLine: true }),
  );
}
