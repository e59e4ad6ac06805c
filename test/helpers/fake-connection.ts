/** A client's connection without a socket: a test says what the client and the kernel do. */

import type { Connection, ConnectionSink } from "../../gateway/transports/connection.ts";

export class FakeConnection implements Connection {
  readonly address = "192.0.2.1";
  readonly port: number;
  sink: ConnectionSink | undefined;
  /** What the client has got. */
  readonly delivered: Buffer[] = [];
  #queue: Buffer[] = [];
  /** While true the kernel takes nothing. */
  stuck = false;
  paused = false;
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
  }

  write(bytes: Buffer): boolean {
    if (this.ending !== undefined || this.gone) throw new Error("a write on a connection that was ended");
    this.#queue.push(Buffer.from(bytes));
    this.unstick(this.stuck);
    return true;
  }

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

  says(text: string): void {
    const bytes = Buffer.from(text);
    if (!this.paused && !this.gone) this.sink?.received(bytes, bytes.length);
  }

  halfCloses(): void {
    if (!this.gone) this.sink?.finished();
  }

  /** The connection's end reaches the gateway. */
  goes(code?: string): void {
    if (this.gone) return;
    this.gone = true;
    this.sink?.closed(code === undefined ? undefined : Object.assign(new Error(code), { code }));
  }
}
