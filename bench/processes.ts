/**
 * Processes that a measurement starts: each pinned to a core, and all of them gone at its end, whatever the end
 * is. They are of sessions of their own, so that a Ctrl-C reaches them through here.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** How long a process may take to end when it is asked to. */
const STOP_MS = 5000;
/** How much is kept of what a process says on its standard error, bytes. */
const KEPT_BYTES = 4096;

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A process of ours, that speaks lines of JSON. */
export class Program {
  readonly name: string;
  readonly pid: number;
  /** The exit code, or the signal. */
  readonly ended: Promise<number | string>;
  /** The last that it said on standard error, or what its start failed with. */
  complaint = "";
  readonly #child: ChildProcess;
  readonly #read: string[] = [];
  #wake: (() => void) | undefined;
  /** It has ended, and everything that it said is read. */
  #over = false;

  constructor(name: string, child: ChildProcess) {
    const { stdout, stderr, stdin } = child;
    if (stdout === null || stderr === null || stdin === null) throw new Error("its output must be piped");
    this.name = name;
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.on("error", (error) => {
      this.complaint = error.message;
    });
    // Whoever has ended does not read any more; that it has ended is seen elsewhere.
    stdin.on("error", () => {});
    stderr.on("data", (text) => {
      this.complaint = (this.complaint + text).slice(-KEPT_BYTES);
    });
    createInterface({ input: stdout }).on("line", (line) => {
      this.#read.push(line);
      this.#wake?.();
    });
    this.ended = this.#end();
  }

  get running(): boolean {
    return this.pid !== 0 && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /**
   * The next line that it prints, as JSON.
   *
   * @throws Error when it ends instead
   */
  async next<T>(): Promise<T> {
    while (this.#read.length === 0) {
      if (this.#over) throw await this.failure();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await Promise.race([promise, this.ended]);
    }
    return JSON.parse(this.#read.shift() ?? "") as T;
  }

  /** Asks it for a line, and gives that. */
  ask<T>(): Promise<T> {
    this.nudge();
    return this.next<T>();
  }

  /** Asks it for a line that somebody waits for already. */
  nudge(): void {
    this.#child.stdin?.write("\n");
  }

  /** Why it ended, in one line. */
  async failure(): Promise<Error> {
    const code = await this.ended;
    const said = this.complaint.trim() === "" ? "" : `: ${this.complaint.trim().split("\n").at(-1)}`;
    return new Error(`${this.name} ended (${code})${said}`);
  }

  /** Asks it to end, and makes it when it does not. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.kill("SIGTERM");
    const patience = setTimeout(() => this.kill("SIGKILL"), STOP_MS);
    await this.ended;
    clearTimeout(patience);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  async #end(): Promise<number | string> {
    if (this.#child.pid === undefined) {
      this.#over = true;
      return "not started";
    }
    const [code, signal] = (await once(this.#child, "close")) as [number | null, NodeJS.Signals | null];
    this.#over = true;
    return code ?? signal ?? "unknown";
  }
}

/** All processes of this run. */
export class Processes {
  readonly #programs = new Set<Program>();
  /** Processes that a program of ours has started, which end with it unless it is killed. */
  readonly #children = new Map<number, Program>();

  /** Starts a program on a core. It is one process: its id is the program's own. */
  start(name: string, core: number, command: readonly string[], options: StartOptions = {}): Program {
    const child = spawn("taskset", ["-c", String(core), ...command], {
      ...options,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const program = new Program(name, child);
    this.#programs.add(program);
    program.ended.then(() => {
      this.#programs.delete(program);
      for (const [pid, parent] of this.#children) if (parent === program) this.#children.delete(pid);
    });
    return program;
  }

  /** `pid` was started by `parent`, and has to go with it. */
  alsoOurs(pid: number, parent: Program): void {
    this.#children.set(pid, parent);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.stop()));
  }

  /** Ends what is left, for the last moment of this process. */
  killAll(): void {
    for (const pid of this.#children.keys()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended already.
      }
    }
    for (const program of this.#programs) program.kill("SIGKILL");
  }
}
