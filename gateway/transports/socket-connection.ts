/**
 * A connection over a stream socket of Node's. In the ordinary case a write is one system call and nothing
 * is kept; only when the kernel takes no more does a queue of the connection's own come into being, whose
 * bytes leave joined, as soon as the write before them is through.
 */

import type { Socket } from "node:net";
import { ByteQueue } from "./byte-queue.ts";
import type { Connection, ConnectionSink } from "./connection.ts";
import type { ReadPath } from "./read-path.ts";

const NOTHING = Buffer.alloc(0);

export class SocketConnection implements Connection {
  readonly address: string;
  readonly port: number;

  readonly #socket: Socket;
  #sink: ConnectionSink | undefined;
  /** Present while a write is under way that the kernel did not take at once. */
  #waiting: ByteQueue | undefined;
  /** Bytes of the write under way. */
  #inFlight = 0;
  #finishing = false;
  #error: NodeJS.ErrnoException | undefined;

  /**
   * @param accepted a socket that was accepted and not read from
   * @param readPath how its bytes reach this connection
   */
  constructor(accepted: Socket, readPath: ReadPath) {
    this.address = accepted.remoteAddress ?? "";
    this.port = accepted.remotePort ?? 0;
    this.#socket = readPath(accepted, this);
    this.#socket.on("end", () => this.#sink?.finished());
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
    this.#socket.on("close", () => this.#sink?.closed(this.#error));
  }

  get queuedBytes(): number {
    return this.#inFlight + (this.#waiting?.byteLength ?? 0);
  }

  get unsentBytes(): number {
    return this.queuedBytes;
  }

  open(sink: ConnectionSink): void {
    this.#sink = sink;
    this.#socket.resume();
  }

  /** For the read path: the client sent `bytes[0..length)`. */
  received(bytes: Buffer, length: number): void {
    this.#sink?.received(bytes, length);
  }

  write(bytes: Buffer): boolean {
    if (this.#waiting !== undefined) {
      this.#waiting.append(bytes);
      return true;
    }
    this.#socket.write(bytes);
    if (this.#socket.writableLength === 0) return true;
    this.#inFlight = bytes.length;
    this.#waiting = new ByteQueue();
    // An empty write completes right behind the one under way.
    this.#socket.write(NOTHING, this.#caughtUp);
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  finish(): void {
    this.#finishing = true;
    if (this.#waiting === undefined) this.#socket.end();
  }

  reset(): void {
    const { writableEnded, writableFinished } = this.#socket;
    // The kernel is being told of our end: a reset in the same moment is refused, and its end is never told.
    if (writableEnded && !writableFinished) this.#socket.once("finish", () => this.#socket.resetAndDestroy());
    else this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  readonly #caughtUp = (error?: Error | null): void => {
    const waiting = this.#waiting;
    if (error || waiting === undefined || this.#socket.destroyed) return;
    this.#inFlight = waiting.byteLength;
    if (this.#inFlight > 0) {
      this.#writeAll(waiting.take());
      return;
    }
    this.#waiting = undefined;
    if (this.#finishing) this.#socket.end();
  };

  #writeAll(blocks: readonly Buffer[]): void {
    this.#socket.cork();
    for (const block of blocks) this.#socket.write(block);
    this.#socket.write(NOTHING, this.#caughtUp);
    this.#socket.uncork();
  }
}
