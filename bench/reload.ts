/**
 * How many clients a reload costs: `npm run bench:reload`. Clients connect without pause to two gateways that
 * share a port, while one of them is reloaded under pm2 again and again; each client says one word and must
 * hear it back. With and without net.ipv4.tcp_migrate_req, each in a network namespace of its own.
 *
 * Needs root and `unshare`, and says so.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { connect } from "node:net";
import { parseArgs } from "node:util";
import { Pm2Ecosystem } from "../test/helpers/pm2.ts";

const CLIENT_PORT = 7300;
const HTTP_PORT = 7380;
const WORD = "hello";
/** A client that has heard nothing after this long was not served. */
const CLIENT_TIMEOUT_MS = 10_000;
const INSIDE = "SIDEGATE_BENCH_NAMESPACE";

export interface ReloadOptions {
  readonly reloads: number;
  /** New clients in each second. */
  readonly rate: number;
}

export interface ReloadFigures {
  readonly migrate: boolean;
  readonly reloads: number;
  readonly served: number;
  /** Clients that were not served, by the code of their error. */
  readonly failed: Readonly<Record<string, number>>;
}

/** Whether this machine lets this user make a network namespace. */
export function canMakeNamespaces(): boolean {
  return spawnSync("unshare", ["--net", "true"]).status === 0;
}

/** Runs the measurement in a network namespace where tcp_migrate_req is on or off. */
export function measureInNamespace(migrate: boolean, { reloads, rate }: ReloadOptions): ReloadFigures {
  const args = [
    "--net",
    process.execPath,
    import.meta.filename,
    "--reloads",
    String(reloads),
    "--rate",
    String(rate),
  ];
  const env = { ...process.env, [INSIDE]: migrate ? "on" : "off" };
  return JSON.parse(
    execFileSync("unshare", args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
  );
}

async function measure(migrate: boolean, { reloads, rate }: ReloadOptions): Promise<ReloadFigures> {
  delete process.env[INSIDE];
  execFileSync("ip", ["link", "set", "lo", "up"]);
  execFileSync("sysctl", ["-qw", `net.ipv4.tcp_migrate_req=${migrate ? 1 : 0}`]);
  const ecosystem = new Pm2Ecosystem(CLIENT_PORT, HTTP_PORT);
  try {
    await ecosystem.start();
    await ecosystem.untilUp(["gateway-1", "gateway-2"]);
    const load = new Load(rate);
    for (let reload = 0; reload < reloads; reload++) {
      await ecosystem.pm2("reload", "gateway-1");
      await ecosystem.untilUp(["gateway-1", "gateway-2"]);
    }
    return { migrate, reloads, ...(await load.end()) };
  } finally {
    await ecosystem.stop();
  }
}

/** Clients that come, say a word, hear it, and go. */
class Load {
  #served = 0;
  readonly #failed: Record<string, number> = {};
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(rate: number) {
    const tickMs = 2;
    const begun = performance.now();
    let started = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begun) / 1000) * rate);
      for (; started < due; started++) this.#start();
    }, tickMs);
  }

  async end(): Promise<Pick<ReloadFigures, "served" | "failed">> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    return { served: this.#served, failed: this.#failed };
  }

  #start(): void {
    const visit = this.#visit()
      .then(
        () => {
          this.#served++;
        },
        (error: NodeJS.ErrnoException) => {
          const code = error.code ?? error.message;
          this.#failed[code] = (this.#failed[code] ?? 0) + 1;
        },
      )
      .finally(() => this.#open.delete(visit));
    this.#open.add(visit);
  }

  #visit(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(CLIENT_PORT, "127.0.0.1", () => socket.write(WORD));
    socket.setTimeout(CLIENT_TIMEOUT_MS, () => reject(new Error("timeout")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
    socket.on("data", () => {
      resolve();
      socket.resetAndDestroy();
    });
    return promise;
  }
}

function describeFailed(failed: ReloadFigures["failed"]): string {
  const parts = Object.entries(failed).map(([code, count]) => `${count} ${code}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { reloads: { type: "string", default: "20" }, rate: { type: "string", default: "500" } },
  });
  const options = { reloads: Number(values.reloads), rate: Number(values.rate) };
  const inside = process.env[INSIDE];
  if (inside !== undefined) {
    process.stdout.write(JSON.stringify(await measure(inside === "on", options)));
    return;
  }
  if (!canMakeNamespaces())
    throw new Error("this measurement needs root and unshare, for network namespaces");
  for (const migrate of [true, false]) {
    const { served, failed } = measureInNamespace(migrate, options);
    const setting = `tcp_migrate_req=${migrate ? 1 : 0}`;
    console.log(
      `${setting}: ${options.reloads} reloads at ${options.rate} clients/s: ${served} served, failed: ${describeFailed(failed)}`,
    );
  }
}

if (import.meta.main) await main();
