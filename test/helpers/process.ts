/** A program of the project as a process of its own, that ends with the test. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import type { TestContext } from "node:test";
import { until } from "./wait.ts";

export const ROOT = join(import.meta.dirname, "../..");

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class TestProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  stdout = "";
  stderr = "";
  /** It has sent `ready` to who started it, as a process manager wants it. */
  ready = false;

  constructor(t: TestContext, script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = fork(resolve(ROOT, script), args, {
      cwd: ROOT,
      silent: true,
      // As it is run outside: what the test runner is run with (`--report-on-signal` is part of it) is not passed on.
      execArgv: [],
      env: { ...process.env, ...env },
    });
    this.child.stdout?.on("data", (text) => {
      this.stdout += text;
    });
    this.child.stderr?.on("data", (text) => {
      this.stderr += text;
    });
    this.child.on("message", (message) => {
      if (message === "ready") this.ready = true;
    });
    this.exited = this.#exit();
    t.after(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
      await this.exited;
    });
  }

  /** The process's end, with all that it had to say. (`close` never comes after a `disconnect`.) */
  async #exit(): Promise<Exit> {
    const said = [this.child.stdout, this.child.stderr].map(
      (stream) => stream && finished(stream).catch(() => {}),
    );
    const [code, signal] = (await once(this.child, "exit")) as [Exit["code"], Exit["signal"]];
    await Promise.all(said);
    return { code, signal };
  }

  /** Waits for a line of the JSON log whose message is `msg`. */
  async logged(msg: string): Promise<Record<string, unknown>> {
    const find = () => this.log().find((line) => line.msg === msg);
    await until(() => find() !== undefined || this.child.exitCode !== null, `'${msg}' is logged`);
    const line = find();
    if (line === undefined) throw new Error(`it ended without '${msg}': ${this.stdout}${this.stderr}`);
    return line;
  }

  /** The JSON log so far. */
  log(): Record<string, unknown>[] {
    const whole = this.stdout.slice(0, this.stdout.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
  }
}
