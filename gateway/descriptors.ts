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

/** Descriptors that no client may have, so that one can always be accepted and refused. */
const SPARE_DESCRIPTORS = 32;

/** A client whose descriptor has this number or a higher one is one too many: descriptors are given lowest first. */
export function maxClientDescriptors(limit = openFileLimit()): number {
  return limit === undefined ? Number.POSITIVE_INFINITY : limit - SPARE_DESCRIPTORS;
}
