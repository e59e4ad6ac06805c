/** How many files this process may have open; each client is one. */

import { readFileSync } from "node:fs";

/** Descriptors beside the clients': listeners, links, logs, the runtime's own. */
const OWN_DESCRIPTORS = 64;

/** The process's limit of open files; undefined where the system does not tell it. */
export function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

/**
 * What to say when a capacity does not fit the limit of open files; undefined when it does.
 *
 * @param capacity slots
 */
export function descriptorWarning(capacity: number, limit = openFileLimit()): string | undefined {
  const needed = capacity + OWN_DESCRIPTORS;
  if (limit === undefined || limit >= needed) return undefined;
  return `this process may open ${limit} files, and ${capacity} clients need ${needed}: raise it (ulimit -n, LimitNOFILE)`;
}
