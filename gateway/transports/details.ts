/** What a handshake tells of a client beside its address, for the manager (docs/protocol.md, "CLJoin"). */

import { MAX_DETAIL_LENGTH } from "../../proto/bodies.ts";

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

/**
 * The details with every text cut to what the protocol allows: what a client says of itself must never be more than the
 * link can carry.
 */
export function boundedDetails(details: ClientDetails): ClientDetails {
  const { sni, alpn, subprotocol, certificate } = details;
  const cut = (text: string) => text.slice(0, MAX_DETAIL_LENGTH);
  return {
    ...details,
    ...(sni !== undefined && { sni: cut(sni) }),
    ...(alpn !== undefined && { alpn: cut(alpn) }),
    ...(subprotocol !== undefined && { subprotocol: cut(subprotocol) }),
    ...(certificate !== undefined && { certificate: { ...certificate, name: cut(certificate.name) } }),
  };
}

/** What is known of a client that only connected. */
export const NO_DETAILS: ClientDetails = Object.freeze({});
