/** Waiting for things to happen, never for time to pass: every wait has an end, and fails by name there. */

import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";

/** The longest that anything is waited for. Nothing takes this long unless it is broken. */
const PATIENCE_MS = 20_000;

/** The next `event` of `emitter`, as its arguments. */
export async function next<T extends unknown[]>(
  emitter: EventTarget | NodeJS.EventEmitter,
  event: string,
): Promise<T> {
  try {
    return (await once(emitter as NodeJS.EventEmitter, event, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    })) as T;
  } catch (error) {
    if ((error as Error).name === "AbortError") throw new Error(`'${event}' was waited for in vain`);
    throw error;
  }
}

/** Lets the event loop turn until `condition` holds. `what` names it in the failure. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await turn();
  }
}
