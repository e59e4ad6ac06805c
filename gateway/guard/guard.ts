/**
 * Who may come in: checks on an address, in one order, made before a slot or any work on TLS is spent on the
 * client. The lists come first, then what is counted, and last the rates, because asking those has a price:
 * who is refused for another reason uses up nobody's rate. The rate of one address comes before that of all,
 * so that one address can't use up everybody's.
 */

import type { Clock } from "../clock.ts";
import { canonicalAddress } from "./address.ts";
import { AddressFile } from "./address-file.ts";
import { AddressSet } from "./address-set.ts";
import { Bans } from "./bans.ts";
import type { Check } from "./checks/check.ts";
import { addressCountCheck, prefixCountCheck, totalCheck } from "./checks/counts.ts";
import { type AddressList, bannedCheck, deniedCheck, notAllowedCheck } from "./checks/lists.ts";
import { addressRateCheck, totalRateCheck } from "./checks/rates.ts";
import { ConnectionCounts } from "./connection-counts.ts";
import type { Refusal } from "./refusal.ts";

/** A count or a rate of 0 is no limit. Rates are clients a second. */
export interface GuardLimits {
  /** IP addresses and CIDRs. Without any, and without an `allowFile`, everybody is allowed. */
  readonly allow: readonly string[];
  /** IP addresses and CIDRs. Who is on both lists is denied. */
  readonly deny: readonly string[];
  /** A file with more of them. An empty one allows nobody. */
  readonly allowFile: string | undefined;
  readonly denyFile: string | undefined;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** For each /64 of IPv6. */
  readonly maxConnectionsPerPrefix: number;
  readonly connectionRate: number;
  readonly connectionBurst: number;
  /** For each IPv4 address and each /64 of IPv6. */
  readonly addressRate: number;
  readonly addressBurst: number;
}

export interface GuardOptions {
  readonly limits: GuardLimits;
  readonly clock: Clock;
  /** A list or the bans have changed: who is in may have to go; see `tolerates`. */
  readonly changed: () => void;
  /** A file could not be read; its last good list stays. */
  readonly failed: (error: Error) => void;
}

/** The most addresses that may be banned at once. */
const MAX_BANS = 65_536;

export class Guard {
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #files: readonly AddressFile[];
  readonly #bans: Bans;
  readonly #counts = new ConnectionCounts();
  /** What also those who are in must pass, in order. */
  readonly #standingChecks: readonly Check[];
  /** All checks on who arrives, in order. */
  readonly #checks: readonly Check[];

  /** @throws Error when a list or a file is wrong; its message says which entry or line */
  constructor({ limits, clock, changed, failed }: GuardOptions) {
    this.#clock = clock;
    this.#changed = changed;
    this.#bans = new Bans(clock, MAX_BANS);
    const open = (path: string | undefined) =>
      path === undefined ? undefined : new AddressFile({ path, clock, changed, failed });
    const allowFile = open(limits.allowFile);
    const denyFile = open(limits.denyFile);
    const restricted = limits.allow.length > 0 || allowFile !== undefined;
    this.#standingChecks = [
      deniedCheck(joined(limits.deny, denyFile)),
      notAllowedCheck(restricted ? joined(limits.allow, allowFile) : undefined),
      bannedCheck(this.#bans),
    ];
    this.#checks = [
      ...this.#standingChecks,
      totalCheck(this.#counts, limits.maxConnections),
      addressCountCheck(this.#counts, limits.maxConnectionsPerAddress),
      prefixCountCheck(this.#counts, limits.maxConnectionsPerPrefix),
      addressRateCheck(limits.addressRate, limits.addressBurst),
      totalRateCheck(limits.connectionRate, limits.connectionBurst, clock.now()),
    ];
    this.#files = [allowFile, denyFile].filter((file) => file !== undefined);
    for (const file of this.#files) file.load();
    for (const file of this.#files) file.watch();
  }

  /** What a client may be refused for, in the order in which it is looked at. */
  get order(): readonly Refusal[] {
    return this.#checks.map(({ refusal }) => refusal);
  }

  /**
   * A client arrives. When it is let in it counts until `leave`, which must follow with the same address.
   *
   * @param address canonical; `""` when it has none, as over a Unix socket
   * @returns why it is turned away
   */
  enter(address: string): Refusal | undefined {
    const refusal = firstRefusal(this.#checks, address, this.#clock.now());
    if (refusal === undefined) this.#counts.add(address);
    return refusal;
  }

  /**
   * A client that was let in is gone.
   *
   * @throws Error when none that was let in from this address is still there
   */
  leave(address: string): void {
    this.#counts.remove(address);
  }

  /**
   * Whether a client that is in may stay, by the lists and the bans.
   *
   * @returns why it has to go
   */
  tolerates(address: string): Refusal | undefined {
    return firstRefusal(this.#standingChecks, address, this.#clock.now());
  }

  /**
   * Bans an address for a while, and with an IPv6 address its /64. A ban that ends later already is not
   * shortened. Text that is no IP address bans nobody.
   *
   * @param address in any form
   * @param ms how long, in milliseconds
   */
  ban(address: string, ms: number): void {
    const canonical = canonicalAddress(address);
    if (canonical === undefined) return;
    const before = this.#bans.has(canonical);
    this.#bans.ban(canonical, ms);
    if (!before && this.#bans.has(canonical)) this.#changed();
  }

  /** Reads the files again now. */
  reload(): void {
    for (const file of this.#files) file.reload();
  }

  /** Ends the watching of the files. */
  stop(): void {
    for (const file of this.#files) file.stop();
  }
}

/** The addresses of the configuration together with those of a file, as it is at the time of asking. */
function joined(entries: readonly string[], file: AddressFile | undefined): AddressList {
  const set = AddressSet.parse(entries);
  return { has: (address) => set.has(address) || (file?.current.has(address) ?? false) };
}

function firstRefusal(checks: readonly Check[], address: string, now: number): Refusal | undefined {
  for (const check of checks) if (check.refuses(address, now)) return check.refusal;
  return undefined;
}
