/**
 * What goes to clients. What is sent in one turn is held, encoded as each client's connection wants it, and leaves joined,
 * in one write for each client; in several where it is much, so that whoever is behind it never makes this process hold
 * more for a client than that may have queued.
 */

import type { Encoder } from "../framing/encoder.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Connection } from "../transports/connection.ts";
import type { Slot } from "./slot.ts";
import { isOpen } from "./states.ts";

/** Messages of one turn to one client are joined up to this. */
const JOIN_BYTES = 256 * 1024;

/** And up to so many: of ten thousand tiny broadcasts in one turn it is the places in each client's list that weigh. */
const JOIN_MESSAGES = 256;

/** One message, as it was encoded already. */
export type Encoded = Map<Encoder, Buffer>;

export interface OutboxOptions {
  /** More than this queued for a client is too much. */
  readonly clientBufferBytes: number;
  readonly counters: Counters;
  /** A client has too much queued. */
  readonly overflowed: (slot: Slot) => void;
  /** A message is longer than this client's framing can say. */
  readonly oversized: (slot: Slot) => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** What would be more than this together is not held for a client. */
  readonly #mostHeldBytes: number;
  /** Sessions with something held that is not yet written; some of them several times. */
  #dirty: Slot[] = [];
  /** No write since the last flush still needs the memory that it was given. */
  #released = true;
  #joined = Buffer.allocUnsafeSlow(JOIN_BYTES);

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#mostHeldBytes = Math.min(options.clientBufferBytes, JOIN_BYTES);
  }

  /**
   * Holds a message for one client.
   *
   * @param payload must stay as it is until the next flush
   * @param encoded how it was encoded already, for others who get it too
   */
  hold(slot: Slot, payload: Buffer, encoded?: Encoded): void {
    const encoder = slot.connection?.encoder;
    if (encoder === undefined) this.#hold(slot, payload);
    else if (payload.length > encoder.maxPayloadBytes) this.#options.oversized(slot);
    else this.#hold(slot, encodedOnce(encoded, encoder, payload));
  }

  /** Holds a message for many. It is encoded once for all whose connections write it in the same way. */
  holdAll(slots: readonly Slot[], payload: Buffer): void {
    const encoded: Encoded = new Map();
    // From the end: a client that can't be written to leaves the list.
    for (let i = slots.length - 1; i >= 0; i--) {
      const slot = slots[i];
      if (slot !== undefined) this.hold(slot, payload, encoded);
    }
  }

  /**
   * Holds a message for those of a set that are wanted, likewise encoded.
   *
   * @returns how many they are
   */
  holdThose(slots: ReadonlySet<Slot>, payload: Buffer, isWanted: (slot: Slot) => boolean): number {
    const encoded: Encoded = new Map();
    let count = 0;
    for (const slot of slots) {
      if (!isWanted(slot)) continue;
      this.hold(slot, payload, encoded);
      count++;
    }
    return count;
  }

  /**
   * Writes everything that was held since the last flush.
   *
   * @returns whether the memory that was given may be used again
   */
  flush(): boolean {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const slot of dirty) {
      if (isOpen(slot.phase)) this.write(slot);
    }
    const released = this.#released;
    this.#released = true;
    return released;
  }

  /** Writes what is held for one client. */
  write(slot: Slot): void {
    const { connection, held, moreHeld } = slot;
    if (connection === undefined || held === undefined) return;
    slot.held = undefined;
    slot.moreHeld = undefined;
    slot.heldBytes = 0;
    if (moreHeld !== undefined) this.#writeJoined(connection, moreHeld);
    else if (!connection.write(held)) this.#released = false;
    if (connection.queuedBytes > this.#options.clientBufferBytes) this.#options.overflowed(slot);
  }

  /**
   * Writes several messages as one. They are joined in memory that is used again for the next client, unless a write under
   * way still needs it.
   */
  #writeJoined(connection: Connection, messages: readonly Buffer[]): void {
    let length = 0;
    for (const message of messages) {
      this.#joined.set(message, length);
      length += message.length;
    }
    if (!connection.write(this.#joined.subarray(0, length)))
      this.#joined = Buffer.allocUnsafeSlow(JOIN_BYTES);
  }

  #hold(slot: Slot, bytes: Buffer): void {
    const { counters } = this.#options;
    if (slot.held !== undefined && !this.#hasRoom(slot, bytes.length)) {
      this.write(slot);
      // It had too much queued already, and is not there any more.
      if (!isOpen(slot.phase)) {
        counters.staleFrames++;
        return;
      }
    }
    slot.acceptedBytes += bytes.length;
    slot.outMsgs++;
    counters.outBytes += bytes.length;
    counters.outMsgs++;
    if (slot.held === undefined) {
      slot.held = bytes;
      slot.heldBytes = bytes.length;
      this.#dirty.push(slot);
      return;
    }
    slot.heldBytes += bytes.length;
    if (slot.moreHeld === undefined) slot.moreHeld = [slot.held, bytes];
    else slot.moreHeld.push(bytes);
  }

  /** Whether a message of so many bytes may be held beside what is. */
  #hasRoom({ heldBytes, moreHeld }: Slot, bytes: number): boolean {
    return (
      heldBytes + bytes <= this.#mostHeldBytes && (moreHeld === undefined || moreHeld.length < JOIN_MESSAGES)
    );
  }
}

function encodedOnce(encoded: Encoded | undefined, encoder: Encoder, payload: Buffer): Buffer {
  const known = encoded?.get(encoder);
  if (known !== undefined) return known;
  const bytes = encoder.encode(payload);
  encoded?.set(encoder, bytes);
  return bytes;
}
