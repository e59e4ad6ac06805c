/** Sessions that are being handed to another manager of their gateway: who waits for what comes of it. */

import type { HandoffRefusal } from "../proto/bodies.ts";

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

/** The handoffs of one gateway that are under way, by session. */
export class Handoffs {
  readonly #underWay = new Map<number, PromiseWithResolvers<void>>();

  has(session: number): boolean {
    return this.#underWay.has(session);
  }

  /** @returns what resolves when the session has gone, and rejects with a HandoffError when it has not */
  begin(session: number): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    this.#underWay.set(session, waiting);
    return waiting.promise;
  }

  /** The session has gone to its other manager. */
  done(session: number): void {
    this.#take(session)?.resolve();
  }

  /** It has not, and does not. One that was not under way is no matter. */
  failed(session: number, code: HandoffErrorCode, message: string): void {
    this.#take(session)?.reject(new HandoffError(code, message));
  }

  #take(session: number): PromiseWithResolvers<void> | undefined {
    const waiting = this.#underWay.get(session);
    this.#underWay.delete(session);
    return waiting;
  }
}
