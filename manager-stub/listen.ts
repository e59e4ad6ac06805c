/**
 * Listening for gateways. A Unix socket is made with mode 0600, which stands in for a secret; a socket file
 * that nobody answers any more is replaced, one that somebody answers is refused.
 */

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { listenOnPath } from "../process/unix-socket.ts";
import { formatLinkUrl, type LinkAddress } from "../proto/link-url.ts";

/** Who can open the socket may register. */
const SOCKET_MODE = 0o600;

/** The address can't be listened on. The message says why, and what can be done. */
export class ListenError extends Error {
  override readonly name: string = "ListenError";
}

/** Where a server listens. */
export interface Listening {
  /** As it was bound: a TCP port 0 is known now. */
  readonly address: LinkAddress;
  /** Removes the socket's file, if it is still this server's; to be called right before the server is closed. */
  readonly removeFile: () => void;
}

/**
 * Makes `server` listen at `address`.
 *
 * @throws ListenError
 */
export async function listenAt(server: Server, address: LinkAddress): Promise<Listening> {
  try {
    return await bind(server, address);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const hint = code === "EADDRINUSE" ? "another process listens there" : message;
    throw new ListenError(`cannot listen on ${formatLinkUrl(address)}: ${hint}`, { cause: error });
  }
}

async function bind(server: Server, address: LinkAddress): Promise<Listening> {
  if (address.kind === "unix") {
    return { address, removeFile: await listenOnPath(server, address.path, { mode: SOCKET_MODE }) };
  }
  server.listen(address.port, address.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { address: { ...address, port }, removeFile() {} };
}
