/** What the process itself costs: memory, processor time, and how late its event loop runs. */

import { monitorEventLoopDelay } from "node:perf_hooks";

export interface ProcessStats {
  readonly rssBytes: number;
  /** User and system time since the start. */
  readonly cpuMs: number;
  /** The 99th percentile, and the longest, of the event loop's delays since the last reading. */
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
}

const RESOLUTION_MS = 20;

/** A delay in milliseconds, of what the histogram recorded in nanoseconds: it counts its own interval too. */
function delayMs(nanoseconds: number): number {
  return Math.max(0, Math.round((nanoseconds / 1e6 - RESOLUTION_MS) * 100) / 100);
}

export class ProcessMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  #rssBytes = 0;

  constructor() {
    this.#delay.enable();
  }

  /** Reads the figures, and starts the next interval of the delay. */
  read(): ProcessStats {
    const { user, system } = process.cpuUsage();
    const loopP99Ms = delayMs(this.#delay.percentile(99));
    const loopMaxMs = delayMs(this.#delay.max);
    this.#delay.reset();
    return { rssBytes: this.#readRss(), cpuMs: Math.round((user + system) / 1000), loopP99Ms, loopMaxMs };
  }

  /** Resident memory. It is read from a file, which can't be opened when the process is out of descriptors. */
  #readRss(): number {
    try {
      this.#rssBytes = process.memoryUsage.rss();
    } catch {
      // The last figure has to do.
    }
    return this.#rssBytes;
  }

  stop(): void {
    this.#delay.disable();
  }
}
