/** A client's connection without a socket: a test says what the client and the kernel do. */

import type { Encoder } from "../../gateway/framing/encoder.ts";
import type { Arrival, Connection, ConnectionSink, Farewell } from "../../gateway/transports/connection.ts";
import { type ClientDetails, NO_DETAILS } from "../../gateway/transports/details.ts";

export class FakeConnection implements Arrival, Connection {
  address: string | undefined = "192.0.2.1";
  readonly port: number;
  descriptor: number | undefined = 20;
  details: ClientDetails = NO_DETAILS;
  encoder: Encoder | undefined;
  pendingBytes = 0;
  pings = 0;
  /** Its handshake is not through when it is opened: a test ends it with `shakesHands`. */
  handshaking = false;
  farewell: Farewell | undefined;
  sink: ConnectionSink | undefined;
  /** What the client has got. */
  readonly delivered: Buffer[] = [];
  #queue: Buffer[] = [];
  #established = false;
  /** While true the kernel takes nothing. */
  stuck = false;
  paused = false;
  /** Whether its end is looked out for while it is paused. */
  watched = false;
  /** How often its end was looked for. */
  looks = 0;
  finishing = false;
  /** How it was ended from this side. */
  ending: "reset" | "close" | undefined;
  gone = false;

  constructor(port = 0) {
    this.port = port;
  }

  get queuedBytes(): number {
    return this.#queue.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  get unsentBytes(): number {
    return this.queuedBytes;
  }

  open(sink: ConnectionSink): void {
    this.sink = sink;
    if (!this.handshaking) this.shakesHands();
  }

  write(bytes: Buffer): boolean {
    if (this.ending !== undefined || this.gone) throw new Error("a write on a connection that was ended");
    this.#queue.push(Buffer.from(bytes));
    this.unstick(this.stuck);
    return true;
  }

  pause(watched = false): void {
    this.paused = true;
    this.watched = watched;
  }

  resume(): void {
    this.paused = false;
  }

  lookForEnd(): void {
    this.looks++;
  }

  ping(): void {
    this.pings++;
  }

  finish(farewell: Farewell): void {
    this.finishing = true;
    this.farewell ??= farewell;
  }

  reset(): void {
    this.ending ??= "reset";
  }

  close(): void {
    this.ending ??= "close";
  }

  /** Sets whether the kernel is stuck; what is queued goes out when it is not. */
  unstick(stuck: boolean): void {
    this.stuck = stuck;
    if (stuck) return;
    this.delivered.push(...this.#queue);
    this.#queue = [];
  }

  // What the client does.

  shakesHands(): void {
    if (this.gone || this.ending !== undefined || this.#established) return;
    this.#established = true;
    this.sink?.established(this);
  }

  says(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#established && !this.paused && !this.gone) this.sink?.received(bytes, 0, bytes.length);
  }

  halfCloses(): void {
    if (this.#established && !this.gone) this.sink?.finished();
  }

  /** Says that it goes, in a transport that knows how to. */
  leaves(): void {
    if (this.#established && !this.gone) this.sink?.left();
  }

  /** The connection's end reaches the gateway. */
  goes(code?: string): void {
    if (this.gone) return;
    this.gone = true;
    this.sink?.closed(code === undefined ? undefined : Object.assign(new Error(code), { code }));
  }
}
