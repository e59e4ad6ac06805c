/**
 * A connection over a stream socket of Node's. In the ordinary case a write is one system call and nothing
 * is kept; only when the kernel takes no more does a queue of the connection's own come into being, whose
 * bytes leave joined, as soon as the write before them is through.
 */

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Encoder } from "../framing/encoder.ts";
import { canonicalAddress } from "../guard/address.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Arrival, Connection, ConnectionSink, Farewell } from "./connection.ts";
import { type ClientDetails, NO_DETAILS } from "./details.ts";
import { DirectWriter, Outcome } from "./direct-write.ts";
import { ordinaryReadPath, type ReadPath, TARGET, type TargetedSocket } from "./read-path.ts";

const NOTHING = Buffer.alloc(0);

const directWriter = new DirectWriter();

/** More than one read brings. Infinity would cost each connection a number of its own on the heap. */
const WHOLE = 2 ** 30;

/** How bytes are given to the kernel: `direct` past the stream, unless only documented ways are to be gone. */
type WritePath = "direct" | "stream" | "encrypted";

/** What a handshake leaves behind. */
export interface Handshaken {
  readonly details: ClientDetails;
  /** The socket under a TLS socket. */
  readonly raw: Socket;
  /** What was read behind the handshake. */
  readonly early: Buffer;
}

/** The address of a socket's other end; empty for a Unix socket's. */
export function peerAddress(socket: Socket): string {
  return canonicalAddress(socket.remoteAddress ?? "") ?? "";
}

/** The number of a socket's file descriptor. Node does not declare where it is. */
export function descriptorOf(socket: Socket): number | undefined {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
}

export class SocketConnection implements Arrival, Connection {
  // What each message touches stands together, as in a slot.

  protected sink: ConnectionSink | undefined;
  protected readonly socket: Socket;
  readonly #writes: WritePath;
  /** A write is under way that the kernel did not take at once. */
  #writing = false;
  /** What waits behind it. */
  #waiting: ByteQueue | undefined;
  /** Bytes of the write under way. */
  #inFlight = 0;

  readonly address: string;
  readonly port: number;
  readonly details: ClientDetails;

  /** The socket that a reset is done on: under TLS not the one that is written to. */
  readonly #raw: Socket;
  /** This side has ended it: what the client still says is not received. */
  protected ended = false;
  /** What was read behind the handshake and is not yet received. */
  #early: Buffer | undefined;
  #paused = false;
  /** What was received has to be worked off first. */
  #blocked = false;
  #sipBytes = WHOLE;
  #taken: ((error?: Error | null) => void) | undefined;
  #finishing = false;
  #error: NodeJS.ErrnoException | undefined;

  /**
   * @param accepted a socket that was accepted, of which nothing more was read than `handshaken` has
   * @param readPath how its bytes reach this connection
   */
  constructor(accepted: Socket, readPath: ReadPath, handshaken?: Handshaken) {
    this.address = peerAddress(accepted);
    this.port = accepted.remotePort ?? 0;
    this.details = handshaken?.details ?? NO_DETAILS;
    // TLS has a buffer of its own to read into, whatever the read path.
    const encrypts = accepted instanceof TLSSocket;
    this.socket = (encrypts ? ordinaryReadPath : readPath)(accepted, this);
    this.#writes = encrypts ? "encrypted" : readPath === ordinaryReadPath ? "stream" : "direct";
    this.#raw = handshaken === undefined || handshaken.raw === accepted ? this.socket : handshaken.raw;
    if (handshaken !== undefined && handshaken.early.length > 0) this.#early = handshaken.early;
    this.socket.on("end", onEnd);
    this.socket.on("error", onError);
    this.socket.on("close", onClose);
  }

