/** What the tickets' tests share: a secret, a moment, and a signer of its own that signs anything. */

import { createHmac } from "node:crypto";
import { TicketChecker, type TicketCheckerOptions } from "../../gateway/guard/ticket-checker.ts";
import { FakeClock } from "../helpers/fake-clock.ts";

/** Bytes 0 to 31. */
export const SECRET = Uint8Array.from({ length: 32 }, (_, index) => index);
export const OTHER_SECRET = new Uint8Array(32).fill(7);

/** Where the fake clock starts: 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;
export const START = START_MS / 1000;

/** A checker, and the clock that it reads. */
export function checkerAt(options: Partial<TicketCheckerOptions> = {}): {
  readonly checker: TicketChecker;
  readonly clock: FakeClock;
} {
  const clock = new FakeClock();
  const checker = new TicketChecker({
    secrets: [SECRET],
    clock,
    maxNonces: 100,
    maxLifeMs: 3_600_000,
    ...options,
  });
  return { checker, clock };
}

/** Signs parts as they are given: values as JSON, text as it stands. */
export function sign(header: unknown, claims: unknown, secret: Uint8Array = SECRET): string {
  return signText(`${part(header)}.${part(claims)}`, secret);
}

/** Signs text that need not be base64url. */
export function signText(signed: string, secret: Uint8Array = SECRET): string {
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Signs claims under the right header. */
export function signClaims(claims: unknown): string {
  return sign({ alg: "HS256", typ: "JWT" }, claims);
}

function part(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return Buffer.from(text).toString("base64url");
}
