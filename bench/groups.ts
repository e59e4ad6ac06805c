/**
 * What a message to a group costs: `npm run bench:groups`. One message to a group of all clients, beside one to all, one to
 * a list of all, and one to each by itself; in rounds that take turns, over loopback. It ends by itself.
 *
 * The clients and the manager share a process, which is mostly what limits the deliveries a second; the gateway's processor
 * time for each delivery is its own.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gateway, ManagerServer, type Session } from "../manager-stub/index.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "10000" },
    bytes: { type: "string", default: "64" },
    framing: { type: "string", default: "none" },
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
  },
});
const clients = Number(values.clients);
const bytes = Number(values.bytes);
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);

/** Clients that are connecting at the same time, at the most. */
const CONNECTING = 200;
/** Messages to everybody that are under way: two at once would leave in one write to each client, where they meet. */
const WINDOW = 1;
/** What frames a message, bytes. */
const FRAMING_BYTES: Readonly<Record<string, number>> = {
  none: 0,
  line: 1,
  u16be: 2,
  u16le: 2,
  u32be: 4,
  u32le: 4,
};
/** The clock of `/proc/PID/stat`, ticks a second. */
const TICKS_PER_S = 100;
const GROUP = "everybody";

const directory = mkdtempSync(join(tmpdir(), "sidegate-bench-"));
const manager = new ManagerServer({
  listen: `unix:${join(directory, "manager.sock")}`,
  capacity: clients,
});
const link = await manager.listen();
const listen = `tcp://127.0.0.1:0?framing=${values.framing}`;
const args = ["gateway/main.ts", "--manager", link, "--listen", listen, "--log-level", "warn"];
const child = spawn(process.execPath, [...process.execArgv, ...args], {
  cwd: join(import.meta.dirname, ".."),
  stdio: ["ignore", "inherit", "inherit"],
});
const [gateway] = (await once(manager, "gatewayUp")) as [Gateway];
const port = gateway.endpoints[0]?.port ?? 0;

/** Processor time of the gateway so far, user and system, milliseconds. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${gateway.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
}

let receivedBytes = 0;
let wantedBytes = 0;
let arrived = () => {};

/** What all clients read into: nobody looks at it. */
const sink = Buffer.allocUnsafe(64 * 1024);

function received(length: number): boolean {
  receivedBytes += length;
  if (receivedBytes >= wantedBytes) arrived();
  return true;
}

async function dial(): Promise<Socket> {
  const socket = createConnection({ port, host: "127.0.0.1", onread: { buffer: sink, callback: received } });
  await once(socket, "connect");
  return socket;
}

const sockets: Socket[] = [];
while (sockets.length < clients) {
  const wave = Array.from({ length: Math.min(CONNECTING, clients - sockets.length) }, dial);
  sockets.push(...(await Promise.all(wave)));
}
let joins = gateway.sessionCount;
while (joins < clients) {
  await once(manager, "join");
  joins = gateway.sessionCount;
}
const sessions: readonly Session[] = [...manager.sessions()];
for (const session of sessions) manager.addToGroup(session, GROUP);

const payload = Buffer.alloc(bytes, "x");
/** What one message is at the clients. */
const everywhereBytes = clients * (bytes + (FRAMING_BYTES[values.framing] ?? 0));

/** A way to send one message to every client, and what it is on the link, bytes. */
interface Way {
  readonly linkBytes: number;
  readonly send: () => void;
}

const HEADER_BYTES = 8;
const ID_BYTES = 4;

const ways: Readonly<Record<string, Way>> = {
  "one to a group": {
    linkBytes: HEADER_BYTES + 1 + GROUP.length + bytes,
    send: () => manager.sendToGroup(GROUP, payload),
  },
  "one to all": { linkBytes: HEADER_BYTES + bytes, send: () => manager.broadcast(payload) },
  "one to a list": {
    linkBytes: HEADER_BYTES + ID_BYTES * (1 + clients) + bytes,
    send: () => manager.sendMany(sessions, payload),
  },
  "one to each": {
    linkBytes: clients * (HEADER_BYTES + ID_BYTES + bytes),
    send() {
      for (const session of sessions) manager.send(session, payload);
    },
  },
};

interface Measured {
  messages: number;
  sendMs: number;
  ms: number;
  gatewayMs: number;
  ownMs: number;
}

/** Sends for a while, the next message once everybody has the last. */
async function measure(send: () => void, ms: number): Promise<Measured> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const share = everywhereBytes;
  const before = { at: performance.now(), bytes: receivedBytes, gatewayMs: cpuMs(), own: process.cpuUsage() };
  let sent = 0;
  let sendMs = 0;
  const next = () => {
    while (
      performance.now() - before.at < ms &&
      before.bytes + (sent - WINDOW + 1) * share <= receivedBytes
    ) {
      sent++;
      const began = performance.now();
      send();
      sendMs += performance.now() - began;
    }
    const done = before.bytes + sent * share;
    const isOver = performance.now() - before.at >= ms;
    wantedBytes = isOver ? done : before.bytes + (sent - WINDOW + 1) * share;
    if (isOver && receivedBytes >= done) resolve();
  };
  arrived = next;
  next();
  await promise;
  arrived = () => {};
  const own = process.cpuUsage(before.own);
  return {
    messages: sent,
    sendMs,
    ms: performance.now() - before.at,
    gatewayMs: cpuMs() - before.gatewayMs,
    ownMs: (own.user + own.system) / 1000,
  };
}

console.log(
  `${clients} clients, ${bytes} B, framing ${values.framing}, ${rounds} rounds of ${seconds} s each, Node ${process.version}`,
);
for (const { send } of Object.values(ways)) await measure(send, 500);
const totals = new Map<string, Measured>();
for (let round = 0; round < rounds; round++) {
  for (const [name, { send }] of Object.entries(ways)) {
    const one = await measure(send, seconds * 1000);
    const total = totals.get(name) ?? { messages: 0, sendMs: 0, ms: 0, gatewayMs: 0, ownMs: 0 };
    for (const key of ["messages", "sendMs", "ms", "gatewayMs", "ownMs"] as const) total[key] += one[key];
    totals.set(name, total);
  }
}

const columns = ["deliveries/s", "gateway µs each", "gateway core", "load core", "manager ms", "link KiB"];
const row = (name: string, cells: readonly string[]) =>
  console.log(name.padEnd(16) + cells.map((cell) => cell.padStart(17)).join(""));
row("", columns);
for (const [name, { messages, sendMs, ms, gatewayMs, ownMs }] of totals) {
  const deliveries = messages * clients;
  const share = (used: number) => `${Math.round((100 * used) / ms)} %`;
  row(name, [
    Math.round((deliveries * 1000) / ms).toLocaleString("en"),
    ((gatewayMs * 1000) / deliveries).toFixed(2),
    share(gatewayMs),
    share(ownMs),
    (sendMs / messages).toFixed(2),
    ((ways[name]?.linkBytes ?? 0) / 1024).toFixed(1),
  ]);
}

for (const socket of sockets) socket.resetAndDestroy();
child.kill("SIGTERM");
await once(child, "exit");
await manager.close();
rmSync(directory, { recursive: true });
