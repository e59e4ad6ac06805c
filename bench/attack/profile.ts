/**
 * The gateway under attack: its listeners, and the guard that docs/operations.md recommends for the open internet.
 * It is the same for all attacks.
 */

import { join } from "node:path";

const TLS_FILES = join(import.meta.dirname, "../../test/fixtures/tls");

/** The certificate that the server's is signed with. */
export const CA_FILE = join(TLS_FILES, "ca.crt");

/** The one proxy that is believed. */
export const PROXY_ADDRESS = "127.0.0.10";

/** Clients of the manager; more than silent ones can take: `connectionBurst` and 5 s of `connectionRate`. */
export const CAPACITY = 5000;

export const CLIENT_BUFFER_BYTES = 262_144;

/** What is recommended for the open internet. */
export const GUARD = {
  "max-connections-per-address": 64,
  "address-rate": 10,
  "address-burst": 40,
  "connection-rate": 500,
  "connection-burst": 1000,
  "handshake-timeout-ms": 5000,
  "first-message-timeout-ms": 5000,
  "idle-timeout-ms": 60_000,
  "min-message-rate": 64,
  "message-grace-ms": 5000,
  "message-rate": 100,
  "message-burst": 200,
  "byte-rate": 65_536,
  "byte-burst": 131_072,
  "rate-policy": "pause",
  "client-buffer-bytes": CLIENT_BUFFER_BYTES,
} as const;

/** The listeners by name. */
export const LISTENERS = {
  stream: "tcp://127.0.0.1:0?name=stream",
  framed: "tcp://127.0.0.1:0?name=framed&framing=u16be",
  web: "ws://127.0.0.1:0?name=web",
  secure: `tls://127.0.0.1:0?name=secure&cert=${join(TLS_FILES, "server.crt")}&key=${join(TLS_FILES, "server.key")}`,
  proxied: `tcp://127.0.0.1:0?name=proxied&proxy=any&trusted=${PROXY_ADDRESS}`,
} as const;

export type ListenerName = keyof typeof LISTENERS;
export const listenerNames = Object.keys(LISTENERS) as ListenerName[];

/** The ports of the listeners. */
export type Ports = Readonly<Record<ListenerName, number>>;

/** The gateway's flags. */
export function gatewayFlags(): string[] {
  const guard = Object.entries(GUARD).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const listen = Object.values(LISTENERS).flatMap((url) => ["--listen", url]);
  return [...guard, ...listen];
}
