/** What a handshake tells of a client beside its address, for the manager (docs/protocol.md, "CLJoin"). */

export interface ClientDetails {
  /** The proxy that the client came through, when its address was taken from that proxy's word. */
  readonly proxy?: string;
  /** TLS: the server name that the client asked for, the protocol that was agreed, the client's certificate. */
  readonly sni?: string;
  readonly alpn?: string;
  readonly certificate?: ClientCertificate;
  /** WebSocket: the request's path and query, the subprotocol that was agreed, and the headers that are told. */
  readonly path?: string;
  readonly query?: string;
  readonly subprotocol?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ClientCertificate {
  /** The subject's common name; empty when it has none. */
  readonly name: string;
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
}

/** What is known of a client that only connected. */
export const NO_DETAILS: ClientDetails = Object.freeze({});
