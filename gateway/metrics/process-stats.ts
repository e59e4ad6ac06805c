/** What the process itself costs: memory, processor time, and how late its event loop runs. */

import { monitorEventLoopDelay } from "node:perf_hooks";

export interface ProcessStats {
  readonly rssBytes: number;
  /** User and system time since the start. */
  readonly cpuMs: number;
  /** The 99th percentile of the event loop's delay since the last reading. */
  readonly loopP99Ms: number;
}

const RESOLUTION_MS = 20;

export class ProcessMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  /** Reads the figures, and starts the next interval of the delay. */
  read(): ProcessStats {
    const { user, system } = process.cpuUsage();
    const p99 = this.#delay.percentile(99) / 1e6;
    this.#delay.reset();
    return {
      rssBytes: process.memoryUsage.rss(),
      cpuMs: Math.round((user + system) / 1000),
      loopP99Ms: Math.max(0, Math.round((p99 - RESOLUTION_MS) * 100) / 100),
    };
  }

  stop(): void {
    this.#delay.disable();
  }
}
