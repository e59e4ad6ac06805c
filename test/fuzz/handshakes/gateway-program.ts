/**
 * The gateway as it is run, and a window into it: whoever has started the process asks for an account of what it holds,
 * and is told what nobody outside can see.
 */

import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ConnectionCounts } from "../../../gateway/guard/connection-counts.ts";
import { Counters } from "../../../gateway/metrics/counters.ts";
import { Sessions } from "../../../gateway/slots/sessions.ts";

/** What a gateway holds at a moment. */
export interface Account {
  /** Clients that hold a slot, and slots that are not free. */
  readonly connected: number;
  readonly taken: number;
  /** What these are for: their listener, and how far they are. */
  readonly slots: readonly string[];
  /** Clients that the guard counts, and addresses that it knows for that. */
  readonly counted: number;
  readonly addresses: number;
  /** Open files of the process. */
  readonly descriptors: number;
  /** After a collection. */
  readonly heapBytes: number;
  readonly joins: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly ends: Readonly<Record<string, number>>;
}

interface Parts {
  counts?: ConnectionCounts;
  sessions?: Sessions;
  counters?: Counters;
}

const parts: Parts = {};

/** Has a class tell of its instance, of which the process has one, when that is first used. */
function spy(): void {
  const { add } = ConnectionCounts.prototype;
  ConnectionCounts.prototype.add = function (address) {
    parts.counts = this;
    add.call(this, address);
  };
  const { accept } = Sessions.prototype;
  Sessions.prototype.accept = function (arrival, origin) {
    parts.sessions = this;
    accept.call(this, arrival, origin);
  };
  const { refuse } = Counters.prototype;
  Counters.prototype.refuse = function (refusal) {
    parts.counters = this;
    refuse.call(this, refusal);
  };
}

function account(collect: () => void): Account {
  const { counts, sessions, counters } = parts;
  const { freed = 0, ...taken } = sessions?.slotCounts() ?? {};
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    connected: sessions?.connectedCount ?? 0,
    slots: (sessions?.table.slots ?? [])
      .filter(({ phase }) => phase !== "freed")
      .map(({ origin, phase, arrival, connection }) => {
        return `${origin.name} ${phase} ${(connection ?? arrival)?.constructor.name}`;
      }),
    taken: Object.values(taken).reduce((sum, count) => sum + count, 0),
    counted: counts?.total ?? 0,
    addresses: counts?.entryCount ?? 0,
    // One of them is the directory that is being read.
    descriptors: readdirSync("/proc/self/fd").length - 1,
    heapBytes: heapUsed + arrayBuffers,
    joins: counters?.joins ?? 0,
    refusals: { ...counters?.refusals },
    ends: { ...counters?.ends },
  };
}

spy();
setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
process.on("message", (wanted) => process.send?.(account(wanted === "collect" ? gc : () => {})));
await import("../../../gateway/main.ts");
