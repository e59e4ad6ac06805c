/** What one run of the measurements has: its programs, its cores, its directory, and what was asked for. */

import type { Programs } from "./build.ts";
import type { Cores } from "./machine.ts";
import type { Options } from "./options.ts";
import type { Peer } from "./peers/peer.ts";
import type { Processes } from "./processes.ts";

export interface Bench {
  readonly options: Options;
  readonly programs: Programs;
  readonly processes: Processes;
  readonly cores: Cores;
  /** Descriptors that a process can have. */
  readonly descriptors: number;
  /** Goes away at the end. */
  readonly directory: string;
  /** The gateway of this checkout, and beside it the one that it is compared with, if any. */
  readonly gateways: readonly Peer[];
  /** Says what is being done. */
  progress(text: string): void;
}
