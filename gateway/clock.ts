/** Time, as the gateway sees it: one interface, so that tests can turn the hands. */

/** Ends a timer; harmless when it has ended already. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Milliseconds since 1970, for what others read. */
  wall(): number;
  /** Calls `run` once, in `ms` milliseconds. */
  after(ms: number, run: () => void): Cancel;
  /** Calls `run` every `ms` milliseconds. */
  every(ms: number, run: () => void): Cancel;
  /** Calls `run` once, behind what this turn of the event loop brings. */
  behindTurn(run: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
  behindTurn: (run) => void setImmediate(run),
};
