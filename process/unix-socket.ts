/**
 * The file of a Unix socket that is listened on. One that nobody answers any more is removed, one that somebody answers is left
 * alone, and the new one never has a wider mode than it should, not even for a moment. When listening ends the file is removed
 * only if it is still the same: another process may have made its own in the meantime.
 *
 * Node removes whatever lies at the path that it has bound, so it binds another one beside it, which is given the right name
 * once it is complete. System calls have no way to remove a file only if it is a certain one; it is looked at right before.
 */

import { once } from "node:events";
import {
  accessSync,
  type BigIntStats,
  chmodSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  unlinkSync,
} from "node:fs";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { connectSocket } from "./sockets.ts";

/** The path can't be listened on. The message says why, and what can be done. */
export class UnixSocketError extends Error {
  override readonly name = "UnixSocketError";
}

export interface SocketFileOptions {
  /** The file's mode: who may connect. */
  readonly mode: number;
  /** How many connections may wait to be accepted; Node's default where it is undefined. */
  readonly backlog?: number;
}

/** The longest path that a socket can be bound to. */
const MAX_PATH_BYTES = 107;

/** Characters of a name that no two sockets share. */
const UNIQUE_LENGTH = 8;

/**
 * Makes a server listen at a path, and makes the directory of it.
 *
 * @returns removes the file, if it is still this server's. To be called right before the server is closed: as long as it
 *   listens, no other file can pass for its own
 * @throws UnixSocketError when the path is taken; the system's errors
 */
export async function listenOnPath(
  server: Server,
  path: string,
  { mode, backlog }: SocketFileOptions,
): Promise<() => void> {
  await clearPath(path);
  const bound = nameBeside(path);
  const listening = once(server, "listening");
  withoutWiderMode(mode, () => server.listen({ path: bound, ...(backlog !== undefined && { backlog }) }));
  await listening;
  try {
    chmodSync(bound, mode);
    const own = lstatSync(bound, { bigint: true });
    giveName(bound, path);
    return remover(path, own);
  } catch (error) {
    server.close();
    throw error;
  }
}

/**
 * Finds out whether a server could listen at a path, and makes it ready for that: its directory is made, and a file that was left
 * behind is removed.
 *
 * @throws UnixSocketError when the path is taken; the system's errors
 */
export async function tryPath(path: string): Promise<void> {
  await clearPath(path);
  accessSync(dirname(path), constants.W_OK | constants.X_OK);
}

/** Removes a file once, as long as it is `own`. One that may not be removed stays, and is replaced by who listens there next. */
function remover(path: string, own: BigIntStats): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    try {
      removeIf(path, ({ dev, ino }) => dev === own.dev && ino === own.ino);
    } catch {}
  };
}

/** Removes a socket file that was left behind. */
async function clearPath(path: string): Promise<void> {
  makeDirectory(dirname(path));
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new UnixSocketError(`${path} is there already, and is not a socket; move it away`);
  }
  if (await answers(path)) throw taken(path);
  // The number of a file that is gone is soon another's; the time of its last change is not.
  removeIf(path, ({ dev, ino, ctimeNs }) => {
    return dev === found.dev && ino === found.ino && ctimeNs === found.ctimeNs;
  });
}

/** Another name in the same directory, at which nobody listens. Where there is no room for a longer one it is as short. */
function nameBeside(path: string): string {
  const speaking = `${path}.${unique()}`;
  if (Buffer.byteLength(speaking) <= MAX_PATH_BYTES) return speaking;
  const name = basename(path);
  let short = name;
  while (short === name) short = unique().slice(0, Buffer.byteLength(name));
  return join(dirname(path), short);
}

function unique(): string {
  return Math.random().toString(36).slice(2).padEnd(UNIQUE_LENGTH, "0").slice(0, UNIQUE_LENGTH);
}

/** Moves a file to a name that nobody else has taken. */
function giveName(from: string, path: string): void {
  try {
    linkSync(from, path);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "EEXIST" ? taken(path) : error;
  }
  unlinkSync(from);
}

/** Removes a file if there is one and it is the one that is meant. */
function removeIf(path: string, isMeant: (found: BigIntStats) => boolean): void {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (found !== undefined && isMeant(found)) unlinkSync(path);
}

function taken(path: string): UnixSocketError {
  return new UnixSocketError(`another process listens on ${path}; stop it, or choose another path`);
}

/** Runs `bind`, which makes a file, so that the file has no wider mode than `mode`. */
function withoutWiderMode(mode: number, bind: () => void): void {
  const mask = process.umask(0o777 & ~mode);
  try {
    bind();
  } finally {
    process.umask(mask);
  }
}

/** Makes one directory, not those above it: where several are missing, the path is more likely a wrong one. */
function makeDirectory(path: string): void {
  if (!existsSync(path)) mkdirSync(path);
}

/** Whether anybody listens there. Only a refusal says that nobody does: one who is busy does not answer either. */
async function answers(path: string): Promise<boolean> {
  const probe = connectSocket({ path });
  try {
    await once(probe, "connect");
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ECONNREFUSED";
  } finally {
    probe.destroy();
  }
}
