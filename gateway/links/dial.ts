/**
 * Opening the stream to a manager. It is read into one buffer, which is used again for the next read unless
 * who took the bytes still needs them.
 */

import { isIP, type OnReadOpts, type Socket } from "node:net";
import type { SecureContext } from "node:tls";
import type { OpenStream } from "../../link/framed-stream.ts";
import { connectSocket, connectTls } from "../../process/sockets.ts";
import type { LinkAddress } from "../../proto/link-url.ts";

const READ_BUFFER_BYTES = 64 * 1024;

/** The link is read this long at a stretch; then timers and clients have their turn. */
const STRETCH_MS = 10;

/** What a manager is dialled with over TLS. */
export interface DialTls {
  /** The authorities that are trusted, and this side's own certificate if it has one. */
  readonly context: SecureContext;
  /** The name that the manager's certificate must bear; by default the host that is dialled. */
  readonly servername: string | undefined;
}

/**
 * How to dial `address` with real sockets.
 *
 * @param tls needed for an address of TLS, and for no other
 */
export function dialer(address: LinkAddress, tls?: DialTls): OpenStream {
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
    const socket = open(address, tls, onread);
    return socket;
  };
}

function open(address: LinkAddress, tls: DialTls | undefined, onread: OnReadOpts): Socket {
  if (address.kind === "unix") return connectSocket({ path: address.path, onread });
  const { host, port } = address;
  if (address.kind === "tcp") return connectSocket({ host, port, noDelay: true, onread });
  if (tls === undefined) throw new Error("a manager over TLS is dialled with no TLS context");
  // Node takes an IP address for no server's name; it is checked against the certificate all the same.
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
  // Spelled out, so that no variable of the environment can turn it off.
  const rejectUnauthorized = true;
  const options = { host, port, secureContext: tls.context, rejectUnauthorized, onread };
  const socket = connectTls(servername === undefined ? options : { ...options, servername });
  return socket.setNoDelay(true);
}
