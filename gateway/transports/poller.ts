/**
 * Clients' sockets past libuv and Node: gateway/native reads all that have something in one go, and calls once
 * for all of them; this tells each of them its part. What it is compiled by may be missing, so Node's own ways stand beside
 * it, and `--read-path` chooses (docs/decisions/0012-a-poller-of-our-own.md).
 */

import cluster from "node:cluster";
import { findPackageJSON } from "node:module";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { descriptorOf } from "./socket-channel.ts";
import { systemError } from "./system-error.ts";

/** Bytes that are read before who said them is told of it. */
const MEMORY_BYTES = 256 * 1024;

/** What is told at once, and the numbers of each: a descriptor, what of it, and two more. */
const MAX_RECORDS = 2048;
const RECORD_NUMBERS = 4;

/** What is told of a descriptor: as in gateway/native/poller.h. */
const Told = { data: 0, end: 1, error: 2, writable: 3, arrival: 4, ending: 5 } as const;

/** Hears what comes of a polled socket. */
export interface PolledSocket {
  /** `bytes[start..end)` was read. The memory is used again after the call. */
  received(bytes: Buffer, start: number, end: number): void;
  /** The client has shut down its sending side. */
  peerFinished(): void;
  /** Likewise, while it is paused: what it said before is yet to be read. */
  peerFinishing(): void;
  /** It can't be read any more. */
  broke(error: NodeJS.ErrnoException): void;
  /** It takes more, after a write that it did not take whole. */
  writable(): void;
}

/** What it can be asked for, as in gateway/native/poller.h. A number below 0 is an error's. */
interface Native {
  listen(descriptor: number, keepAliveSeconds: number): number;
  copy(descriptor: number): number;
  peer(descriptor: number): string;
  resume(descriptor: number): number;
  pause(descriptor: number): void;
  send(descriptor: number, bytes: Buffer): number;
  shutDown(descriptor: number): number;
  stop(descriptor: number): void;
  close(descriptor: number, resets: boolean): void;
}

/** What gateway/native is compiled to. */
interface NativeModule {
  start(memory: Buffer, records: Int32Array, told: (count: number) => void): Native;
}

/** Where the other end of a socket is. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Where it is compiled to (scripts/build-poller.mjs). */
const COMPILED = "build/poller.node";

export class Poller {
  static #loaded: Poller | undefined;

  readonly #memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  readonly #records = new Int32Array(MAX_RECORDS * RECORD_NUMBERS);
  /** By descriptor. */
  readonly #sockets: (PolledSocket | undefined)[] = [];
  readonly #listeners = new Map<number, (descriptor: number) => void>();
  readonly #native: Native;

  private constructor({ start }: NativeModule) {
    this.#native = start(this.#memory, this.#records, (count) => this.#told(count));
  }

  /**
   * The poller of this process.
   *
   * @throws Error that says why there is none
   */
  static load(): Poller {
    // A worker of Node's cluster has no listening sockets of its own.
    if (cluster.isWorker) throw new Error("a worker of a cluster has no sockets of its own to poll");
    Poller.#loaded ??= new Poller(loadNative());
    return Poller.#loaded;
  }

  /**
   * Accepts clients from a listening socket, also after that was closed.
   *
   * @param descriptor the listening socket's
   * @param keepAliveSeconds after this long without a word the kernel asks an idle client whether it is still there
   * @param arrived takes the descriptor of each; of one that was there and can't be accepted the number of an error, below 0
   * @returns what `stop` ends it by
   * @throws Error with the system's code
   */
  listen(descriptor: number, keepAliveSeconds: number, arrived: (descriptor: number) => void): number {
    const own = this.#native.listen(descriptor, keepAliveSeconds);
    if (own < 0) throw systemError("listen", own);
    this.#listeners.set(own, arrived);
    return own;
  }

  /**
   * Takes over from a socket of Node's, of which nothing is under way. It is destroyed; its connection lives on.
   *
   * @returns the descriptor from here on; undefined where there is none left, and the socket is as it was
   */
  adopt(socket: Socket): number | undefined {
    const own = this.#native.copy(descriptorOf(socket) ?? -1);
    if (own < 0) return undefined;
    socket.destroy();
    return own;
  }

  /** The other end of a descriptor's connection; undefined once there is none. */
  peer(descriptor: number): Peer | undefined {
    const [address = "", port] = this.#native.peer(descriptor).split(" ");
    return address === "" ? undefined : { address, port: Number(port) };
  }

  /** Tells `socket` from here on what comes of a descriptor. Nothing is read before the first `resume`. */
  attach(descriptor: number, socket: PolledSocket): void {
    this.#sockets[descriptor] = socket;
  }

  pause(descriptor: number): void {
    this.#native.pause(descriptor);
  }

  /** @returns 0; the number of an error, below 0, when it can't be read */
  resume(descriptor: number): number {
    return this.#native.resume(descriptor);
  }

  /** @returns how many bytes the kernel took, from the first on; the number of an error, below 0 */
  send(descriptor: number, bytes: Buffer): number {
    return this.#native.send(descriptor, bytes);
  }

  /** Tells the other end that nothing more comes. */
  shutDown(descriptor: number): void {
    this.#native.shutDown(descriptor);
  }

  /** Gives a client's descriptor up: nothing more is told of it. */
  discard(descriptor: number, resets = false): void {
    this.#sockets[descriptor] = undefined;
    this.#native.close(descriptor, resets);
  }

  /** Gives a listener up, right behind the last client that waits there. In a turn of its own: not when a client is told of. */
  stop(descriptor: number): void {
    this.#native.stop(descriptor);
    this.#listeners.delete(descriptor);
  }

  #told(count: number): void {
    const records = this.#records;
    for (let at = 0; at < count * RECORD_NUMBERS; at += RECORD_NUMBERS) {
      const descriptor = records[at] as number;
      const first = records[at + 2] as number;
      // Who was given up since by somebody before it in the list is told nothing.
      switch (records[at + 1]) {
        case Told.data:
          this.#sockets[descriptor]?.received(this.#memory, first, records[at + 3] as number);
          break;
        case Told.end:
          this.#sockets[descriptor]?.peerFinished();
          break;
        case Told.ending:
          this.#sockets[descriptor]?.peerFinishing();
          break;
        case Told.error:
          this.#sockets[descriptor]?.broke(systemError("read", first));
          break;
        case Told.writable:
          this.#sockets[descriptor]?.writable();
          break;
        case Told.arrival:
          this.#arrived(descriptor, first);
          break;
      }
    }
  }

  #arrived(listener: number, descriptor: number): void {
    const arrived = this.#listeners.get(listener);
    if (arrived !== undefined) arrived(descriptor);
    else if (descriptor >= 0) this.discard(descriptor);
  }
}

function loadNative(): NativeModule {
  const root = dirname(findPackageJSON(import.meta.url) ?? "");
  const native = { exports: {} as NativeModule };
  process.dlopen(native, join(root, COMPILED));
  return native.exports;
}
