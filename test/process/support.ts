/** What stands for the process in tests: signals come when a test says so, and its clock is the test's. */

import { EventEmitter } from "node:events";
import type { Surroundings } from "../../process/stop-request.ts";

export class FakeProcess implements Surroundings {
  readonly source = new EventEmitter();
  readonly connected: boolean | undefined;
  /** The codes that it was ended with, in order; it goes on all the same. */
  readonly exits: number[] = [];
  ms = 1000;

  constructor(connected?: boolean) {
    this.connected = connected;
  }

  readonly now = () => this.ms;
  readonly exit = (code: number) => void this.exits.push(code);

  /** Sends it signals. */
  send(...signals: readonly string[]): void {
    for (const signal of signals) this.source.emit(signal);
  }
}
