/**
 * Listening for gateways. A Unix socket is made with mode 0600, which stands in for a secret; a socket file
 * that nobody answers any more is replaced, one that somebody answers is refused.
 */

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { clearSocketPath, setSocketMode, withSocketMode } from "../process/unix-socket.ts";
import { formatLinkUrl, type LinkAddress } from "../proto/link-url.ts";

/** Who can open the socket may register. */
const SOCKET_MODE = 0o600;

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
    if (address.kind === "unix") await clearSocketPath(address.path);
    await bind(server, address);
  } catch (error) {
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
  withSocketMode(SOCKET_MODE, () => server.listen(address.path));
  await once(server, "listening");
  setSocketMode(address.path, SOCKET_MODE);
}
