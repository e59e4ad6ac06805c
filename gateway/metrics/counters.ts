/** Counts of what a gateway did since it started. They only grow. */

export interface Counters {
  /** Sessions announced to the manager. */
  joins: number;
  /** Connections that found no slot, or no manager. */
  refused: number;
  inBytes: number;
  inMsgs: number;
  /** Given to clients' connections. */
  outBytes: number;
  outMsgs: number;
  /** Accepted for a client and discarded. */
  unsentBytes: number;
  /** Frames from the manager for a session that is not live. */
  staleFrames: number;
  /** Sessions whose end the manager did not acknowledge in time. */
  unacknowledged: number;
  slowConsumers: number;
  protocolErrors: number;
  /** Links lost after they were registered. */
  linksLost: number;
  /** Links that this gateway ended because who answered did not prove to be the manager. */
  managersRefused: number;
  /** Links that the manager ended because it did not take this gateway on. */
  rejections: number;
  /** Accepts that the system refused. */
  acceptErrors: number;
}

export function newCounters(): Counters {
  return {
    joins: 0,
    refused: 0,
    inBytes: 0,
    inMsgs: 0,
    outBytes: 0,
    outMsgs: 0,
    unsentBytes: 0,
    staleFrames: 0,
    unacknowledged: 0,
    slowConsumers: 0,
    protocolErrors: 0,
    linksLost: 0,
    managersRefused: 0,
    rejections: 0,
    acceptErrors: 0,
  };
}
