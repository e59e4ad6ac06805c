/**
 * The step that reads a PROXY header. A listener that asks for one requires it, from peers that are trusted and
 * from nobody else: a header is never looked for where none was asked for, and never missing where one was.
 */

import { Gathering } from "../framing/gathering.ts";
import type { Handshake, HandshakeStep } from "./handshake.ts";
import { type ProxyVersions, readProxyHeader } from "./proxy-protocol.ts";

/** A header bounds itself. */
const NO_LIMIT = Number.POSITIVE_INFINITY;

/**
 * @param isTrusted whether the peer at an address may say who the client is
 */
export function proxyStep(accepted: ProxyVersions, isTrusted: (address: string) => boolean): HandshakeStep {
  return (handshake) => {
    if (!isTrusted(handshake.peer.address)) handshake.fail("untrusted-proxy");
    else readHeader(handshake, accepted);
  };
}

function readHeader(handshake: Handshake, accepted: ProxyVersions): void {
  const { socket } = handshake;
  let gathered: Gathering | undefined;
  const take = (bytes: Buffer) => {
    gathered?.append(bytes, 0, bytes.length, NO_LIMIT);
    const read = gathered?.bytes.subarray(0, gathered.length) ?? bytes;
    const header = readProxyHeader(read, accepted);
    if (header === "more") {
      gathered ??= gather(read);
      return;
    }
    if ("fault" in header) {
      stop();
      return;
    }
    socket.off("data", take);
    socket.off("end", stop);
    socket.pause();
    const peer = handshake.peer;
    const refusal = header.local
      ? handshake.identify(peer.address, peer.port)
      : handshake.identify(header.address, header.port);
    if (refusal !== undefined) {
      handshake.fail(refusal);
      return;
    }
    if (!header.local)
      handshake.describe({
        proxy: peer.address,
        ...(header.tls?.sni !== undefined && { sni: header.tls.sni }),
      });
    handshake.leave(read.subarray(header.headerBytes));
    handshake.proceed();
  };
  const stop = () => {
    socket.off("data", take);
    // Who connects and closes again, as health checks do, has sent no wrong header.
    handshake.fail(handshake.isSilent ? "left-early" : "bad-proxy-header");
  };
  socket.on("data", take);
  socket.on("end", stop);
  socket.resume();
}

/** The beginning of a header whose rest may take its time. */
function gather(bytes: Buffer): Gathering {
  const gathered = new Gathering(bytes.length, NO_LIMIT);
  gathered.append(bytes, 0, bytes.length, NO_LIMIT);
  return gathered;
}
