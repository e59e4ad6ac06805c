/** Why a client is turned away before it has a session: one stable code for each reason. */

/** Every code. Codes are counted and logged by name, and are not used again for something else. */
export const refusals = [
  /** Its address is on the deny list. */
  "denied",
  /** There is an allow list, and its address is not on it. */
  "not-allowed",
  /** Its address is banned for a while. */
  "banned",
  /** As many clients are connected as may be. */
  "too-many-connections",
  /** As many clients are connected from its address as may be. */
  "too-many-from-address",
  /** As many clients are connected from its IPv6 /64 as may be. */
  "too-many-from-prefix",
  /** Clients arrive faster than may be, all together. */
  "connection-rate",
  /** Clients arrive from its address faster than may be. */
  "address-rate",
  /** The process has no file descriptor left for it. */
  "descriptors",
  /** It came without being one of the proxies that may tell the client's address in a PROXY header. */
  "untrusted-proxy",
  /** What it sent is no PROXY header. */
  "bad-proxy-header",
  /** The TLS handshake failed. */
  "tls-handshake",
  /** What it sent is no valid request for a WebSocket. */
  "bad-upgrade",
  /** The web page that opened the WebSocket is of an origin that may not. */
  "bad-origin",
  /** The WebSocket was asked for at a path that does not exist. */
  "bad-path",
  /** Its handshake was not through in time. */
  "handshake-timeout",
  /** It went away before its handshake was through. */
  "left-early",
  /** It reset its connection before that was accepted. */
  "reset-early",
  /** Its ticket is missing, or was not made by who may make tickets. */
  "bad-ticket",
  /** Its ticket's time is over. */
  "expired-ticket",
  /** Its ticket was used before. */
  "replayed-ticket",
  /** Its ticket is of a user who is in already, and may be in once. */
  "user-taken",
  /** What it shows, its ticket or what it said first, names no manager that there is. */
  "unknown-manager",
  /** All slots are taken. */
  "no-slot",
  /** There is no manager to hand it to. */
  "no-manager",
  /** The manager has not acknowledged what it was told, and nothing more may wait for that. */
  "manager-behind",
  /** The gateway is about to end. */
  "draining",
] as const;

export type Refusal = (typeof refusals)[number];

const passing: readonly string[] = ["no-slot", "no-manager", "manager-behind", "draining"];

/** Whether a client may try again after this one; the others are final until something changes. */
export function isPassing(refusal: string): boolean {
  return passing.includes(refusal);
}
