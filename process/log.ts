/** A process's log: one line an event, to standard output, as JSON or for people. */

import { fstatSync } from "node:fs";
import { Writable } from "node:stream";
import { destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import { harmlessLine } from "./harmless-log.ts";
import { withErrorListener } from "./stream-errors.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export const logFormats = ["json", "pretty"] as const;

export interface LogOptions {
  readonly name: string;
  readonly logLevel: (typeof logLevels)[number];
  readonly logFormat: (typeof logFormats)[number];
}

export interface Log {
  readonly logger: Logger;
  /** Waits until what was logged is written, for as long as it may be waited for. */
  end(): Promise<void>;
}

/** What may wait to be written. Beyond it lines are lost. */
const MAX_QUEUED_BYTES = 1024 * 1024;

/** How long the end of the process may wait for the log's reader. */
const END_MS = 500;

/** Where lines go. */
interface Sink {
  write(line: string): void;
  end(): Promise<void>;
}

/**
 * Makes the log. Nobody who reads it slowly, not at all, or onto a full disk can hold up the process or make it
 * grow: beyond a bound, lines are lost.
 */
export function createLog({ name, logLevel, logFormat }: LogOptions): Log {
  const stdout = fstatSync(1);
  const sink = stdout.isFIFO() || stdout.isSocket() ? pipeSink() : fileSink();
  const options = { name, level: logLevel, base: { name, pid: process.pid } };
  return {
    logger: logFormat === "json" ? pino(options, sink) : pino(options, prettyOnto(sink)),
    end: sink.end,
  };
}

/** A pipe is written without waiting for its reader, so what waits is counted here. */
function pipeSink(): Sink {
  const { stdout } = process;
  stdout.on("error", () => {});
  return {
    write(line) {
      if (stdout.writable && stdout.writableLength < MAX_QUEUED_BYTES) stdout.write(line);
    },
    end() {
      const { promise, resolve } = Promise.withResolvers<void>();
      setTimeout(resolve, END_MS);
      stdout.write("", () => resolve());
      return promise;
    },
  };
}

/** A file or a terminal takes a line at once; what a full disk refuses is kept up to the bound, and tried again. */
function fileSink(): Sink {
  const out = destination({ dest: 1, sync: true, maxLength: MAX_QUEUED_BYTES });
  out.on("error", () => {});
  return { write: (line) => out.write(line), end: () => Promise.resolve() };
}

/** What the lines say of others is made harmless before it is laid out, which brings line ends and colours of its own. */
function prettyOnto(sink: Sink): { write(line: string): void } {
  const lines = withErrorListener(
    new Writable({
      decodeStrings: false,
      write(line, _encoding, done) {
        sink.write(String(line));
        done();
      },
    }),
  );
  const layout = pretty({
    destination: lines,
    ignore: "pid,hostname",
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
  });
  return { write: (line) => layout.write(harmlessLine(line)) };
}
