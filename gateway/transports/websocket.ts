/**
 * WebSocket on a listener: the step that reads the request and upgrades it. Node's HTTP parser reads it, `ws` checks
 * and answers it; between the two stand the listener's own rules (path, origin, who the client is, its ticket).
 */

import { type IncomingHttpHeaders, type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { createHttpServer, isSocket } from "../../process/sockets.ts";
import {
  MAX_DETAIL_LENGTH,
  MAX_HEADER_LENGTH,
  MAX_PATH_LENGTH,
  MAX_QUERY_LENGTH,
} from "../../proto/bodies.ts";
import type { Refusal } from "../guard/refusal.ts";
import type { ClientDetails } from "./details.ts";
import { forwardedClient } from "./forwarded.ts";
import { Handshake, type Handshaken, type HandshakeStep } from "./handshake.ts";
import type { ListenAddress } from "./listen-address.ts";
import { overTcp } from "./listening.ts";
import { peerAddress } from "./socket-channel.ts";
import type { Transported } from "./stream-listener.ts";
import { channelOver, proxySteps, type TransportContext } from "./streams.ts";
import { TlsLayer } from "./tls.ts";
import { WebSocketConnection } from "./ws-connection.ts";
import { deflateOffer, offeredProtocols } from "./ws-offers.ts";

/** WebSocket over plain TCP (`ws`), or over TLS (`wss`). */
export function webSocketTransport(address: ListenAddress, context: TransportContext): Transported {
  const tls = address.transport === "wss" ? new TlsLayer(address) : undefined;
  const web = new WebSocketLayer(address);
  const steps = [...proxySteps(address), ...(tls === undefined ? [] : [tls.step]), web.step];
  const { trusted, proxy, forwarded } = address;
  const establish = (socket: Socket, handshaken: Handshaken) => web.establish(socket, context, handshaken);
  return {
    arrive(accepted) {
      const isProxy = forwarded !== "off" && trusted.has(peerAddress(accepted));
      return new Handshake(accepted, proxy !== "off" || isProxy, steps, establish);
    },
    place: overTcp,
    ...(tls !== undefined && { files: tls.files, reload: () => tls.reload() }),
  };
}

/** The options of a listener that WebSocket takes. */
type WebSocketSettings = Pick<
  ListenAddress,
  | "path"
  | "origins"
  | "subprotocols"
  | "deflate"
  | "frames"
  | "headers"
  | "forwarded"
  | "ticket"
  | "trusted"
  | "maxMessageBytes"
>;

/** The query's parameter that bears a ticket. */
const TICKET_PARAMETER = "ticket";

/** The longest request, bytes. */
export const MAX_REQUEST_BYTES = 8 * 1024;

/** Somebody else bounds the time. */
const NEVER = 0;

/** What `ws` makes when an upgrade is complete: here it only keeps what was agreed. */
class Agreed {
  _protocol = "";
  _extensions: Readonly<Record<string, unknown>> = {};
  head: Buffer = Buffer.alloc(0);

  setSocket(_socket: Duplex, head: Buffer): void {
    this.head = head;
  }
}

export class WebSocketLayer {
  readonly #settings: WebSocketSettings;
  /** Neither ever listens: sockets are given to them. */
  readonly #http: Server;
  readonly #upgrader: WebSocketServer;
  readonly #handshakes = new WeakMap<Duplex, Handshake>();
  /** By socket. What was read behind its request is not kept with it. */
  readonly #extensions = new WeakMap<Socket, Agreed["_extensions"]>();

  constructor(settings: WebSocketSettings) {
    this.#settings = settings;
    const options = {
      maxHeaderSize: MAX_REQUEST_BYTES,
      requestTimeout: NEVER,
      headersTimeout: NEVER,
      keepAliveTimeout: NEVER,
      // What is wrong with a request is answered here, and counted.
      requireHostHeader: false,
    };
    this.#http = createHttpServer(options, {
      request: ({ socket }) => this.#fail(socket, "bad-upgrade", 426),
      upgrade: (request, stream, head) => this.#upgrade(request, stream, head),
      connect: ({ socket }) => this.#fail(socket, "bad-upgrade", 405),
      checkExpectation: ({ socket }) => this.#fail(socket, "bad-upgrade", 417),
      clientError: (_error, socket) => this.#fail(socket, "bad-upgrade", 400),
    });
    this.#upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      WebSocket: Agreed as never,
      // Here it bounds what a message may become when it is inflated.
      maxPayload: settings.maxMessageBytes,
      handleProtocols: (offered) => this.#choose(offered),
      perMessageDeflate: settings.deflate && {
        serverNoContextTakeover: true,
        clientNoContextTakeover: true,
      },
    });
    this.#upgrader.on("wsClientError", (_error, socket) => this.#fail(socket, "bad-upgrade", 400));
  }

  readonly step: HandshakeStep = (handshake) => {
    const socket = handshake.wholeSocket();
    this.#handshakes.set(socket, handshake);
    this.#http.emit("connection", socket);
    socket.resume();
  };

  /** Makes the connection of a socket that was upgraded. */
  establish(socket: Socket, context: TransportContext, { raw, ...client }: Handshaken): WebSocketConnection {
    return new WebSocketConnection(channelOver(socket, raw, context), client, {
      maxMessageBytes: context.maxMessageBytes(),
      frames: this.#settings.frames,
      extensions: this.#extensions.get(socket) ?? {},
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const handshake = this.#handshakes.get(socket);
    // A request with a body that is still to come has no socket of its own.
    if (handshake === undefined || !isSocket(socket)) {
      this.#fail(request.socket, "bad-upgrade", 400);
      return;
    }
    if (handshake.over) return;
    const refusal = this.#check(handshake, request);
    if (refusal !== undefined) {
      this.#fail(socket, refusal, statusOf(refusal));
      return;
    }
    const offering = this.#takeOffers(request);
    if (offering === undefined) {
      this.#fail(socket, "bad-upgrade", 400);
      return;
    }
    this.#upgrader.handleUpgrade(offering, socket, head, (agreed) => {
      this.#complete(handshake, request, socket, agreed as unknown as Agreed);
    });
  }

  /** The request, with no more offers than are taken; undefined when they can't be read. */
  #takeOffers(request: IncomingMessage): IncomingMessage | undefined {
    const { "sec-websocket-extensions": extensions, "sec-websocket-protocol": protocols } = request.headers;
    const headers = { ...request.headers };
    if (protocols !== undefined) replace(headers, "sec-websocket-protocol", offeredProtocols(protocols));
    if (this.#settings.deflate && extensions !== undefined) {
      try {
        replace(headers, "sec-websocket-extensions", deflateOffer(extensions));
      } catch (error) {
        if (error instanceof SyntaxError) return undefined;
        throw error;
      }
    }
    // The manager is still told of the headers as they came.
    return Object.create(request, { headers: { value: headers } });
  }

  #check(handshake: Handshake, request: IncomingMessage): Refusal | undefined {
    const { path, origins, ticket } = this.#settings;
    const url = splitUrl(request);
    const unknown = this.#identify(handshake, request);
    if (unknown !== undefined) return unknown;
    if ((path !== undefined && url.path !== path) || url.path.length > MAX_PATH_LENGTH) return "bad-path";
    if (url.query.length > MAX_QUERY_LENGTH) return "bad-upgrade";
    if (origins.length > 0 && !origins.includes(request.headers.origin ?? "")) return "bad-origin";
    if (ticket !== "query") return undefined;
    return handshake.present(new URLSearchParams(url.query).get(TICKET_PARAMETER) ?? "");
  }

  /** Finds out who the client is, when a proxy says it in a header. */
  #identify(handshake: Handshake, { headers }: IncomingMessage): Refusal | undefined {
    const { forwarded, trusted } = this.#settings;
    if (forwarded === "off") return undefined;
    const { peer } = handshake;
    // Who is no proxy is the client, whatever it says of itself, and was checked when it arrived.
    if (!trusted.has(peer.address)) return undefined;
    const header = headers[forwarded];
    const client = forwardedClient(forwarded, header?.toString(), peer.address, (hop) => trusted.has(hop));
    if ("fault" in client) return "bad-proxy-header";
    if (client.address === peer.address) return handshake.identify(peer.address, peer.port);
    handshake.describe({ proxy: peer.address });
    return handshake.identify(client.address, 0);
  }

  #complete(handshake: Handshake, request: IncomingMessage, socket: Socket, agreed: Agreed): void {
    const { path, query } = splitUrl(request);
    const { headers, ticket } = this.#settings;
    const told = headers.flatMap((name) => {
      const value = request.headers[name];
      return value === undefined ? [] : [[name, value.toString().slice(0, MAX_HEADER_LENGTH)] as const];
    });
    const details: ClientDetails = {
      path,
      query: ticket === "query" ? withoutTicket(query) : query,
      ...(agreed._protocol !== "" && { subprotocol: agreed._protocol }),
      ...(told.length > 0 && { headers: Object.fromEntries(told) }),
    };
    this.#extensions.set(socket, agreed._extensions);
    handshake.describe(details);
    handshake.leave(agreed.head);
    handshake.proceed();
  }

  #choose(offered: Set<string>): string | false {
    const { subprotocols } = this.#settings;
    if (subprotocols.length === 0) {
      return [...offered].find((name) => name.length <= MAX_DETAIL_LENGTH) ?? false;
    }
    return subprotocols.find((known) => offered.has(known)) ?? false;
  }

  #fail(socket: Duplex, refusal: Refusal, status: number): void {
    const handshake = this.#handshakes.get(socket);
    if (handshake === undefined || !socket.writable) {
      if (handshake !== undefined) handshake.fail(refusal);
      else socket.destroy();
      return;
    }
    handshake.fail(refusal, answer(status, refusal));
  }
}

