/**
 * Puts a clock whose hands the fuzzer turns in the place of this process's timers and `performance.now`, for
 * code that has no clock to be given, until `restore`.
 */

import { FakeClock } from "../helpers/fake-clock.ts";

interface HandTimer {
  readonly cancel: () => void;
}

export class HandTimers {
  readonly clock = new FakeClock();
  readonly #originals = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
  };

  constructor() {
    const { clock } = this;
    const clear = (timer?: HandTimer) => timer?.cancel();
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms: number): HandTimer => ({ cancel: clock.after(ms, run) }),
      setInterval: (run: () => void, ms: number): HandTimer => ({ cancel: clock.every(ms, run) }),
      clearTimeout: clear,
      clearInterval: clear,
    });
    Object.defineProperty(performance, "now", { value: () => clock.now(), configurable: true });
  }

  restore(): void {
    Object.assign(globalThis, this.#originals);
    Reflect.deleteProperty(performance, "now");
  }
}
