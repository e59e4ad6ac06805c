/**
 * Writes to a socket's handle, past the stream around it. A stream keeps a queue and its bookkeeping for each write; a
 * connection has a queue of its own, and with thousands of clients it is the memory of the former that costs. Node does
 * not document its handles, so nothing is written to one before a socket of Node's was seen to write in the same way
 * (docs/decisions/0011-writing-past-the-stream.md).
 */

import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";

/** What came of a write. */
export const Outcome = {
  /** The kernel has it all. */
  taken: 0,
  /** It is under way: the memory is needed until the stream has written what it is given next. */
  pending: 1,
  /** Nothing was written. The stream is to write it, or to say why not. */
  refused: 2,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** A write that the kernel did not take at once. */
interface PendingWrite {
  oncomplete: (this: PendingWrite, status: number) => void;
  /** How it ended, if it has already. */
  readonly writeStatus: number | null;
  /** Kept until it is complete. */
  buffer: Buffer;
  socket: Socket;
}

/** What a socket writes to. Older versions of Node make the request beforehand, and give an error's number. */
interface Handle {
  /** @returns an error's number, which is negative; 0 when all was taken */
  writeBuffer(request: unknown, bytes: Buffer): number | PendingWrite;
}

export class DirectWriter {
  /** Whether handles are what they are taken for; undefined before one was seen. */
  #known: boolean | undefined;

  /** @param socket without TLS */
  write(socket: Socket, bytes: Buffer): Outcome {
    const handle = handleOf(socket);
    if (handle === null || this.#known === false) return Outcome.refused;
    if (this.#known === undefined) return this.#learn(socket, handle, bytes);
    const result = handle.writeBuffer(null, bytes);
    if (result === 0) return Outcome.taken;
    return typeof result === "number" ? Outcome.refused : pend(result, socket, bytes);
  }

  /** Has the stream write, and looks on. */
  #learn(socket: Socket, handle: Handle, bytes: Buffer): Outcome {
    const { writeBuffer } = handle;
    handle.writeBuffer = (request, given) => {
      const result = writeBuffer.call(handle, request, given);
      if (request !== null) this.#known = false;
      else if (result === 0) this.#known = true;
      return result;
    };
    socket.write(bytes);
    Reflect.deleteProperty(handle, "writeBuffer");
    return socket.writableLength === 0 ? Outcome.taken : Outcome.pending;
  }
}

function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { _handle: Handle | null })._handle;
}

function pend(write: PendingWrite, socket: Socket, bytes: Buffer): Outcome {
  write.buffer = bytes;
  write.socket = socket;
  write.oncomplete = onComplete;
  if (typeof write.writeStatus === "number") write.oncomplete(write.writeStatus);
  return Outcome.pending;
}

function onComplete(this: PendingWrite, status: number): void {
  if (status >= 0 || this.socket.destroyed) return;
  const code = getSystemErrorName(status);
  this.socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: "write" }));
}
