/** How honest clients connect to each listener. */

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { MessageReader, withLength } from "./message.ts";
import { CA_FILE, type ListenerName, PROXY_ADDRESS } from "./profile.ts";

/** What a client hears of its connection. */
export interface WireEvents {
  readonly opened: () => void;
  readonly message: (message: Buffer) => void;
  /** Once, last. */
  readonly closed: (why: string) => void;
}

/** A connection that carries whole messages. */
export interface Wire {
  send(message: Buffer): void;
  close(): void;
}

const ca = readFileSync(CA_FILE);

/**
 * Connects to a listener.
 *
 * @param address the client's own address; behind a proxy it is told by that
 */
export function dial(listener: ListenerName, port: number, address: string, events: WireEvents): Wire {
  if (listener === "web") return webWire(port, address, events);
  if (listener === "framed") return streamWire(dialTcp(port, address), 2, "connect", events);
  if (listener === "secure") {
    const socket = connectTls({ socket: dialTcp(port, address), ca, servername: "localhost" });
    return streamWire(socket, 0, "secureConnect", events);
  }
  if (listener === "stream") return streamWire(dialTcp(port, address), 0, "connect", events);
  const socket = dialTcp(port, PROXY_ADDRESS);
  socket.write(`PROXY TCP4 ${address} 127.0.0.1 ${1024 + (port % 60_000)} ${port}\r\n`);
  return streamWire(socket, 0, "connect", events);
}

function dialTcp(port: number, localAddress: string): Socket {
  return connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
}

function streamWire(socket: Socket, prefixBytes: 0 | 2, opened: string, events: WireEvents): Wire {
  const reader = new MessageReader(prefixBytes);
  let why = "closed";
  socket.on(opened, events.opened);
  socket.on("error", (error: NodeJS.ErrnoException) => {
    why = error.code ?? error.message;
  });
  socket.on("data", (bytes: Buffer) => {
    try {
      reader.read(bytes, events.message);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  socket.on("close", () => events.closed(why));
  return {
    send: (message) => socket.write(prefixBytes === 2 ? withLength(message) : message),
    close: () => socket.destroy(),
  };
}

function webWire(port: number, address: string, events: WireEvents): Wire {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
    perMessageDeflate: false,
    createConnection: () => dialTcp(port, address),
  });
  let why = "";
  socket.on("open", events.opened);
  socket.on("error", (error: NodeJS.ErrnoException) => {
    why = error.code ?? error.message;
  });
  socket.on("message", (message: Buffer) => events.message(message));
  socket.on("close", (code, reason) => events.closed(why || `${code} ${reason}`));
  return { send: (message) => socket.send(message), close: () => socket.terminate() };
}
