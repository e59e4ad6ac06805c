/**
 * The secret that a gateway and its manager share: what each of them proves with it, and that it never shows.
 * A proof covers a nonce of both sides, each made for one link, so that one that was overheard is worth nothing
 * on the next; and it names who proves, so that a proof can't be sent back to who made it (docs/protocol.md,
 * "Proving").
 */

import { createHmac, timingSafeEqual } from "node:crypto";

/** The least that a secret may have. */
export const MIN_SECRET_BYTES = 16;

/** Bytes of a nonce. */
export const NONCE_BYTES = 16;

/** Who proves. */
export type Prover = "manager" | "gateway";

/** The nonces of one link. */
export interface Nonces {
  /** `Register.nonce`. */
  readonly register: Uint8Array;
  /** `Challenge.nonce`. */
  readonly challenge: Uint8Array;
}

export class Secret {
  readonly #bytes: Buffer;

  /**
   * @param secret text counts as its UTF-8
   * @throws RangeError when it has fewer than 16 bytes; the message does not hold it
   */
  constructor(secret: string | Uint8Array) {
    this.#bytes = Buffer.from(secret);
    if (this.#bytes.length >= MIN_SECRET_BYTES) return;
    throw new RangeError(
      `a secret must have at least ${MIN_SECRET_BYTES} bytes; this one has ${this.#bytes.length}`,
    );
  }

  /** What `prover` shows for having the secret: HMAC-SHA256 of its name and both nonces, 32 bytes. */
  prove(prover: Prover, { register, challenge }: Nonces): Buffer {
    return createHmac("sha256", this.#bytes).update(prover).update(register).update(challenge).digest();
  }

  /** Whether `proof`, of 32 bytes, is what `prover` must show; takes the same time whatever it is. */
  isProven(proof: Uint8Array, prover: Prover, nonces: Nonces): boolean {
    return timingSafeEqual(proof, this.prove(prover, nonces));
  }

  /** For logs and for people. */
  toString(): string {
    return "***";
  }

  toJSON(): string {
    return "***";
  }
}
