/**
 * How much one client may say: messages and bytes a second, each with a burst. What it said is never taken back: a
 * client that said too much owes, and is not read, or not served, until it has paid.
 */

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

export class TalkRate {
  readonly #limits: TalkLimits;

  constructor(limits: TalkLimits) {
    this.#limits = limits;
  }

  /** Whether anything is limited. */
  static limits({ messageRate, byteRate }: TalkLimits): boolean {
    return messageRate > 0 || byteRate > 0;
  }

  /** What a client begins with. */
  full(now: number): Allowance {
    return { messages: this.#limits.messageBurst, bytes: this.#limits.byteBurst, at: now };
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
    return allowance.messages >= 0 && allowance.bytes >= 0;
  }

  /** Whether a client that owed has paid. */
  isPaid(allowance: Allowance, now: number): boolean {
    this.#topUp(allowance, now);
    return allowance.messages >= 0 && allowance.bytes >= 0;
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
