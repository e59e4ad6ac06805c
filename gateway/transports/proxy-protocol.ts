/**
 * The PROXY protocol, by which a proxy in front tells whose connection it forwards: HAProxy's
 * "The PROXY protocol, versions 1 & 2". Fed with all that a connection has brought so far, until the header
 * is whole or can't become one. Whether there is a header is never guessed: a listener either wants one from
 * everybody, or reads none, or else clients could say that they are somebody else.
 */

import type { ProxyReading } from "./proxy-header.ts";
import { MAX_V1_BYTES, readV1 } from "./proxy-v1.ts";
import { MAX_V2_BYTES, readV2 } from "./proxy-v2.ts";

export type { ProxyFault, ProxyHeader, ProxyReading, ProxyTls } from "./proxy-header.ts";

/** Which versions a listener accepts. */
export type ProxyVersions = "v1" | "v2" | "any";

/** With this many bytes there is a header or a fault, never "more". */
export const MAX_PROXY_HEADER_BYTES = Math.max(MAX_V1_BYTES, MAX_V2_BYTES);

const V1_START = 0x50;
const V2_START = 0x0d;

/**
 * Reads a header.
 *
 * @param bytes everything that the connection has brought so far, from its first byte
 * @returns the header; "more" while it is not whole; a fault as early as it can't be an accepted one.
 *   Never throws.
 */
export function readProxyHeader(bytes: Buffer, accepted: ProxyVersions): ProxyReading {
  switch (bytes[0]) {
    case undefined:
      return "more";
    case V1_START:
      return accepted === "v2" ? { fault: "version 1, which is not accepted" } : readV1(bytes);
    case V2_START:
      return accepted === "v1" ? { fault: "version 2, which is not accepted" } : readV2(bytes);
    default:
      return { fault: "no PROXY header" };
  }
}
