/**
 * Programs that others wrote, as peers of a gateway: each is a process that ends with the test, and a test whose
 * program is not installed is skipped by name.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { until } from "../helpers/wait.ts";

/**
 * Whether to skip the tests that need a program: why, or false when it is there.
 *
 * @param command the program and arguments with which it only tells that it is there
 */
export function skipWithout(name: string, [program = "", ...args]: readonly string[]): string | false {
  return spawnSync(program, args).status === 0 ? false : `${name} is not there`;
}

export class PeerProcess {
  readonly child: ChildProcess;
  /** The exit code; null when a signal ended it. All that it had to say is there by then. */
  readonly exited: Promise<number | null>;
  /** Whether it has exited, and all that it had to say is there. */
  over = false;
  readonly #output: Buffer[] = [];
  #errors = "";

  /** @param descriptors what the program inherits, as its descriptors 3 and up */
  constructor(
    t: TestContext,
    [program = "", ...args]: readonly string[],
    descriptors: readonly number[] = [],
    env: NodeJS.ProcessEnv = {},
  ) {
    this.child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe", ...descriptors],
      env: { ...process.env, ...env },
    });
    this.child.stdout?.on("data", (bytes: Buffer) => this.#output.push(bytes));
    this.child.stderr?.on("data", (text) => {
      this.#errors += text;
    });
    // A program that has ended does not read what it is still sent.
    this.child.stdin?.on("error", () => {});
    this.exited = once(this.child, "close").then(([code]) => {
      this.over = true;
      return code;
    });
    t.after(async () => {
      this.child.kill();
      await this.exited;
    });
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#output);
  }

  get stderr(): string {
    return this.#errors;
  }

  /** Sends to its standard input. */
  send(data: Buffer | string): void {
    this.child.stdin?.write(data);
  }

  /** Ends its standard input. */
  end(): void {
    this.child.stdin?.end();
  }

  /** Waits until its standard output or error has `text`. */
  async says(text: string): Promise<void> {
    await this.until(() => this.stdout.includes(text) || this.stderr.includes(text), `says '${text}'`);
  }

  /** Waits until `condition` holds; fails with what the program had to say when it ends before. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const [program] = this.child.spawnargs;
    await until(() => condition() || this.over, `${program} ${what}`);
    if (!condition()) throw new Error(`${program} ended before it ${what}: ${this.stdout}${this.stderr}`);
  }
}
