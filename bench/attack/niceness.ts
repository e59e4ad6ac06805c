/** Who goes first on a core that several want. */

import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/**
 * Sets the niceness of a process that leads a session of its own, as all of `Processes` do. Where the kernel shares a core
 * out among sessions first (autogroup), a process's own niceness says nothing to those of other sessions.
 *
 * @throws Error when this user may not
 */
export function setNiceness(pid: number, niceness: number): void {
  setPriority(pid, niceness);
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // It does not group them.
  }
}
