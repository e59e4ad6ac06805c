/**
 * Whether a ticket lets a client in, now and from where it comes. A nonce is good once in this process; where
 * several gateways share a secret, each remembers its own.
 */

import type { Clock } from "../clock.ts";
import { canonicalAddress } from "./address.ts";
import { Nonces } from "./nonces.ts";
import { assertSecret } from "./secret.ts";
import { readTicket, type Ticket } from "./ticket.ts";

export type { Ticket } from "./ticket.ts";

/** Why a ticket lets nobody in. */
export type TicketFault = "bad-ticket" | "expired-ticket" | "replayed-ticket";

/** How far the clock of whoever signs may be ahead of ours, in each of a ticket's times. It prolongs no ticket. */
const CLOCK_TOLERANCE_MS = 5000;

/** What a nonce that can't be used makes of its ticket. */
const FAULTS = { used: "replayed-ticket", full: "bad-ticket", forgotten: "expired-ticket" } as const;

export interface TicketCheckerOptions {
  /** The first is signed with, all are good: so one can be replaced without a gap. */
  readonly secrets: readonly Uint8Array[];
  readonly clock: Clock;
  /** How many nonces are remembered. With so many under way, a ticket with another is refused. */
  readonly maxNonces: number;
  /**
   * A ticket that expires later than this from now, by the clock of whoever has signed it, is refused: its nonce would be
   * remembered as long.
   */
  readonly maxLifeMs: number;
  /** The claim that names the manager that a client is to go to; without it, none does. */
  readonly managerField?: string;
}

export class TicketChecker {
  readonly #secrets: readonly Uint8Array[];
  readonly #clock: Clock;
  readonly #maxLifeMs: number;
  readonly #managerField: string | undefined;
  readonly #nonces: Nonces;

  /** @throws RangeError without a secret, or for one of less than 32 bytes */
  constructor({ secrets, clock, maxNonces, maxLifeMs, managerField }: TicketCheckerOptions) {
    if (secrets.length === 0) throw new RangeError("tickets can't be checked without a secret");
    for (const secret of secrets) assertSecret(secret);
    this.#secrets = [...secrets];
    this.#clock = clock;
    this.#maxLifeMs = maxLifeMs;
    this.#managerField = managerField;
    this.#nonces = new Nonces(maxNonces);
  }

  /** How many nonces are remembered. */
  get nonceCount(): number {
    return this.#nonces.count;
  }

  /**
   * Checks a ticket, and uses its nonce up when it is good.
   *
   * @param address where the client comes from, in any spelling
   * @returns the ticket; `expired-ticket` and `replayed-ticket` only for one that was properly signed; `expired-ticket`
   *   also for one that had expired before our clock was set back; `bad-ticket` also for a good one whose nonce there is
   *   no room to remember
   */
  check(token: string | Buffer, address: string): Ticket | TicketFault {
    const signed = readTicket(token, this.#secrets, this.#managerField);
    if (signed === undefined) return "bad-ticket";
    const { ticket, notBeforeMs } = signed;
    const now = this.#clock.wall();
    if (ticket.expiresAtMs <= now) return "expired-ticket";
    if (ticket.expiresAtMs - now > this.#maxLifeMs + CLOCK_TOLERANCE_MS) return "bad-ticket";
    if (notBeforeMs.some((time) => time > now + CLOCK_TOLERANCE_MS)) return "bad-ticket";
    if (ticket.address !== undefined && ticket.address !== canonicalAddress(address)) return "bad-ticket";
    return this.#useUp(ticket, now) ?? ticket;
  }

  #useUp({ nonce, expiresAtMs }: Ticket, wallMs: number): TicketFault | undefined {
    if (nonce === undefined) return undefined;
    const now = { wallMs, steadyMs: this.#clock.now() };
    // Somewhat longer than the ticket's life: so far our clock may be set back, and no other ticket is in doubt.
    const use = this.#nonces.use(nonce, expiresAtMs + CLOCK_TOLERANCE_MS, now);
    return use === "fresh" ? undefined : FAULTS[use];
  }
}
