/**
 * Loaded before a gateway, this makes it one that keeps nothing of what it says and acknowledges nothing: what goes to the
 * manager is written and forgotten. A link that is cut would lose what was under way. It is there to be measured beside, so
 * that what keeping costs can be seen, and for nothing else.
 */

import { Acknowledger } from "../../link/acknowledger.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameLog } from "../../proto/frame-log.ts";

/** What stands behind a log that keeps nothing. */
interface Outgoing {
  readonly batch: FrameBatch;
  /** What was taken last. It was written when more is taken. */
  taken: Buffer[];
}

const behind = new WeakMap<FrameLog, Outgoing>();

function outgoing(log: FrameLog): Outgoing {
  let one = behind.get(log);
  if (one === undefined) {
    one = { batch: new FrameBatch(), taken: [] };
    behind.set(log, one);
  }
  return one;
}

Object.defineProperties(FrameLog.prototype, {
  frame: {
    value(this: FrameLog, ...frame: Parameters<FrameLog["frame"]>) {
      outgoing(this).batch.frame(...frame);
    },
  },
  sessionFrame: {
    value(this: FrameLog, type: number, session: number, bytes?: Buffer, start?: number, end?: number) {
      outgoing(this).batch.sessionFrame(type, session, bytes, start, end);
    },
  },
  takeUnsent: {
    value(this: FrameLog) {
      const one = outgoing(this);
      one.batch.recycle(one.taken);
      one.taken = one.batch.take();
      return one.taken;
    },
  },
  unsentBytes: {
    get(this: FrameLog) {
      return outgoing(this).batch.byteLength;
    },
  },
  acknowledge: { value: () => true },
});

Object.defineProperty(Acknowledger.prototype, "handled", { value() {} });
