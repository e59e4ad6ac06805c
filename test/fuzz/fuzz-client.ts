/**
 * A client's connection under fuzz. Like a socket it keeps the very buffer of a write that the kernel does
 * not take, so a gateway that uses that memory again too early is found out; and it knows whose bytes it may get.
 */

import assert from "node:assert/strict";
import { Slot } from "../../gateway/slots/slot.ts";
import type { Arrival, Connection, ConnectionSink } from "../../gateway/transports/connection.ts";
import { NO_DETAILS } from "../../gateway/transports/details.ts";

/** The byte that everything for one session is made of. */
export function markOf(session: number): number {
  return 1 + (session % 251);
}

/** The byte that everything for all is made of. */
export const MARK_OF_ALL = 0xff;

export class FuzzClient implements Arrival, Connection {
  readonly address: string;
  readonly port = 50_000;
  readonly descriptor = 20;
  readonly details = NO_DETAILS;
  readonly encoder = undefined;
  readonly pendingBytes = 0;
  /** Whether to look at what the client gets; not to be done when its frames were spoiled. */
  checked = true;
  /** The kernel takes nothing. */
  stuck = false;
  paused = false;
  finishing = false;
  /** It was ended from this side. */
  ended = false;
  gone = false;
  #sink: ConnectionSink | undefined;
  /** Of every session that it has been, what is for that one. */
  readonly #marks = new Set<number>();
  #inFlight: { readonly bytes: Buffer; readonly copy: Buffer } | undefined;
  #waitingBytes = 0;

  constructor(address: string) {
    this.address = address;
  }

  get queuedBytes(): number {
    return (this.#inFlight?.bytes.length ?? 0) + this.#waitingBytes;
  }

  get unsentBytes(): number {
    return this.queuedBytes;
  }

  /** The slot that it holds; undefined when it was refused. */
  get slot(): Slot | undefined {
    return this.#sink instanceof Slot ? this.#sink : undefined;
  }

  open(sink: ConnectionSink): void {
    this.#sink = sink;
    sink.established(this);
  }

  /** What is queued for this id of its session still comes, though the session has another one by now. */
  wasSession(session: number): void {
    this.#marks.add(markOf(session));
  }

  write(bytes: Buffer): boolean {
    assert.ok(!this.ended && !this.gone && !this.finishing, "a write on a connection that was ended");
    if (this.checked) this.#check(bytes);
    if (!this.stuck) return true;
    if (this.#inFlight === undefined) {
      this.#inFlight = { bytes, copy: Buffer.from(bytes) };
      return false;
    }
    this.#waitingBytes += bytes.length;
    return true;
  }

  lookForEnd(): void {}

  ping(): void {}

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  finish(): void {
    this.finishing = true;
  }

  reset(): void {
    this.ended = true;
  }

  close(): void {
    this.ended = true;
  }

  // What the kernel and the client do.

  /** The kernel takes what is queued. */
  unstick(): void {
    this.stuck = false;
    const sent = this.#inFlight;
    this.#inFlight = undefined;
    this.#waitingBytes = 0;
    if (sent !== undefined)
      assert.ok(sent.bytes.equals(sent.copy), "memory of a write under way was used again");
  }

  /** The client sent `bytes`, unless nobody reads. */
  says(bytes: Buffer): void {
    if (!this.paused && !this.ended && !this.gone) this.#sink?.received(bytes, 0, bytes.length);
  }

  /** The client sent `bytes` together with its handshake: they are there already when reading is stopped. */
  blurts(bytes: Buffer): void {
    if (!this.ended && !this.gone) this.#sink?.received(bytes, 0, bytes.length);
  }

  halfCloses(): void {
    if (!this.ended && !this.gone) this.#sink?.finished();
  }

  leaves(): void {
    if (!this.ended && !this.gone) this.#sink?.left();
  }

  /** The connection's end reaches the gateway. */
  goes(code?: string): void {
    if (this.gone) return;
    this.gone = true;
    this.#sink?.closed(code === undefined ? undefined : Object.assign(new Error(code), { code }));
  }

  #check(bytes: Buffer): void {
    this.wasSession(this.slot?.session ?? 0);
    const isOneOfAll = this.slot?.phase !== "asking";
    for (const byte of bytes) {
      if (!this.#marks.has(byte) && !(isOneOfAll && byte === MARK_OF_ALL))
        assert.fail(`session ${this.slot?.session} got a byte that is not its own`);
    }
  }
}
