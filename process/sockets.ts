/**
 * The one place where sockets and servers are made. Whatever is made here, and each socket and stream that it hands out later, has a
 * listener for its errors from its first moment to its last (stream-errors.ts): nobody who takes it over has to think of it.
 * test/house/sockets.test.ts holds that nothing makes them elsewhere.
 */

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { withErrorListener } from "./stream-errors.ts";

/** A server of TCP or Unix sockets. */
export function createSocketServer(options: net.ServerOpts = {}): net.Server {
  return withErrorListener(net.createServer(options)).on("connection", withErrorListener);
}

/** A server of TLS: of sockets that connect to it, or of those that are given to it as `connection`. */
export function createTlsServer(options: tls.TlsOptions): tls.Server {
  return withErrorListener(tls.createServer(options))
    .on("connection", withErrorListener)
    .on("secureConnection", withErrorListener)
    .on("tlsClientError", (_error, socket) => withErrorListener(socket));
}

/** What becomes of requests; without a handler Node does what it does by itself. */
export interface HttpHandlers {
  request(request: IncomingMessage, response: ServerResponse): void;
  /** The stream need not be the request's socket: it is another one over it where a body was announced. */
  readonly upgrade?: (request: IncomingMessage, stream: Duplex, head: Buffer) => void;
  readonly connect?: (request: IncomingMessage, stream: Duplex) => void;
  readonly checkExpectation?: (request: IncomingMessage, response: ServerResponse) => void;
  readonly clientError?: (error: Error, stream: Duplex) => void;
}

/** A server of HTTP: of sockets that connect to it, or of those that are given to it as `connection`. */
export function createHttpServer(options: ServerOptions, handlers: HttpHandlers): Server {
  const { request, upgrade, connect, checkExpectation, clientError } = handlers;
  const server = withErrorListener(createServer(options)).on("connection", withErrorListener);
  server.on("request", (asked, response) => request(asked, withErrorListener(response)));
  if (upgrade !== undefined) {
    server.on("upgrade", (asked, stream, head) => upgrade(asked, withErrorListener(stream), head));
  }
  if (checkExpectation !== undefined) {
    server.on("checkExpectation", (asked, response) => checkExpectation(asked, withErrorListener(response)));
  }
  // In these it is the socket itself that is handed out, which has its listener.
  if (connect !== undefined) server.on("connect", connect);
  if (clientError !== undefined) server.on("clientError", clientError);
  return server;
}

/** A socket that connects. */
export function connectSocket(options: net.NetConnectOpts): net.Socket {
  return withErrorListener(net.connect(options));
}

/** A socket that connects, and begins TLS. */
export function connectTls(options: tls.ConnectionOptions): tls.TLSSocket {
  return withErrorListener(tls.connect(options));
}

/** A socket over what is there already. */
export function socketOver(options: net.SocketConstructorOpts): net.Socket {
  return withErrorListener(new net.Socket(options));
}

/** Where a port is to be bound. */
export interface PortToBind {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly ipv6Only: boolean;
}

/**
 * Binds a port for a moment, without listening: nobody can arrive. Older versions of Node can't, and then nothing is done.
 *
 * @throws Error with the system's code when it can't be bound
 */
export function tryPort(port: PortToBind): void {
  if (net.BoundSocket !== undefined) new net.BoundSocket(port).close();
}

export function isSocket(stream: unknown): stream is net.Socket {
  return stream instanceof net.Socket;
}

export function isTlsSocket(stream: unknown): stream is tls.TLSSocket {
  return stream instanceof tls.TLSSocket;
}
