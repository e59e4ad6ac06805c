/**
 * The file of a Unix socket that is to be listened on: one that nobody answers any more is removed, one that somebody
 * answers is left alone, and the new one never has a wider mode than it should, not even for a moment.
 */

import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

/** The path can't be listened on. The message says why, and what can be done. */
export class UnixSocketError extends Error {
  override readonly name = "UnixSocketError";
}

/**
 * Makes the directory, and removes a socket file that was left behind.
 *
 * @throws UnixSocketError when the path is taken
 */
export async function clearSocketPath(path: string): Promise<void> {
  makeDirectory(dirname(path));
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new UnixSocketError(`${path} is there already, and is not a socket; move it away`);
  }
  if (await answers(path)) {
    throw new UnixSocketError(`another process listens on ${path}; stop it, or choose another path`);
  }
  unlinkSync(path);
}

/** Runs `bind`, which makes a socket's file, so that the file has no wider mode than `mode`. */
export function withSocketMode(mode: number, bind: () => void): void {
  const mask = process.umask(0o777 & ~mode);
  try {
    bind();
  } finally {
    process.umask(mask);
  }
}

/** Gives a socket's file exactly `mode`. */
export function setSocketMode(path: string, mode: number): void {
  chmodSync(path, mode);
}

/** Makes one directory, not those above it: where several are missing, the path is more likely a wrong one. */
function makeDirectory(path: string): void {
  if (!existsSync(path)) mkdirSync(path);
}

/** Whether anybody listens there. Only a refusal says that nobody does: one who is busy does not answer either. */
async function answers(path: string): Promise<boolean> {
  const probe = connect(path);
  try {
    await once(probe, "connect");
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ECONNREFUSED";
  } finally {
    probe.destroy();
  }
}
