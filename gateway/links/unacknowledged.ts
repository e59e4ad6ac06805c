/** What was told to a manager and never acknowledged by it: what is lost with it, or has to be told again to another. */

import { FromGateway, SESSION_BYTES } from "../../proto/frame.ts";
import type { FrameLog } from "../../proto/frame-log.ts";
import { readJoin } from "../../proto/from-gateway.ts";

/** Takes one thing that a client said, `bytes[start..end)`. */
export type SaidVisitor = (bytes: Buffer, start: number, end: number) => void;

/** What one session's client said that its manager had not read when it handed the session over. */
export interface Unheard {
  /** It is all that is behind so many of the gateway's numbered frames. */
  readonly received: number;
  /** Hands it to `visit`, in order. To be called while the frame that asked for it is being handled, or never. */
  forEach(visit: SaidVisitor): void;
}

/** Where a session comes from, for the manager that gets it. */
export interface Transfer {
  /** The manager that had it before, and the session's id there. */
  readonly manager: string;
  readonly session: number;
  /** What that one says of it. */
  readonly data: Uint8Array | undefined;
  /** What its client said that is not that one's any more. */
  readonly unheard?: Unheard | undefined;
}

export interface Unacknowledged {
  /** By session: how much of what its client said, bytes. */
  readonly lostBytes: ReadonlyMap<number, number>;
  /** By session: where it came from, of those that had just come from another manager. */
  readonly transfers: ReadonlyMap<number, Transfer>;
}

/** What the log keeps. */
export function unacknowledgedIn(log: FrameLog): Unacknowledged {
  const lostBytes = new Map<number, number>();
  const transfers = new Map<number, Transfer>();
  log.forEachUnacknowledged((type, bytes, start, end) => {
    const session = bytes.readUInt32LE(start);
    if (type === FromGateway.Msg) {
      lostBytes.set(session, (lostBytes.get(session) ?? 0) + end - start - SESSION_BYTES);
    } else if (type === FromGateway.CLJoin) {
      const { from, fromSession = 0, data } = readJoin(bytes, start, end);
      if (from !== undefined) transfers.set(session, { manager: from, session: fromSession, data });
    }
  });
  return { lostBytes, transfers };
}
