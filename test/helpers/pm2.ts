/**
 * The ecosystem under a pm2 of its own: its home, socket and ports are the caller's, so that it meets no
 * other. Also used by the benchmarks.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { GatewayView } from "../../manager-stub/api-views.ts";
import { ROOT } from "./process.ts";
import { next, until } from "./wait.ts";

const run = promisify(execFile);
const PM2 = join(ROOT, "node_modules/pm2/bin/pm2");

interface App {
  readonly name: string;
  readonly args: readonly (string | number)[];
}

/** A process as pm2 sees it. */
export interface Pm2Process {
  readonly name: string;
  readonly pid: number;
  readonly pm2_env: { readonly status: string; readonly restart_time: number };
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await next(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await next(probe, "close");
  return port;
}

function sameNames(gateways: readonly GatewayView[], names: readonly string[]): boolean {
  return gateways.length === names.length && gateways.every(({ name }) => names.includes(name));
}

export class Pm2Ecosystem {
  readonly clientPort: number;
  readonly #home = mkdtempSync(join(tmpdir(), "sidegate-pm2-"));
  readonly #http: string;

  constructor(clientPort: number, httpPort: number) {
    this.clientPort = clientPort;
    this.#http = `127.0.0.1:${httpPort}`;
  }

  /** Starts all apps, each once the one before is ready. */
  async start(): Promise<void> {
    const { apps } = createRequire(import.meta.url)(join(ROOT, "ecosystem.config.cjs")) as { apps: App[] };
    const moved = apps.map((app) => ({ ...app, args: this.#moveArgs(app) }));
    const file = join(this.#home, "ecosystem.config.cjs");
    writeFileSync(file, `module.exports = ${JSON.stringify({ apps: moved })};\n`);
    await this.pm2("start", file);
  }

  /** Runs a pm2 command; gives what it printed. */
  async pm2(...args: string[]): Promise<string> {
    const env = {
      ...process.env,
      PM2_HOME: this.#home,
      PM2_CONCURRENT_ACTIONS: "1",
      PM2_DISCRETE_MODE: "1",
      PM2_DISABLE_VERSION_CHECK: "1",
    };
    const { stdout } = await run(process.execPath, [PM2, ...args], { env, cwd: ROOT, maxBuffer: 2 ** 24 });
    return stdout;
  }

  async processes(): Promise<Pm2Process[]> {
    const text = await this.pm2("jlist");
    return JSON.parse(text.slice(text.indexOf("[{")));
  }

  async process(name: string): Promise<Pm2Process> {
    const found = (await this.processes()).find((one) => one.name === name);
    if (found === undefined) throw new Error(`pm2 knows no ${name}`);
    return found;
  }

  /** The gateways as the manager sees them; none while it does not answer. */
  async gateways(): Promise<readonly GatewayView[]> {
    try {
      const response = await fetch(`http://${this.#http}/api/gateways`);
      return ((await response.json()) as { gateways: GatewayView[] }).gateways;
    } catch {
      return [];
    }
  }

  /**
   * Waits until exactly these gateways are up, all of them as `where` wants them; gives them by name.
   */
  async untilUp(
    names: readonly string[],
    where: (gateway: GatewayView) => boolean = () => true,
  ): Promise<Map<string, GatewayView>> {
    let up: readonly GatewayView[] = [];
    let asking = false;
    await until(
      () => {
        if (!asking) {
          asking = true;
          this.gateways().then((gateways) => {
            up = gateways.filter(({ health, draining }) => health === "up" && !draining);
            asking = false;
          });
        }
        return sameNames(up, names) && up.every(where);
      },
      `${names.join(" and ")} are up`,
    );
    return new Map(up.map((gateway) => [gateway.name, gateway]));
  }

  async shutdown(gateway: string): Promise<void> {
    const response = await fetch(`http://${this.#http}/api/gateways/${gateway}/shutdown`, { method: "POST" });
    if (!response.ok) throw new Error(await response.text());
  }

  /** Ends everything, pm2 too. */
  async stop(): Promise<void> {
    await this.pm2("kill");
    rmSync(this.#home, { recursive: true, force: true });
  }

  #moveArgs({ name, args }: App): string[] {
    const socket = `unix:${join(this.#home, "manager.sock")}`;
    const moved = args.map((arg) => {
      const text = String(arg).replace("127.0.0.1:7300", `127.0.0.1:${this.clientPort}`);
      return text === "unix:run/manager.sock" ? socket : text;
    });
    return name === "manager" ? [...moved, "--listen", socket, "--http", this.#http] : moved;
  }
}
