/**
 * Listening for gateways. A Unix socket is made with mode 0600, which stands in for a secret; a socket file
 * that nobody answers any more is replaced, one that somebody answers is refused.
 */

import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { type AddressInfo, connect, type Server } from "node:net";
import { dirname } from "node:path";
import { formatLinkUrl, type LinkAddress } from "../proto/link-url.ts";

/** The address can't be listened on. The message says why, and what can be done. */
export class ListenError extends Error {
  override readonly name: string = "ListenError";
}

/**
 * Makes `server` listen at `address`.
 *
 * @returns the address as it was bound: a TCP port 0 is known now
 * @throws ListenError
 */
export async function listenAt(server: Server, address: LinkAddress): Promise<LinkAddress> {
  try {
    if (address.kind === "unix") await makeWay(address.path);
    await bind(server, address);
  } catch (error) {
    if (error instanceof ListenError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const hint = code === "EADDRINUSE" ? "another process listens there" : message;
    throw new ListenError(`cannot listen on ${formatLinkUrl(address)}: ${hint}`, { cause: error });
  }
  return address.kind === "unix" ? address : { ...address, port: (server.address() as AddressInfo).port };
}

async function bind(server: Server, address: LinkAddress): Promise<void> {
  if (address.kind !== "unix") {
    server.listen(address.port, address.host);
    await once(server, "listening");
    return;
  }
  // The file must never be there with a wider mode, not even for a moment.
  const mask = process.umask(0o177);
  try {
    server.listen(address.path);
  } finally {
    process.umask(mask);
  }
  await once(server, "listening");
  chmodSync(address.path, 0o600);
}

/** Makes the directory, and removes a socket file that a manager left behind. */
async function makeWay(path: string): Promise<void> {
  makeDirectory(dirname(path));
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ListenError(`${path} is there already, and is not a socket; move it away`);
  if (await answers(path)) {
    throw new ListenError(
      `another manager listens on ${path}; stop it, or choose another path with --listen`,
    );
  }
  unlinkSync(path);
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
