/** Counts of what a gateway did since it started. They only grow. */

import { type EndReason, endReasons } from "../../proto/bodies.ts";
import { type Refusal, refusals } from "../guard/refusal.ts";
import type { LinkLoss } from "../links/manager-link.ts";

/** Codes of ended links that are counted by name; what comes then is counted as `other`. */
const MAX_LINK_END_CODES = 48;

export class Counters {
  /** Sessions announced to the manager. */
  joins = 0;
  /** Sessions announced again, to a manager that did not know them. */
  rejoins = 0;
  /** Sessions that one manager has handed to another, and handoffs that were not done. */
  handoffs = 0;
  handoffsRefused = 0;
  /** Sessions that came to another manager because theirs was lost. */
  failovers = 0;
  /** What clients said that no manager has acknowledged, and that is not said again, bytes. */
  lostBytes = 0;
  /** Clients that were turned away before they joined. */
  refused = 0;
  /** The same, by why. */
  readonly refusals: Record<Refusal, number>;
  inBytes = 0;
  inMsgs = 0;
  /** Given to clients' connections. */
  outBytes = 0;
  outMsgs = 0;
  /** Accepted for a client and discarded. */
  unsentBytes = 0;
  /** Frames from the manager for a session that is not live. */
  staleFrames = 0;
  /** Messages from the manager to a group or a user of whom no session is in use. */
  unknownNames = 0;
  /** Sessions that were not put into a group, because they were in as many as they may. */
  groupsRefused = 0;
  /** Sessions that were not bound to a user, because it has another one. */
  bindsRefused = 0;
  /** Sessions whose end the manager did not acknowledge in time. */
  unacknowledged = 0;
  /** Times that a client had used up what it may say, and was not read, or closed. */
  rateLimited = 0;
  /** Sessions that have ended, by why. */
  readonly ends: Record<EndReason, number>;
  /** Clients cut because they did not take their end in time. */
  flushTimeouts = 0;
  /** Times that all clients were paused because the manager did not take what was queued for it. */
  linkPauses = 0;
  /** Links lost after they were registered. */
  linksLost = 0;
  /** Links that have ended, registered or not, by the code of docs/errors.md. */
  readonly linkEnds: Partial<Record<string, number>> = {};
  /** Links that have ended because the manager broke a rule of the protocol. */
  protocolErrors = 0;
  /** Links that this gateway ended because who answered did not prove to be the manager. */
  managersRefused = 0;
  /** Links that the manager ended because it did not take this gateway on. */
  rejections = 0;

  constructor() {
    this.refusals = zeros(refusals);
    this.ends = zeros(endReasons);
  }

  refuse(refusal: Refusal): void {
    this.refused++;
    this.refusals[refusal]++;
  }

  linkEnded({ code, kind, wasUp }: Pick<LinkLoss, "code" | "kind" | "wasUp">): void {
    // A code may be the manager's own, and it may have any number of them.
    const known = code in this.linkEnds || Object.keys(this.linkEnds).length < MAX_LINK_END_CODES;
    const counted = known ? code : "other";
    this.linkEnds[counted] = (this.linkEnds[counted] ?? 0) + 1;
    if (wasUp) this.linksLost++;
    if (kind === "protocol-error") this.protocolErrors++;
    else if (kind === "gateway-refused") this.managersRefused++;
    else if (kind === "manager-refused") this.rejections++;
  }

  end(reason: EndReason): void {
    this.ends[reason]++;
  }
}

function zeros<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
}
