/**
 * Notices that files have changed, by looking every second: that works also where one file is renamed over another,
 * on network file systems, and for what a container has mounted. A change counts once the files have looked the same
 * twice, so that what is being written is not read half.
 */

import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import type { Clock } from "./clock.ts";

const LOOK_EVERY_MS = 1000;

export interface FileWatchOptions {
  readonly files: readonly string[];
  readonly clock: Clock;
  /** One of the files is not what it was. */
  readonly changed: () => void;
}

/** How a file looks: what an edit changes of it, in whatever way it is made. */
export function appearance({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** How a file looks now; one that can't be looked at looks like what stands in the way. */
async function appearanceNow(file: string): Promise<string> {
  try {
    return appearance(await stat(file, { bigint: true }));
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** Begins to watch. Returns what ends it. */
export function watchFiles({ files, clock, changed }: FileWatchOptions): () => void {
  if (files.length === 0) return () => {};
  let known: string | undefined;
  let seen: string | undefined;
  let looking = false;
  let ended = false;
  const look = async () => {
    const now = (await Promise.all(files.map(appearanceNow))).join("\n");
    looking = false;
    known ??= now;
    const settled = now === seen;
    seen = now;
    if (ended || !settled || now === known) return;
    known = now;
    changed();
  };
  const begin = () => {
    if (looking) return;
    looking = true;
    void look();
  };
  begin();
  const cancel = clock.every(LOOK_EVERY_MS, begin);
  return () => {
    ended = true;
    cancel();
  };
}
