/**
 * Admission tickets: what a log-in server gives a client, and the client gives the gateway. A ticket is a JWT
 * (RFC 7519) signed with HS256, so that any language can make one with what it has; but of all that JWTs can
 * be, only this is read. The signature is checked before anything inside is looked at, and the algorithm
 * that a token names decides nothing: one that names another is refused.
 */

import { isUtf8 } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { canonicalAddress } from "./address.ts";
import { assertSecret } from "./secret.ts";

export { readSecret } from "./secret.ts";

/** Longer tokens are not looked at, bytes. */
export const MAX_TICKET_BYTES = 2048;
/** The longest user's name, bytes of UTF-8: as long as a name may be on the link. */
export const MAX_USER_BYTES = 128;
/** Limits of other texts, UTF-16 code units. */
export const MAX_NONCE_LENGTH = 64;
export const MAX_CONTEXT_LENGTH = 128;
export const MAX_MANAGER_LENGTH = 64;

/** Every claim that means something in each ticket. */
export const ticketClaims: readonly string[] = ["sub", "exp", "nbf", "iat", "addr", "jti", "ctx"];

/** The claim that names a manager, where no other is configured. */
export const MANAGER_CLAIM = "manager";

/** The longest name of that claim, UTF-16 code units. */
export const MAX_CLAIM_LENGTH = 128;

const MAC_BYTES = 32;

/** Who may come in, and on what conditions. */
export interface Ticket {
  readonly user: string;
  /** Since 1970. */
  readonly expiresAtMs: number;
  /** The only address that the client may come from, in canonical form. */
  readonly address?: string;
  /** A ticket with a nonce lets one client in, once. */
  readonly nonce?: string;
  /** What the log-in server wants the manager to know. */
  readonly context?: string;
  /** The manager that the client is to go to. */
  readonly manager?: string;
}

/** A ticket as it was signed, with the times that its signer set. */
export interface SignedTicket {
  readonly ticket: Ticket;
  /** Not valid before these, ms since 1970: `nbf` and `iat`. */
  readonly notBeforeMs: readonly number[];
}

/**
 * A token for a ticket.
 *
 * @param managerField the claim for its manager
 * @throws RangeError for a ticket that no checker would take, or a secret of less than 32 bytes
 */
export function signTicket(ticket: Ticket, secret: Uint8Array, managerField = MANAGER_CLAIM): string {
  assertSecret(secret);
  const { user, expiresAtMs, address, nonce, context, manager } = ticket;
  const known = { sub: user, exp: expiresAtMs / 1000, addr: address, jti: nonce, ctx: context };
  const claims = manager === undefined ? known : { ...known, [managerField]: manager };
  if (readClaims(claims, managerField) === undefined) throw new RangeError("the ticket is out of its bounds");
  const signed = `${encodeJson({ alg: "HS256", typ: "JWT" })}.${encodeJson(claims)}`;
  const token = `${signed}.${mac(signed, secret).toString("base64url")}`;
  if (token.length > MAX_TICKET_BYTES) throw new RangeError("the ticket is too long");
  return token;
}

/**
 * Reads a token that one of the secrets has signed; says nothing about times.
 *
 * @param managerField the claim that names a manager; without it, none does
 * @returns undefined for one that is malformed, not signed with any of them, or out of its bounds
 */
export function readTicket(
  token: string | Buffer,
  secrets: readonly Uint8Array[],
  managerField?: string,
): SignedTicket | undefined {
  if (token.length > MAX_TICKET_BYTES) return undefined;
  const parts = token.toString("latin1").split(".");
  const [header = "", claims = "", signature = ""] = parts;
  const [headerBytes, claimBytes, signatureBytes] = [header, claims, signature].map(decodeBase64Url);
  if (parts.length !== 3 || headerBytes === undefined || claimBytes === undefined) return undefined;
  if (signatureBytes?.length !== MAC_BYTES) return undefined;
  const signed = `${header}.${claims}`;
  if (!secrets.some((secret) => timingSafeEqual(mac(signed, secret), signatureBytes))) return undefined;
  if (!isOurHeader(parseObject(headerBytes))) return undefined;
  return readClaims(parseObject(claimBytes), managerField);
}

function mac(text: string, secret: Uint8Array): Buffer {
  return createHmac("sha256", secret).update(text).digest();
}

function isOurHeader(header: Record<string, unknown> | undefined): boolean {
  if (header === undefined) return false;
  // Both change what a signature means, and whoever does not know them must refuse the token (RFC 7515, 7797).
  if (Object.hasOwn(header, "crit") || Object.hasOwn(header, "b64")) return false;
  return header.alg === "HS256" && (header.typ === undefined || header.typ === "JWT");
}

function readClaims(
  claims: Record<string, unknown> | undefined,
  managerField: string | undefined,
): SignedTicket | undefined {
  if (claims === undefined) return undefined;
  const { sub, exp, nbf, iat, addr, jti, ctx } = claims;
  if (!isText(sub, 1, MAX_USER_BYTES) || Buffer.byteLength(sub) > MAX_USER_BYTES) return undefined;
  if (!isTime(exp)) return undefined;
  if (jti !== undefined && !isText(jti, 1, MAX_NONCE_LENGTH)) return undefined;
  if (ctx !== undefined && !isText(ctx, 0, MAX_CONTEXT_LENGTH)) return undefined;
  const address = typeof addr === "string" ? canonicalAddress(addr) : undefined;
  if (addr !== undefined && address === undefined) return undefined;
  const manager = ownClaim(claims, managerField);
  if (manager !== undefined && !isText(manager, 1, MAX_MANAGER_LENGTH)) return undefined;
  const starts = [nbf, iat].filter((time) => time !== undefined);
  if (!starts.every(isTime)) return undefined;
  const ticket: Ticket = {
    user: sub,
    expiresAtMs: toMs(exp),
    ...(address !== undefined && { address }),
    ...(jti !== undefined && { nonce: jti }),
    ...(ctx !== undefined && { context: ctx }),
    ...(manager !== undefined && { manager }),
  };
  return { ticket, notBeforeMs: starts.map(toMs) };
}

/** A claim whose name is configured, and may be one that every object has. */
function ownClaim(claims: Record<string, unknown>, name: string | undefined): unknown {
  return name !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Text that can be told on: as long as it may be, and no half of a surrogate pair. */
function isText(value: unknown, minLength: number, maxLength: number): value is string {
  if (typeof value !== "string" || !value.isWellFormed()) return false;
  return value.length >= minLength && value.length <= maxLength;
}

/** Seconds since 1970, which need not be whole (RFC 7519, section 2). */
function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER / 1000;
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1000);
}

function encodeJson(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** Without padding, and with no second spelling of the same bytes. */
function decodeBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return text !== "" && bytes.toString("base64url") === text ? bytes : undefined;
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
