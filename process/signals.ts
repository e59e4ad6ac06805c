/**
 * What each signal means to a process of ours. A signal that nobody listens to ends a process at once, without a drain, and
 * SIGUSR1 opens Node's debugger; so all that can come from outside are listened to. Not those of a fault of the program's own,
 * nor SIGPROF, which Node's profiler works with.
 */

import { isatty } from "node:tty";
import type { Logger } from "pino";

/** Somebody asks the process to end; who asks again is in a hurry. Their numbers are part of an exit code. */
export const requests = { SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;

/** The system warns that the end is near: of time, or of power. It may do so again and again, and is in no hurry. */
export const warnings = ["SIGALRM", "SIGVTALRM", "SIGXCPU", "SIGPWR"] as const;

/** They mean something to other programs, as `SIGUSR1` does to nginx, and nothing here. */
export const meaningless = ["SIGUSR1", "SIGUSR2", "SIGIO", "SIGSTKFLT"] as const;

/** Where signals come from: the process. */
export interface SignalSource {
  on(event: string, listener: () => void): unknown;
}

/** Has the process go on when a signal comes that means nothing here; a line of the log says so. */
export function passOverSignals(log: Pick<Logger, "info">, source: SignalSource = process): void {
  for (const signal of meaningless) {
    source.on(signal, () => log.info({ signal }, "this signal means nothing here, and changes nothing"));
  }
}

/** Who hears of SIGHUP. */
export interface HangUp {
  /** A service is asked to read its files again. */
  readonly reload: () => void;
  /** The terminal that the process was started from is gone. */
  readonly gone: () => void;
}

/** SIGHUP asks a service to read its files again; of a terminal that was closed it is the end. */
export function onHangUp({ reload, gone }: HangUp): void {
  const fromTerminal = isatty(0);
  process.on("SIGHUP", () => (fromTerminal && !isatty(0) ? gone() : reload()));
}
