/**
 * How much one client may say: messages and bytes a second, each with a burst. Who has used that up says nothing until
 * time has brought more. A message is not cut: the last one may be of more bytes than were left, and those are owed. Who
 * goes and comes again finds what its address has used up.
 */

import { AddressTable } from "./address-table.ts";

export interface TalkLimits {
  /** Messages a second and at once; a rate of 0 is no limit. */
  readonly messageRate: number;
  readonly messageBurst: number;
  /** Bytes a second and at once; a rate of 0 is no limit. */
  readonly byteRate: number;
  readonly byteBurst: number;
}

/** What one client may still say. Negative: what it owes. */
export interface Allowance {
  messages: number;
  bytes: number;
  /** When it was last topped up, milliseconds. */
  at: number;
}

/** How many addresses of those who went are remembered at least. */
const REMEMBERED_ADDRESSES = 65_536;

/** By how much of a message an allowance may fall short, so that rounding stops nobody. */
const TOLERANCE = 1 / 1000;

export class TalkRate {
  readonly #limits: TalkLimits;
  /** When those who went from an address would have had their whole bursts again. */
  readonly #messagesFullAt: AddressTable;
  readonly #bytesFullAt: AddressTable;

  constructor(limits: TalkLimits) {
    this.#limits = limits;
    this.#messagesFullAt = new AddressTable(limits.messageRate > 0 ? REMEMBERED_ADDRESSES : 0);
    this.#bytesFullAt = new AddressTable(limits.byteRate > 0 ? REMEMBERED_ADDRESSES : 0);
  }

  /** Whether anything is limited. */
  static limits({ messageRate, byteRate }: TalkLimits): boolean {
    return messageRate > 0 || byteRate > 0;
  }

  /**
   * What a client begins with: a burst, less what those who went from its address before have used of theirs.
   *
   * @param address canonical; empty where it has none, and nothing is remembered
   */
  begin(address: string, now: number): Allowance {
    const { messageRate, messageBurst, byteRate, byteBurst } = this.#limits;
    if (address === "") return { messages: messageBurst, bytes: byteBurst, at: now };
    const messagesUsed = used(this.#messagesFullAt.timeOf(address), messageRate, now);
    const bytesUsed = used(this.#bytesFullAt.timeOf(address), byteRate, now);
    return { messages: messageBurst - messagesUsed, bytes: byteBurst - bytesUsed, at: now };
  }

  /** A client has gone: what it has used up is what the next one from there finds, unless another has used up more. */
  end(allowance: Allowance, address: string, now: number): void {
    if (address === "") return;
    this.#topUp(allowance, now);
    const { messageRate, messageBurst, byteRate, byteBurst } = this.#limits;
    remember(this.#messagesFullAt, address, fullAt(messageBurst - allowance.messages, messageRate, now));
    remember(this.#bytesFullAt, address, fullAt(byteBurst - allowance.bytes, byteRate, now));
  }

  /**
   * Charges a client for one message.
   *
   * @returns whether it has kept within its limits
   */
  charge(allowance: Allowance, bytes: number, now: number): boolean {
    this.#topUp(allowance, now);
    const { messageRate, byteRate } = this.#limits;
    if (messageRate > 0) allowance.messages--;
    if (byteRate > 0) allowance.bytes -= bytes;
    return allowance.messages >= -TOLERANCE && allowance.bytes >= 0;
  }

  /** Whether a client may say something more. */
  maySpeak(allowance: Allowance, now: number): boolean {
    return this.silentMs(allowance, now) === 0;
  }

  /** For how long a client may say nothing, milliseconds. */
  silentMs(allowance: Allowance, now: number): number {
    this.#topUp(allowance, now);
    const { messageRate, byteRate } = this.#limits;
    const missing = messageRate > 0 ? 1 - TOLERANCE - allowance.messages : 0;
    const owed = byteRate > 0 && allowance.bytes <= 0 ? 1 - allowance.bytes : 0;
    const messagesMs = missing > 0 ? (missing / messageRate) * 1000 : 0;
    return Math.max(messagesMs, owed > 0 ? (owed / byteRate) * 1000 : 0);
  }

  #topUp(allowance: Allowance, now: number): void {
    const seconds = (now - allowance.at) / 1000;
    if (seconds <= 0) return;
    const { messageRate, messageBurst, byteRate, byteBurst } = this.#limits;
    allowance.at = now;
    allowance.messages = Math.min(messageBurst, allowance.messages + seconds * messageRate);
    allowance.bytes = Math.min(byteBurst, allowance.bytes + seconds * byteRate);
  }
}

/** How much is still used up of a burst that will be whole at `fullAtMs`. */
function used(fullAtMs: number, ratePerSecond: number, now: number): number {
  return ratePerSecond > 0 ? (Math.max(0, fullAtMs - now) / 1000) * ratePerSecond : 0;
}

/** When a burst will be whole of which so much is used up. */
function fullAt(usedUp: number, ratePerSecond: number, now: number): number {
  return ratePerSecond > 0 ? now + (usedUp / ratePerSecond) * 1000 : 0;
}

function remember(table: AddressTable, address: string, time: number): void {
  if (time <= table.timeOf(address)) return;
  table.times[table.placeOf(address)] = time;
}
