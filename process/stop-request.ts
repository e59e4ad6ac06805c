/**
 * The process is asked to stop: by a signal, or by the end of the process manager that started it. Listened for
 * from the first moment, so that a request that comes before there is anything to stop is not lost.
 */

import { requests, type SignalSource, warnings } from "./signals.ts";

/** What the exit code of a process that a signal ended begins at. */
const SIGNAL_BASE = 128;

/**
 * Signals that come so close together are one request, milliseconds. A terminal sends a Ctrl-C to npm and to the process
 * behind it, and npm passes it on to the process; a supervisor that ends a whole group does the same with SIGTERM.
 */
const SAME_REQUEST_MS = 300;

/** What a stop request takes of the process. */
export interface Surroundings {
  readonly source: SignalSource;
  /** Whether the process manager that started this process is there; undefined: none did. */
  readonly connected: boolean | undefined;
  /** Milliseconds since any moment. */
  readonly now: () => number;
  readonly exit: (code: number) => void;
}

const surroundings: Surroundings = {
  source: process,
  get connected() {
    return process.connected;
  },
  now: () => performance.now(),
  exit: (code) => process.exit(code),
};

export class StopRequest {
  #reason: string | undefined;
  #stop: ((reason: string) => void) | undefined;
  #hurry: (signal: keyof typeof requests) => void;

  constructor({ source, connected, now, exit }: Surroundings = surroundings) {
    this.#hurry = (signal) => exit(SIGNAL_BASE + requests[signal]);
    let firstAt: number | undefined;
    for (const signal of Object.keys(requests) as (keyof typeof requests)[]) {
      source.on(signal, () => {
        firstAt ??= now();
        if (now() - firstAt > SAME_REQUEST_MS) this.#hurry(signal);
        this.ask(signal);
      });
    }
    for (const signal of warnings) source.on(signal, () => this.ask(signal));
    const orphaned = () => this.ask("the process manager is gone");
    source.on("disconnect", orphaned);
    if (connected === false) orphaned();
  }

  /**
   * Gives the request, once it comes or if it has come, to who can carry it out.
   *
   * @param hurry called for each signal that asks again, instead of the end of the process at once
   */
  handTo(stop: (reason: string) => void, hurry = this.#hurry): void {
    this.#stop = stop;
    this.#hurry = hurry;
    if (this.#reason !== undefined) stop(this.#reason);
  }

  /** Asks for the stop; once it was asked for, this changes nothing. */
  ask(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#stop?.(reason);
  }
}
