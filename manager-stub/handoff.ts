/**
 * Sessions that are being handed to another manager of their gateway: who waits for what comes of it, and what their clients
 * say meanwhile.
 */

import type { HandoffRefusal } from "../proto/bodies.ts";
import { HeldMessages } from "./held-messages.ts";

/** Why a session was not handed over. A later gateway may give a code that is not among them. */
export type HandoffErrorCode =
  | HandoffRefusal
  | "session-ended"
  | "gateway-lost"
  | "under-way"
  | "no-session"
  | (string & {});

/** A session was not handed over. */
export class HandoffError extends Error {
  override readonly name = "HandoffError";
  /** Stable; see docs/errors.md. */
  readonly code: HandoffErrorCode;

  constructor(code: HandoffErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function noSession(): HandoffError {
  return new HandoffError("no-session", "there is no such session, or it was dropped");
}

interface Handoff {
  readonly waiting: PromiseWithResolvers<void>;
  /** How many of the gateway's frames had been taken when it was asked for. */
  readonly received: number;
  /** What the client said behind them, and how much that is. */
  readonly held: HeldMessages;
  heldBytes: number;
}

/** Nothing was held. */
const NOTHING = new HeldMessages();

/** The handoffs of one gateway that are under way, by session. */
export class Handoffs {
  readonly #underWay = new Map<number, Handoff>();
  #heldBytes = 0;

  has(session: number): boolean {
    return this.#underWay.has(session);
  }

  /** How much is held of what all clients said. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How many of the gateway's frames each of the handoffs leaves to this manager. */
  get received(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { received } of this.#underWay.values()) least = Math.min(least, received);
    return least;
  }

  /**
   * @param received how many of the gateway's frames were taken
   * @returns what resolves when the session has gone, and rejects with a HandoffError when it has not
   */
  begin(session: number, received: number): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    this.#underWay.set(session, { waiting, received, held: new HeldMessages(), heldBytes: 0 });
    return waiting.promise;
  }

  /** Holds what the client of a session has said, where the session is being handed over; gives false where it is not. */
  hold(session: number, number: number, bytes: Buffer, start = 0, end = bytes.length): boolean {
    const handoff = this.#underWay.get(session);
    if (handoff === undefined) return false;
    handoff.held.push(number, bytes, start, end);
    this.#heldBytes += handoff.held.byteLength - handoff.heldBytes;
    handoff.heldBytes = handoff.held.byteLength;
    return true;
  }

  /** What is held of a session. */
  heldOf(session: number): HeldMessages {
    return this.#underWay.get(session)?.held ?? NOTHING;
  }

  /** The session has gone to its other manager. */
  done(session: number): void {
    this.#take(session)?.waiting.resolve();
  }

  /** It has not, and does not. One that was not under way is no matter. */
  failed(session: number, code: HandoffErrorCode, message: string): void {
    this.#take(session)?.waiting.reject(new HandoffError(code, message));
  }

  #take(session: number): Handoff | undefined {
    const handoff = this.#underWay.get(session);
    this.#underWay.delete(session);
    this.#heldBytes -= handoff?.heldBytes ?? 0;
    return handoff;
  }
}
