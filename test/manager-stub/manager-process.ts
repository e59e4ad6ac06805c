/** The stand-alone manager as it is run: a process of its own, and its command line. */

import type { TestContext } from "node:test";
import { TestProcess } from "../helpers/process.ts";
import { until } from "../helpers/wait.ts";

const MAIN = "manager-stub/main.ts";

/** A run of the program that has ended. */
export interface Ended {
  /** Its exit code, or the signal that ended it. */
  readonly exit: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits until a process has ended, and gives what it printed. */
export async function end(running: TestProcess): Promise<Ended> {
  const { code, signal } = await running.exited;
  const { stdout, stderr } = running;
  return { exit: code ?? signal, stdout, stderr };
}

/** Starts the program. */
export function start(t: TestContext, ...args: readonly string[]): TestProcess {
  return new TestProcess(t, MAIN, args);
}

/** Runs the program to its end, with these variables in its environment. */
export function runWith(t: TestContext, env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Ended> {
  return end(new TestProcess(t, MAIN, args, env));
}

/** Runs the program to its end. */
export function run(t: TestContext, ...args: readonly string[]): Promise<Ended> {
  return end(start(t, ...args));
}

/** Waits until a process has printed this. */
export async function prints(running: TestProcess, wanted: string): Promise<void> {
  const { child } = running;
  const printed = () => running.stdout.includes(wanted);
  await until(() => printed() || child.exitCode !== null, `'${wanted}' is printed`);
  if (!printed()) throw new Error(`it ended without '${wanted}': ${running.stdout}${running.stderr}`);
}

export interface RunningManager {
  readonly running: TestProcess;
  /** Where gateways dial. */
  readonly link: string;
  /** Where its HTTP API is, as `--http` takes it. */
  readonly http: string;
  /** Runs `ctl` against it, to its end. */
  ctl(...args: readonly string[]): Promise<Ended>;
}

/** Starts a manager at `listen`, with its HTTP API on a port of its own. */
export async function startProcess(
  t: TestContext,
  listen: string,
  ...args: readonly string[]
): Promise<RunningManager> {
  const running = start(t, "--listen", listen, "--http", "127.0.0.1:0", ...args);
  const { link, http } = await running.logged("the manager listens");
  const address = String(http).replace("http://", "");
  return {
    running,
    link: String(link),
    http: address,
    ctl: (...ctlArgs) => run(t, "ctl", "--http", address, ...ctlArgs),
  };
}
