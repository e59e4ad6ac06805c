/**
 * A channel over a descriptor of the poller's. In the ordinary case a write is one system call and nothing is kept; what
 * the kernel does not take goes into a queue, and is sent when it takes more.
 */

import { ByteQueue } from "./byte-queue.ts";
import type { Channel, ChannelSink } from "./channel.ts";
import type { PolledSocket, Poller } from "./poller.ts";
import { systemError } from "./system-error.ts";

/** Stands for the descriptor of one that was given up. */
const NONE = -1;

/**
 * More than this that the kernel did not take is not copied, unless it is a small part of what it lies in: one broadcast to
 * many who do not read is kept once.
 */
const MAX_COPIED_BYTES = 16 * 1024;

export class PolledChannel implements Channel, PolledSocket {
  sink: ChannelSink | undefined;
  readonly tellsOfEnds = true;
  readonly halfCloses = true;
  readonly #poller: Poller;
  #descriptor: number;
  /** What is yet to be sent. */
  #waiting: ByteQueue | undefined;
  #finishing = false;
  /** Both ends of the connection shut down theirs in their own time; behind the second it is closed. */
  #finished = false;
  #peerFinished = false;

  /** @param descriptor the poller's, and this channel's alone */
  constructor(poller: Poller, descriptor: number) {
    this.#poller = poller;
    this.#descriptor = descriptor;
    poller.attach(descriptor, this);
  }

  get descriptor(): number | undefined {
    return this.#descriptor === NONE ? undefined : this.#descriptor;
  }

  get queuedBytes(): number {
    return this.#waiting === undefined ? 0 : this.#waiting.byteLength;
  }

  write(bytes: Buffer): boolean {
    const isFirst = this.#waiting === undefined && this.#descriptor !== NONE;
    const sent = isFirst ? this.#poller.send(this.#descriptor, bytes) : 0;
    if (sent === bytes.length) return true;
    const rest = sent > 0 ? bytes.subarray(sent) : bytes;
    this.#waiting ??= new ByteQueue();
    const isLent = isFirst && rest.length > MAX_COPIED_BYTES && rest.length > bytes.buffer.byteLength / 4;
    if (isLent) this.#waiting.lend(rest);
    else this.#waiting.append(rest);
    if (sent < 0) this.#giveUp(false, systemError("write", sent));
    return !isLent;
  }

  pause(): void {
    if (this.#descriptor !== NONE) this.#poller.pause(this.#descriptor);
  }

  resume(): void {
    if (this.#descriptor === NONE) return;
    const failure = this.#poller.resume(this.#descriptor);
    if (failure < 0) this.#giveUp(false, systemError("epoll_ctl", failure));
  }

  lookForEnd(): void {}

  finish(closes = false): void {
    this.#finishing = true;
    if (closes) this.#peerFinished = true;
    if (this.#waiting === undefined) this.#shutDown();
  }

  reset(): void {
    this.#giveUp(true);
  }

  close(): void {
    this.#giveUp(false);
  }

  // For the poller.

  received(bytes: Buffer, start: number, end: number): void {
    this.sink?.received(bytes, start, end);
  }

  peerFinished(): void {
    this.#peerFinished = true;
    this.sink?.peerFinished();
    if (this.#finished) this.#giveUp(false);
  }

  peerFinishing(): void {
    this.sink?.peerFinishing();
  }

  broke(error: NodeJS.ErrnoException): void {
    this.#giveUp(false, error);
  }

  writable(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    let failure = 0;
    const isEmpty = waiting.drainTo((block) => {
      const sent = this.#poller.send(this.#descriptor, block);
      if (sent < 0) failure = sent;
      return Math.max(0, sent);
    });
    if (failure < 0) this.#giveUp(false, systemError("write", failure));
    if (!isEmpty) return;
    this.#waiting = undefined;
    if (this.#finishing) this.#shutDown();
  }

  #shutDown(): void {
    if (this.#descriptor === NONE) return;
    this.#finished = true;
    this.#poller.shutDown(this.#descriptor);
    if (this.#peerFinished) this.#giveUp(false);
  }

  #giveUp(resets: boolean, error?: NodeJS.ErrnoException): void {
    if (this.#descriptor === NONE) return;
    this.#poller.discard(this.#descriptor, resets);
    this.#descriptor = NONE;
    process.nextTick(() => this.sink?.gone(error));
  }
}
