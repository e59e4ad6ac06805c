/**
 * TLS on a listener: the step that shakes hands, and the certificate behind it, which is read again when its files
 * change. Connections that are there keep what they agreed on.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import type { Server, TLSSocket, TlsOptions } from "node:tls";
import { createTlsServer } from "../../process/sockets.ts";
import { ConfigError } from "../config-error.ts";
import type { ClientDetails } from "./details.ts";
import type { Handshake, HandshakeStep } from "./handshake.ts";
import type { ListenAddress } from "./listen-address.ts";
import { overTcp } from "./listening.ts";
import type { Transported } from "./stream-listener.ts";
import { streamArrivals, type TransportContext } from "./streams.ts";

export function tlsTransport(address: ListenAddress, context: TransportContext): Transported {
  const layer = new TlsLayer(address);
  return {
    arrive: streamArrivals(address, context, [layer.step]),
    place: overTcp,
    files: layer.files,
    reload: () => layer.reload(),
  };
}

/** The options of a listener that TLS takes. */
type TlsSettings = Pick<
  ListenAddress,
  "cert" | "key" | "clientCa" | "clientCertificate" | "minVersion" | "alpn"
>;

/** The part of a TLS socket that Node does not declare: the socket under it. */
interface LayeredSocket {
  readonly _parent: Socket;
}

export class TlsLayer {
  readonly #settings: TlsSettings;
  /** Never listens: sockets are given to it. */
  readonly #server: Server;
  readonly #handshakes = new WeakMap<Socket, Handshake>();

  /** @throws ConfigError when a file can't be read, or certificate and key do not fit */
  constructor(settings: TlsSettings) {
    this.#settings = settings;
    const { clientCertificate, alpn } = settings;
    this.#server = withClearErrors(settings, () =>
      createTlsServer({
        ...readContext(settings),
        requestCert: clientCertificate !== "none",
        rejectUnauthorized: clientCertificate === "require",
        ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
        // Who opened the handshake bounds its time.
        handshakeTimeout: 0x7fffffff,
      }),
    );
    this.#server.on("secureConnection", (socket) => this.#secured(socket));
    this.#server.on("tlsClientError", (_error, socket) => failed(this.#handshakeOf(socket)));
  }

  /** The files that `reload` reads. */
  get files(): readonly string[] {
    const { cert, key, clientCa } = this.#settings;
    return [cert, key, clientCa].filter((file) => file !== undefined);
  }

  /**
   * Reads the files again, for the handshakes that follow.
   *
   * @throws ConfigError when they are wrong; what was there before goes on
   */
  reload(): void {
    withClearErrors(this.#settings, () => this.#server.setSecureContext(readContext(this.#settings)));
  }

  readonly step: HandshakeStep = (handshake) => {
    const socket = handshake.coveredSocket();
    this.#handshakes.set(socket, handshake);
    // No event tells of a certificate that was not accepted: the socket is cut off, and that is all.
    socket.prependOnceListener("close", () => {
      if (handshake.socket === socket) failed(handshake);
    });
    // Its TLS socket does as this one does: who shuts down in the middle of the handshake has gone.
    socket.allowHalfOpen = false;
    this.#server.emit("connection", socket);
  };

  #handshakeOf(socket: TLSSocket): Handshake | undefined {
    return this.#handshakes.get((socket as unknown as LayeredSocket)._parent);
  }

  #secured(socket: TLSSocket): void {
    const handshake = this.#handshakeOf(socket);
    if (handshake === undefined || handshake.over) return;
    socket.allowHalfOpen = true;
    socket.pause();
    handshake.secure(socket);
    handshake.describe(detailsOf(socket));
    handshake.proceed();
  }
}

/** Who connects and closes again, as health checks do, has not tried to shake hands. */
function failed(handshake: Handshake | undefined): void {
  handshake?.fail(handshake.isSilent ? "left-early" : "tls-handshake");
}

function detailsOf(socket: TLSSocket): ClientDetails {
  const { servername, alpnProtocol } = socket as TLSSocket & { servername?: string | false | null };
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return {
    ...(typeof servername === "string" && servername !== "" && { sni: servername }),
    ...(typeof alpnProtocol === "string" && { alpn: alpnProtocol }),
    ...(certificate !== undefined && {
      certificate: {
        name: /^CN=(.*)$/m.exec(certificate.subject ?? "")?.[1] ?? "",
        fingerprint: createHash("sha256").update(certificate.raw).digest("hex"),
      },
    }),
  };
}

function readContext({ cert, key, clientCa, minVersion }: TlsSettings): TlsOptions {
  return {
    ...(cert !== undefined && { cert: readFileSync(cert) }),
    ...(key !== undefined && { key: readFileSync(key) }),
    minVersion,
    ...(clientCa !== undefined && { ca: readFileSync(clientCa) }),
  };
}

function withClearErrors<T>({ cert, key }: TlsSettings, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const hint = code === "ENOENT" || code === "EACCES" ? message : `'${cert}' and '${key}': ${message}`;
    throw new ConfigError(`cannot use the TLS certificate: ${hint}`, { cause: error });
  }
}
