/** A plain echo server over the `ws` package. It prints its port, and for each line on its input what it counted. */

import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

const BACKLOG = 4096;

const counts = { open: 0, joins: 0, leaves: 0, bytesIn: 0, bytesOut: 0 };

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: BACKLOG,
  perMessageDeflate: false,
});
server.on("listening", () => say({ ports: [(server.address() as AddressInfo).port] }));
server.on("connection", (client) => {
  counts.open++;
  counts.joins++;
  client.on("message", (data: Buffer, binary: boolean) => {
    counts.bytesIn += data.length;
    counts.bytesOut += data.length;
    client.send(data, { binary });
  });
  client.on("error", () => {});
  client.on("close", () => {
    counts.open--;
    counts.leaves++;
  });
});
process.stdin.on("data", () => say(counts));
process.stdin.on("end", () => process.exit());
