/**
 * A channel over a socket of Node's. In the ordinary case a write is one system call and nothing
 * is kept; only when the kernel takes no more does a queue of the channel's own come into being, whose
 * bytes leave joined, as soon as the write before them is through.
 */

import type { Socket } from "node:net";
import { constants } from "node:os";
import { isTlsSocket } from "../../process/sockets.ts";
import { canonicalAddress } from "../guard/address.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Channel, ChannelSink } from "./channel.ts";
import { DirectWriter, Outcome } from "./direct-write.ts";
import { ordinaryReadPath, type ReadPath, TARGET, type TargetedSocket } from "./read-path.ts";
import { systemError } from "./system-error.ts";

const NOTHING = Buffer.alloc(0);

const directWriter = new DirectWriter();

/** How bytes are given to the kernel: `direct` past the stream, unless only documented ways are to be gone. */
type WritePath = "direct" | "stream" | "encrypted";

/** The address of a socket's other end; empty for a Unix socket's. */
export function peerAddress(socket: Socket): string {
  return canonicalAddress(socket.remoteAddress ?? "") ?? "";
}

/** The number of a socket's file descriptor. Node does not declare where it is. */
export function descriptorOf(socket: object): number | undefined {
  return (socket as { _handle?: { fd?: number } })._handle?.fd;
}

/** The part of a socket that Node does not declare, and that asks the kernel each time. */
interface PeeredSocket {
  readonly _handle?: { getpeername?(into: object): number } | null;
}

export class SocketChannel implements Channel {
  sink: ChannelSink | undefined;
  readonly tellsOfEnds = false;
  readonly halfCloses: boolean;
  readonly #socket: Socket;
  readonly #writes: WritePath;
  /** A write is under way that the kernel did not take at once. */
  #writing = false;
  /** What waits behind it. */
  #waiting: ByteQueue | undefined;
  /** Bytes of the write under way. */
  #inFlight = 0;

  /** The socket that a reset is done on: under TLS not the one that is written to. */
  readonly #raw: Socket;
  #taken: ((error?: Error | null) => void) | undefined;
  #finishing = false;
  /** Once it has finished it is closed. */
  #closing = false;
  #error: NodeJS.ErrnoException | undefined;

  /**
   * @param accepted a socket that was accepted, of which nothing more was read than was taken
   * @param raw the socket under it, or itself
   * @param readPath how its bytes reach this channel
   */
  constructor(accepted: Socket, raw: Socket, readPath: ReadPath) {
    // TLS has a buffer of its own to read into, whatever the read path.
    const encrypts = isTlsSocket(accepted);
    this.#socket = (encrypts ? ordinaryReadPath : readPath)(accepted, this);
    this.#writes = encrypts ? "encrypted" : readPath === ordinaryReadPath ? "stream" : "direct";
    // TLS 1.2 has no half-close, and with 1.3 hardly a client that closes means one.
    this.halfCloses = !encrypts;
    this.#raw = raw === accepted ? this.#socket : raw;
    this.#socket.on("end", onEnd);
    this.#socket.on("error", onError);
    this.#socket.on("close", onClose);
  }

  get descriptor(): number | undefined {
    return descriptorOf(this.#raw);
  }

  get queuedBytes(): number {
    return this.#inFlight + (this.#waiting?.byteLength ?? 0);
  }

  // For the socket's listeners, and the read path.

  received(bytes: Buffer, length: number): void {
    this.sink?.received(bytes, 0, length);
  }

  peerFinished(): void {
    this.sink?.peerFinished();
  }

  broke(error: NodeJS.ErrnoException): void {
    this.#error = error;
  }

  gone(): void {
    this.sink?.gone(this.#error);
  }

  write(bytes: Buffer): boolean {
    if (this.#writing) {
      this.#queue().append(bytes);
      return true;
    }
    if (this.#writes === "encrypted") {
      // It encrypts at once, into memory of its own, and tells in a later turn what the kernel took.
      this.#begin(bytes.length);
      this.#socket.write(bytes, this.#whenTaken());
      return true;
    }
    if (this.#isTaken(bytes)) return true;
    this.#begin(bytes.length);
    // An empty write completes right behind the one under way.
    this.#socket.write(NOTHING, this.#whenTaken());
    return false;
  }

  /** Writes; gives whether the kernel took it at once. */
  #isTaken(bytes: Buffer): boolean {
    if (this.#writes === "direct") {
      const outcome = directWriter.write(this.#socket, bytes);
      if (outcome !== Outcome.refused) return outcome === Outcome.taken;
    }
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  lookForEnd(): void {
    // The kernel knows no other end of a connection that was reset; that of a Unix socket can't be asked for.
    const { _handle: handle } = this.#raw as unknown as PeeredSocket;
    if (handle?.getpeername !== undefined && handle.getpeername({}) !== 0) {
      this.#socket.destroy(systemError("read", -constants.errno.ECONNRESET));
    }
  }

  finish(closes = false): void {
    this.#finishing = true;
    if (closes) this.#closing = true;
    if (!this.#writing) this.#finishNow();
  }

  reset(): void {
    resetSocket(this.#raw, this.#socket);
  }

  close(): void {
    this.#socket.destroy();
  }

  #finishNow(): void {
    if (this.#closing) this.#socket.destroySoon();
    else this.#socket.end();
  }

  #begin(length: number): void {
    this.#writing = true;
    this.#inFlight = length;
  }

  #queue(): ByteQueue {
    this.#waiting ??= new ByteQueue();
    return this.#waiting;
  }

  /** What hears that a write is through. Most channels never need it. */
  #whenTaken(): (error?: Error | null) => void {
    this.#taken ??= (error) => this.#caughtUp(error);
    return this.#taken;
  }

  #caughtUp(error?: Error | null): void {
    if (error || this.#socket.destroyed) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined && waiting.byteLength > 0) {
      this.#inFlight = waiting.byteLength;
      this.#writeAll(waiting.take());
      return;
    }
    this.#writing = false;
    this.#inFlight = 0;
    if (this.#finishing) this.#finishNow();
  }

  #writeAll(blocks: readonly Buffer[]): void {
    const last = blocks.at(-1);
    this.#socket.cork();
    for (const block of blocks) this.#socket.write(block, block === last ? this.#whenTaken() : undefined);
    this.#socket.uncork();
  }
}

// The same functions for all sockets: a hundred thousand of each would be memory for nothing.

function channelOf(socket: Socket): SocketChannel {
  return (socket as TargetedSocket)[TARGET] as SocketChannel;
}

function onEnd(this: Socket): void {
  channelOf(this).peerFinished();
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  channelOf(this).broke(error);
}

function onClose(this: Socket): void {
  channelOf(this).gone();
}

/**
 * Ends a socket with a reset, where it is of a kind that has one. While the kernel is being told of its end, the reset
 * waits: in that moment it would be refused, and Node would neither close the socket nor ever say that it is closed.
 *
 * @param top what was put on top of it, if anything was, and is all that may shut it down
 */
export function resetSocket(socket: Socket, top: Socket = socket): void {
  const ending = [socket, top].find(
    ({ writableEnded, writableFinished }) => writableEnded && !writableFinished,
  );
  if (ending === undefined) resetNow(socket, top);
  else ending.once("finish", () => resetNow(socket, top));
}

function resetNow(socket: Socket, top: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // A Unix socket has none.
    socket.destroy();
  }
  top.destroy();
}
