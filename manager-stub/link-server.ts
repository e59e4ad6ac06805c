/**
 * Accepting gateways, plain or over TLS. A connection is handed on once it can be read: over TLS after its
 * handshake, which is part of the time that it has to register.
 */

import type { Server, Socket } from "node:net";
import { checkCertificate, checkKey, MIN_TLS_VERSION, type Pem, tlsFailure } from "../link/tls.ts";
import { createSocketServer, createTlsServer } from "../process/sockets.ts";

/** What a manager shows and wants over TLS, each as the text or the bytes of a PEM file. */
export interface ManagerTlsOptions {
  /** The manager's certificate, and behind it those between it and the authority's. */
  readonly cert: Pem;
  readonly key: Pem;
  /** The authority that has signed the gateways' certificates. */
  readonly ca?: Pem | undefined;
  /** Whether a gateway must show a certificate of that authority. Default: when there is a `ca`. */
  readonly requireClientCertificate?: boolean | undefined;
}

export interface LinkServerOptions {
  readonly tls: ManagerTlsOptions | undefined;
  /** A handshake that takes longer is refused, milliseconds. */
  readonly registerTimeoutMs: number;
  /** Takes a connection, and how long it has waited for its handshake, milliseconds. */
  accepted(socket: Socket, waitedMs: number): void;
  /** A connection has ended before it could be handed on. */
  refused(code: string, message: string): void;
}

export interface LinkServer {
  readonly server: Server;
  /** Ends every connection that was not handed on yet. */
  abort(): void;
}

/** Whether gateways must show a certificate. */
export function wantsCertificates({ ca, requireClientCertificate }: ManagerTlsOptions): boolean {
  return requireClientCertificate ?? ca !== undefined;
}

/** @throws RangeError whose message names what can't be used */
export function checkTls(tls: ManagerTlsOptions): void {
  const check = (name: keyof ManagerTlsOptions, run: () => void) => {
    try {
      run();
    } catch (error) {
      throw new RangeError(`tls.${name} ${(error as Error).message}`, { cause: error });
    }
  };
  const { cert, key, ca } = tls;
  check("cert", () => checkCertificate(cert));
  check("key", () => checkKey(key, cert));
  if (ca !== undefined) check("ca", () => checkCertificate(ca));
  else if (wantsCertificates(tls)) {
    throw new RangeError("tls.requireClientCertificate needs tls.ca: the authority that signs them");
  }
}

/** Makes a server, which is to be listened with. */
export function createLinkServer(options: LinkServerOptions): LinkServer {
  if (options.tls !== undefined) return createTlsLinkServer(options, options.tls);
  const server = createSocketServer({ noDelay: true });
  server.on("connection", (socket) => options.accepted(socket, 0));
  return { server, abort() {} };
}

/** A connection whose handshake is not done. */
interface Handshake {
  readonly socket: Socket;
  readonly since: number;
}

function createTlsLinkServer(options: LinkServerOptions, tls: ManagerTlsOptions): LinkServer {
  const { cert, key, ca } = tls;
  /** By where they come from: nothing else that Node tells is the same before and after the handshake. */
  const handshakes = new Map<string, Handshake>();
  let aborted = false;
  const server = createTlsServer({
    cert,
    key,
    ...(ca !== undefined && { ca }),
    requestCert: wantsCertificates(tls),
    rejectUnauthorized: true,
    minVersion: MIN_TLS_VERSION,
    handshakeTimeout: options.registerTimeoutMs,
    noDelay: true,
  });
  server.on("connection", (socket: Socket) => {
    const from = origin(socket);
    const handshake = { socket, since: performance.now() };
    handshakes.set(from, handshake);
    socket.once("close", () => {
      if (handshakes.get(from) === handshake) handshakes.delete(from);
    });
  });
  server.on("secureConnection", (socket) => {
    const from = origin(socket);
    const now = performance.now();
    const waitedMs = now - (handshakes.get(from)?.since ?? now);
    handshakes.delete(from);
    options.accepted(socket, waitedMs);
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    socket.destroy();
    if (aborted) options.refused("manager-closed", "the manager closed the link");
    else if (error.code === "ERR_TLS_HANDSHAKE_TIMEOUT") {
      options.refused("register-timeout", "it did not finish the TLS handshake");
    } else {
      const { code, message } = reasonOf(error, socket.authorizationError);
      options.refused(code, `no TLS handshake: ${message}`);
    }
  });
  const abort = () => {
    aborted = true;
    for (const { socket } of handshakes.values()) socket.destroy();
  };
  return { server, abort };
}

/** A certificate that does not do comes as an error of its own beside that of the connection's end. */
function reasonOf(error: NodeJS.ErrnoException, unauthorized: unknown): { code: string; message: string } {
  const certificate =
    typeof unauthorized === "string"
      ? tlsFailure(Object.assign(new Error(), { code: unauthorized }))
      : undefined;
  if (certificate !== undefined) {
    return { code: certificate, message: `the gateway's certificate does not do (${unauthorized})` };
  }
  const { code, message } = error;
  return { code: tlsFailure(error) ?? `link-${code}`, message };
}

/** Where a connection comes from. */
function origin({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
