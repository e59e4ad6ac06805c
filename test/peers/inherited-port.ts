/**
 * A port for a program that can't take any free one: it inherits a socket that listens already. Nobody else can
 * take the port, and clients may connect before the program is up.
 */

import { type AddressInfo, createServer } from "node:net";
import { next } from "../helpers/wait.ts";

/** The part of a server that Node does not declare: its socket. */
interface ListeningServer {
  readonly _handle: { readonly fd: number };
}

export interface InheritedPort {
  readonly port: number;
  readonly descriptor: number;
  /** Closes the socket here, once the program has it. */
  release(): void;
}

export async function inheritedPort(host = "127.0.0.1"): Promise<InheritedPort> {
  const server = createServer().listen(0, host);
  await next(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    descriptor: (server as unknown as ListeningServer)._handle.fd,
    release: () => server.close(),
  };
}
