/**
 * Whether capacity leaks and memory grows: `npm run bench:churn`. Idle clients on one gateway, then clients
 * that join and leave at a steady rate beside them; the slots must be exact at the end, and memory flat.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Gateway, ManagerServer } from "../manager-stub/index.ts";

const { values } = parseArgs({
  options: {
    idle: { type: "string", default: "10000" },
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "60" },
  },
});
const idle = Number(values.idle);
const rate = Number(values.rate);
const seconds = Number(values.seconds);

/** How long a client that comes and goes stays. */
const STAY_MS = 1000;
/** Longer than a close may take to be told, and some. */
const SETTLE_MS = 7000;
/** Clients that are connecting at the same time, at the most. */
const CONNECTING = 200;
const PAGE_BYTES = 4096;
/** So many listeners that the ports of clients that have just left do not run out. */
const LISTENERS = 4;

/** Room for the idle, and for all who come and go until their leave is settled. */
const capacity = idle + Math.ceil((rate * (STAY_MS + SETTLE_MS)) / 1000);

const directory = mkdtempSync(join(tmpdir(), "sidegate-bench-"));
const manager = new ManagerServer({
  listen: `unix:${join(directory, "manager.sock")}`,
  capacity,
  pingMs: 2000,
});
const link = await manager.listen();
let joins = 0;
let leaves = 0;
manager.on("join", () => joins++);
manager.on("leave", () => leaves++);

const root = join(import.meta.dirname, "..");
const listen = Array.from({ length: LISTENERS }, (_, i) => [
  "--listen",
  `tcp://127.0.0.1:0?name=${i}`,
]).flat();
const args = ["gateway/main.ts", "--manager", link, ...listen, "--log-level", "warn"];
const child = spawn(process.execPath, [...process.execArgv, ...args], {
  cwd: root,
  stdio: ["ignore", "inherit", "inherit"],
});
const [gateway] = (await once(manager, "gatewayUp")) as [Gateway];
const ports = gateway.endpoints.map((endpoint) => endpoint.port);

function rssMiB(): number {
  const pages = readFileSync(`/proc/${gateway.pid}/statm`, "utf8").split(" ")[1];
  return (Number(pages) * PAGE_BYTES) / 2 ** 20;
}

let dialled = 0;
let refused = 0;

function dial(): Promise<Socket | undefined> {
  const socket = connect(ports[dialled++ % LISTENERS] ?? 0, "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>();
  socket.on("connect", () => resolve(socket));
  socket.on("error", () => {
    refused++;
    resolve(undefined);
  });
  return promise;
}

console.log(`one gateway, ${capacity} slots, Node ${process.version}`);
const empty = rssMiB();
const stayers: Socket[] = [];
while (stayers.length < idle) {
  const wave = Array.from({ length: Math.min(CONNECTING, idle - stayers.length) }, dial);
  for (const socket of await Promise.all(wave)) if (socket !== undefined) stayers.push(socket);
}
await setTimeout(SETTLE_MS);
const withIdle = rssMiB();
console.log(
  `${gateway.sessionCount} idle clients: ${withIdle.toFixed(0)} MiB resident, ${empty.toFixed(0)} before`,
);
if (idle > 0) console.log(`bytes per idle client: ${Math.round(((withIdle - empty) * 2 ** 20) / idle)}`);

/** The longest time in which this process did not look after its clients. */
let longestPauseMs = 0;
let lookedAt = performance.now();

function sample(): void {
  samples.push(rssMiB());
  if (samples.length % 10 === 1)
    console.log(`${samples.length} s: ${rssMiB().toFixed(0)} MiB, ${gateway.sessionCount} sessions`);
}

const cpuBefore = gateway.vitals?.cpuMs ?? 0;
const begun = performance.now();
const joinsBefore = joins;
let started = 0;
const samples: number[] = [];
while (performance.now() - begun < seconds * 1000) {
  const due = Math.floor(((performance.now() - begun) / 1000) * rate);
  for (; started < due; started++) {
    dial().then(async (socket) => {
      await setTimeout(STAY_MS);
      socket?.end();
      socket?.resume();
    });
  }
  if (samples.length < (performance.now() - begun) / 1000) sample();
  await setTimeout(2);
  longestPauseMs = Math.max(longestPauseMs, performance.now() - lookedAt);
  lookedAt = performance.now();
}
console.log(`longest pause of the load: ${longestPauseMs.toFixed(0)} ms`);
const took = (performance.now() - begun) / 1000;
const came = joins - joinsBefore;
await setTimeout(STAY_MS + SETTLE_MS);

const half = samples.slice(Math.floor(samples.length / 2));
const third = Math.ceil(half.length / 3);
const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
console.log(`${came} joined and ${leaves} left in ${took.toFixed(0)} s; refused: ${refused}`);
console.log(
  `resident, second half: ${Math.min(...half).toFixed(0)} to ${Math.max(...half).toFixed(0)} MiB; ` +
    `its last third against its first: ${(mean(half.slice(-third)) - mean(half.slice(0, third))).toFixed(1)} MiB`,
);
const cpuMs = (gateway.vitals?.cpuMs ?? 0) - cpuBefore;
console.log(
  `processor time of the gateway: ${Math.round((cpuMs * 1000) / came)} µs for each that came and went`,
);
const slots = () => JSON.stringify(gateway.vitals?.slots);
console.log(`with the idle ones there: ${slots()}, expected inUse ${idle}, freed ${capacity - idle}`);
for (const socket of stayers) socket.resetAndDestroy();
await setTimeout(SETTLE_MS);
console.log(`with nobody there: ${slots()}, expected freed ${capacity}; ${rssMiB().toFixed(0)} MiB resident`);
console.log(`joins ${joins}, leaves ${leaves}`);

child.kill("SIGTERM");
await once(child, "exit");
await manager.close();
rmSync(directory, { recursive: true });