function replace(headers: IncomingHttpHeaders, name: string, value: string | undefined): void {
  if (value === undefined) delete headers[name];
  else headers[name] = value;
}

function splitUrl({ url = "/" }: IncomingMessage): { readonly path: string; readonly query: string } {
  const mark = url.indexOf("?");
  return mark === -1 ? { path: url, query: "" } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

/** A ticket is a secret for as long as it lives: it is not passed on. */
function withoutTicket(query: string): string {
  const isTicket = (part: string) => new URLSearchParams(part).has(TICKET_PARAMETER);
  return query
    .split("&")
    .filter((part) => !isTicket(part))
    .join("&");
}

function statusOf(refusal: Refusal): number {
  switch (refusal) {
    case "bad-path":
      return 404;
    case "bad-ticket":
    case "expired-ticket":
    case "replayed-ticket":
      return 401;
    case "user-taken":
      return 409;
    case "bad-proxy-header":
      return 400;
    case "too-many-connections":
    case "too-many-from-address":
    case "too-many-from-prefix":
    case "connection-rate":
    case "address-rate":
      return 429;
    default:
      return 403;
  }
}

function answer(status: number, refusal: Refusal): string {
  const text = `${refusal}\n`;
  const upgrade = status === 426 ? "upgrade: websocket\r\n" : "";
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${upgrade}connection: close\r\n` +
    `content-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`
  );
}
