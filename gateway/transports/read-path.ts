/**
 * How a client's bytes get from the kernel to its connection. Shared: all sockets read into one buffer, so
 * that an idle client holds none and a read allocates none. It leans on an option of Node's that is not
 * documented for accepted sockets, so the ordinary way, a buffer for each read, stands beside it, and a
 * check at start-up says whether the shared one works in this runtime (docs/decisions/0002-shared-read-buffer.md).
 */

import { once } from "node:events";
import type { AddressInfo, Socket, SocketConstructorOpts } from "node:net";
import { connectSocket, createSocketServer, socketOver } from "../../process/sockets.ts";

/** What a read path delivers to. */
export interface ReadTarget {
  /** The buffer is used again after the call. */
  received(bytes: Buffer, length: number): void;
}

/** The target of a socket hangs on the socket, so that its listeners can be the same functions for all sockets. */
export const TARGET = Symbol("target");

export interface TargetedSocket extends Socket {
  [TARGET]: ReadTarget;
}

/**
 * Makes the socket to use out of one that was accepted and has nothing read that was not taken, and delivers what it
 * reads from then on to `target`. It is paused. The one that was given is not to be used any more.
 */
export type ReadPath = (accepted: Socket, target: ReadTarget) => Socket;

/** Bytes of the buffer that all sockets of a process share. */
const SHARED_BUFFER_BYTES = 64 * 1024;

/** The parts of an accepted socket that Node does not declare. */
interface AcceptedSocket {
  _handle: unknown;
  readonly _server: unknown;
}

/** Each read has a buffer of its own. */
export const ordinaryReadPath: ReadPath = (accepted, target) => {
  const socket = withTarget(accepted, target);
  socket.on("data", onData);
  socket.pause();
  return socket;
};

function onData(this: TargetedSocket, bytes: Buffer): void {
  this[TARGET].received(bytes, bytes.length);
}

/** All reads of the process go through one buffer. */
export function sharedReadPath(): ReadPath {
  const buffer = Buffer.allocUnsafeSlow(SHARED_BUFFER_BYTES);
  const onread = {
    buffer,
    callback(this: TargetedSocket, length: number): boolean {
      this[TARGET].received(buffer, length);
      return true;
    },
  };
  return (accepted, target) => {
    const inner = accepted as unknown as AcceptedSocket;
    const { _handle: handle, _server: server } = inner;
    // It would go on reading by itself, behind the back of the one that takes its place.
    inner._handle = null;
    const options = { handle, onread, allowHalfOpen: true, pauseOnCreate: true };
    const socket = socketOver(options as unknown as SocketConstructorOpts);
    // The server counts its sockets through these, and closes only when the last has gone.
    Object.assign(socket, { server, _server: server });
    socket.on("resume", onResume);
    return withTarget(socket, target);
  };
}

/**
 * Node begins to read a socket at the end of the turn in which it was first resumed, also where it was paused again
 * meanwhile. With a buffer of its own it would then go on reading for good: nothing but another pause stops it.
 */
function onResume(this: Socket): void {
  if (this.isPaused()) this.pause();
}

function withTarget(socket: Socket, target: ReadTarget): TargetedSocket {
  return Object.assign(socket, { [TARGET]: target });
}

/**
 * Whether the shared path carries bytes and their end through a real socket pair in this runtime.
 * Never throws.
 */
export async function sharedReadPathWorks(): Promise<boolean> {
  const sent = Buffer.from("shared read path");
  const server = createSocketServer({ pauseOnConnect: true, allowHalfOpen: true });
  try {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const { port } = server.address() as AddressInfo;
    const dialled = connectSocket({ port, host: "127.0.0.1" });
    dialled.end(sent);
    const [socket] = (await accepted) as [Socket];
    const received = await readAll(socket);
    dialled.destroy();
    return received.equals(sent);
  } catch {
    return false;
  } finally {
    server.close();
  }
}

async function readAll(accepted: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  const socket = sharedReadPath()(accepted, {
    received: (bytes, length) => parts.push(Buffer.from(bytes.subarray(0, length))),
  });
  const ended = once(socket, "end", { signal: AbortSignal.timeout(1000) });
  socket.resume();
  await ended;
  socket.destroy();
  return Buffer.concat(parts);
}
