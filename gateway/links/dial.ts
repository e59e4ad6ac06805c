/**
 * Opening the stream to a manager. It is read into one buffer, which is used again for the next read unless
 * who took the bytes still needs them.
 */

import { connect, type OnReadOpts } from "node:net";
import type { OpenStream } from "../../link/framed-stream.ts";
import type { LinkAddress } from "../../proto/link-url.ts";

const READ_BUFFER_BYTES = 64 * 1024;

/** The link is read this long at a stretch; then timers and clients have their turn. */
const STRETCH_MS = 10;

/** How to dial `address` with real sockets. */
export function dialer(address: LinkAddress): OpenStream {
  return (read) => {
    let buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    let stretchBegan: number | undefined;
    const onread: OnReadOpts = {
      buffer: () => buffer,
      callback(length, bytes) {
        stretchBegan ??= beginStretch();
        if (!read(bytes as Buffer, length)) buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
        if (performance.now() - stretchBegan > STRETCH_MS) socket.pause();
        return true;
      },
    };
    const beginStretch = () => {
      setImmediate(() => {
        stretchBegan = undefined;
        socket.resume();
      });
      return performance.now();
    };
    const socket =
      address.kind === "unix"
        ? connect({ path: address.path, onread })
        : connect({ host: address.host, port: address.port, noDelay: true, onread });
    return socket;
  };
}
