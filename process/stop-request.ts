/**
 * The process is asked to stop: by a signal, or by the end of the process manager that started it. Listened for
 * from the first moment, so that a request that comes before there is anything to stop is not lost.
 */

/** What the exit code of a process that a signal ended begins at. */
const SIGNAL_BASE = 128;
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

export class StopRequest {
  #reason: string | undefined;
  #stop: ((reason: string) => void) | undefined;

  constructor() {
    let signalled = false;
    for (const [signal, number] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        if (signalled) process.exit(SIGNAL_BASE + number);
        signalled = true;
        this.#ask(signal);
      });
    }
    const orphaned = () => this.#ask("the process manager is gone");
    process.on("disconnect", orphaned);
    if (process.connected === false) orphaned();
  }

  /** Gives the request, once it comes or if it has come, to who can carry it out. */
  handTo(stop: (reason: string) => void): void {
    this.#stop = stop;
    if (this.#reason !== undefined) stop(this.#reason);
  }

  #ask(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#stop?.(reason);
  }
}
