/** The gateway that is fuzzed: a process of its own, that is asked what it holds and watched for its end. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Endpoint } from "../../../proto/bodies.ts";
import { ROOT } from "../../helpers/process.ts";
import type { Place } from "./attempt.ts";
import type { Account } from "./gateway-program.ts";
import { type FuzzedListener, listeners, SETTINGS } from "./listeners.ts";
import { TICKET_SECRET } from "./scripts.ts";

export const readPaths = ["polled", "shared", "ordinary"] as const;
export type ReadPathName = (typeof readPaths)[number];

export interface GatewayOptions {
  readonly readPath: ReadPathName;
  /** Where its manager listens. */
  readonly link: string;
  /** A directory for its Unix sockets. */
  readonly directory: string;
  /** It may have so many open files; as many as this process unless it is set. */
  readonly maxFiles?: number | undefined;
}

const PROGRAM = join(ROOT, "test/fuzz/handshakes/gateway-program.ts");

/** Of what it writes the last characters are kept. */
const KEPT_CHARACTERS = 20_000;

export class FuzzedGateway {
  readonly exited: Promise<void>;
  /** Its exit code, or the signal that ended it; undefined while it lives. */
  exit: number | string | undefined;
  stderr = "";
  /** Lines of its log that are worse than a warning. */
  readonly errors: string[] = [];
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #ports = new Map<string, number>();

  constructor({ readPath, link, directory, maxFiles }: GatewayOptions) {
    this.#directory = directory;
    const urls = listeners.map(({ name, url }) => url.replace("%s", join(directory, name)));
    const flags = [...SETTINGS, "--manager", link, "--read-path", readPath];
    const command = [process.execPath, PROGRAM, ...flags, ...urls.flatMap((url) => ["--listen", url])];
    const limited = maxFiles === undefined ? [] : ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${maxFiles}`];
    const [file = "", ...args] = [...limited, ...command];
    this.#child = spawn(file, args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, SIDEGATE_TICKET_SECRET: TICKET_SECRET },
    });
    this.exited = this.#watch();
  }

  async #watch(): Promise<void> {
    const { stdout, stderr } = this.#child;
    stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.errors.push(...text.split("\n").filter((line) => /"level":[56]0/.test(line)));
    });
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-KEPT_CHARACTERS);
    });
    const [code, signal] = (await once(this.#child, "close")) as [number | null, string | null];
    this.exit = code ?? signal ?? "gone";
  }

  /** What it has bound, as its manager was told. */
  bound(endpoints: readonly Endpoint[]): void {
    for (const { name, port } of endpoints) this.#ports.set(name, port);
  }

  placeOf({ name, isUnix }: FuzzedListener): Place {
    return isUnix ? join(this.#directory, name) : (this.#ports.get(name) ?? 0);
  }

  /** What it holds; undefined when it has ended. */
  async account(collected = false): Promise<Account | undefined> {
    if (this.exit !== undefined || !this.#child.connected) return undefined;
    const { promise, resolve } = Promise.withResolvers<Account>();
    // It has told that it is ready, too.
    const heard = (message: Account | "ready") => {
      if (message !== "ready") resolve(message);
    };
    this.#child.on("message", heard);
    this.#child.send(collected ? "collect" : "", () => {});
    const account = await Promise.race([promise, this.exited]);
    this.#child.off("message", heard);
    return account ?? undefined;
  }

  get rssBytes(): number {
    return Number(this.#status(/^VmRSS:\s+(\d+) kB/m)) * 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async close(): Promise<void> {
    if (this.exit === undefined) this.#child.kill("SIGKILL");
    await this.exited;
  }

  #status(line: RegExp): string {
    try {
      return line.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))?.[1] ?? "0";
    } catch {
      return "0";
    }
  }
}
