/** Stands between a client and a gateway, and counts the bytes of either way. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { next } from "../helpers/wait.ts";

export interface Relay {
  readonly port: number;
  /** Bytes that clients have sent so far. */
  readonly up: number;
  /** Bytes that clients were sent so far. */
  readonly down: number;
}

/** Starts one to a port of loopback. It ends with the test. */
export async function startRelay(t: TestContext, to: number): Promise<Relay> {
  const bytes = { up: 0, down: 0 };
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const gateway = connect({ port: to, host: "127.0.0.1" });
    sockets.push(client, gateway);
    for (const socket of [client, gateway]) socket.on("error", () => {});
    client.on("data", (part) => {
      bytes.up += part.length;
    });
    gateway.on("data", (part) => {
      bytes.down += part.length;
    });
    client.pipe(gateway).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await next(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get up() {
      return bytes.up;
    },
    get down() {
      return bytes.down;
    },
  };
}