  get descriptor(): number | undefined {
    return descriptorOf(this.#raw);
  }

  get encoder(): Encoder | undefined {
    return undefined;
  }

  get queuedBytes(): number {
    return this.#inFlight + (this.#waiting?.byteLength ?? 0);
  }

  get unsentBytes(): number {
    return this.queuedBytes;
  }

  get pendingBytes(): number {
    return 0;
  }

  open(sink: ConnectionSink): void {
    this.sink = sink;
    sink.established(this);
    if (!this.#paused) this.#read();
  }

  // For the socket's listeners.

  /** The client has shut down its sending side. */
  peerFinished(): void {
    this.sink?.finished();
  }

  broke(error: NodeJS.ErrnoException): void {
    this.#error = error;
  }

  gone(): void {
    const { sink } = this;
    // What is still being worked off is nobody's any more: its sink may serve another client soon.
    this.sink = undefined;
    sink?.closed(this.#error);
  }

  /** For the read path: the client sent `bytes[0..length)`. */
  received(bytes: Buffer, length: number): void {
    this.sink?.received(bytes, 0, length);
  }

  write(bytes: Buffer): boolean {
    if (this.#writing) {
      this.#queue().append(bytes);
      return true;
    }
    if (this.#writes === "encrypted") {
      // It encrypts at once, into memory of its own, and tells in a later turn what the kernel took.
      this.#begin(bytes.length);
      this.socket.write(bytes, this.#whenTaken());
      return true;
    }
    if (this.#isTaken(bytes)) return true;
    this.#begin(bytes.length);
    // An empty write completes right behind the one under way.
    this.socket.write(NOTHING, this.#whenTaken());
    return false;
  }

  /** Writes; gives whether the kernel took it at once. */
  #isTaken(bytes: Buffer): boolean {
    if (this.#writes === "direct") {
      const outcome = directWriter.write(this.socket, bytes);
      if (outcome !== Outcome.refused) return outcome === Outcome.taken;
    }
    this.socket.write(bytes);
    return this.socket.writableLength === 0;
  }

  ping(): void {}

  sip(bytes: number): void {
    this.#sipBytes = bytes;
  }

  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#read();
  }

  finish(_farewell: Farewell): void {
    this.ended = true;
    this.#finishing = true;
    if (!this.#writing) this.socket.end();
  }

  reset(): void {
    this.ended = true;
    const { writableEnded, writableFinished } = this.socket;
    // The kernel is being told of our end: a reset in the same moment is refused, and its end is never told.
    if (writableEnded && !writableFinished) this.socket.once("finish", () => this.#resetNow());
    else this.#resetNow();
  }

  close(): void {
    this.ended = true;
    this.socket.destroy();
  }

  /**
   * Has what was read decoded, a sip at a time. Once this side pauses, the rest waits until it is read on.
   */
  protected inSips(bytes: Buffer, length: number): void {
    if (length <= this.#sipBytes && !this.#paused) {
      this.decode(bytes, length);
      return;
    }
    let from = 0;
    while (from < length && !this.#paused) {
      const to = Math.min(length, from + this.#sipBytes);
      this.decode(bytes.subarray(from, to), to - from);
      from = to;
    }
    if (from < length && !this.ended) this.#keep(bytes.subarray(from, length));
  }

  /** Looks for messages in `bytes[0..length)`, which are valid during the call. */
  protected decode(_bytes: Buffer, _length: number): void {}

  #keep(rest: Buffer): void {
    const { length } = this.#early ?? NOTHING;
    this.#early = Buffer.concat([this.#early ?? NOTHING, rest], length + rest.length);
  }

  /** Stops reading, whatever the owner says, until `unblock`. */
  protected block(): void {
    this.#blocked = true;
    this.socket.pause();
  }

  protected unblock(): void {
    this.#blocked = false;
    this.#read();
  }

  /** Goes on reading, unless somebody is against it. */
  #read(): void {
    const early = this.#early;
    if (early !== undefined && !this.#paused) {
      this.#early = undefined;
      this.received(early, early.length);
    }
    if (!this.#paused && (!this.#blocked || this.ended)) this.socket.resume();
  }

  #resetNow(): void {
    resetSocket(this.#raw);
    this.socket.destroy();
  }

  #begin(length: number): void {
    this.#writing = true;
    this.#inFlight = length;
  }

  #queue(): ByteQueue {
    this.#waiting ??= new ByteQueue();
    return this.#waiting;
  }

  /** What hears that a write is through. Most connections never need it. */
  #whenTaken(): (error?: Error | null) => void {
    this.#taken ??= (error) => this.#caughtUp(error);
    return this.#taken;
  }

  #caughtUp(error?: Error | null): void {
    if (error || this.socket.destroyed) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined && waiting.byteLength > 0) {
      this.#inFlight = waiting.byteLength;
      this.#writeAll(waiting.take());
      return;
    }
    this.#writing = false;
    this.#inFlight = 0;
    if (this.#finishing) this.socket.end();
  }

  #writeAll(blocks: readonly Buffer[]): void {
    const last = blocks.at(-1);
    this.socket.cork();
    for (const block of blocks) this.socket.write(block, block === last ? this.#whenTaken() : undefined);
    this.socket.uncork();
  }
}

// The same functions for all sockets: a hundred thousand of each would be memory for nothing.

function connectionOf(socket: Socket): SocketConnection {
  return (socket as TargetedSocket)[TARGET] as SocketConnection;
}

function onEnd(this: Socket): void {
  connectionOf(this).peerFinished();
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  connectionOf(this).broke(error);
}

function onClose(this: Socket): void {
  connectionOf(this).gone();
}

/** Ends a socket with a reset, where it is of a kind that has one. */
export function resetSocket(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // A Unix socket has none.
    socket.destroy();
  }
}
