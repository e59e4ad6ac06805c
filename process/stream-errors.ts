/**
 * A stream whose error nobody listens to ends the process. Streams change owners (a handshake's steps, an upgrade, the
 * poller), and what was written before may fail after. So each gets a listener when it comes into being, which it keeps.
 */

import type { EventEmitter } from "node:events";

/**
 * Gives a stream, socket or server a listener for its errors that is never taken off. Whoever wants to know of an error
 * listens too; that it is lost is told by `close` in any case.
 *
 * @returns the same
 */
export function withErrorListener<T extends EventEmitter>(emitter: T): T {
  return emitter.listeners("error").includes(ignore) ? emitter : emitter.on("error", ignore);
}

// The same function for all: a hundred thousand sockets share it.
function ignore(): void {}
