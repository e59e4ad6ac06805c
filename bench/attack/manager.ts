/**
 * The reference manager, which echoes, as a process of its own that speaks as bench/c/manager.c does: it says when it
 * is ready and when a gateway listens, and for each line on standard input what it has counted.
 */

import { parseArgs } from "node:util";
import { ManagerServer } from "../../manager-stub/index.ts";

const { values } = parseArgs({
  options: {
    listen: { type: "string", default: "" },
    capacity: { type: "string", default: "10000" },
    "ping-ms": { type: "string", default: "5000" },
  },
});

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let empty = 0;
const server = new ManagerServer({
  listen: `unix:${values.listen}`,
  capacity: Number(values.capacity),
  pingMs: Number(values["ping-ms"]),
});
server.on("message", (session, payload) => {
  if (payload.length === 0) empty++;
  server.send(session, payload);
});
server.on("gatewayUp", ({ endpoints }) =>
  say({ event: "listening", ports: endpoints.map(({ port }) => port) }),
);
await server.listen();
say({ event: "ready" });
process.stdin.on("data", () => {
  const [gateway] = server.gateways;
  say({ empty, open: gateway?.sessionCount ?? 0, vitals: gateway?.vitals });
});
process.stdin.on("end", () => process.exit(0));
