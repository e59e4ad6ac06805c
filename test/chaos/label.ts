/**
 * What names a record among all that clients of a run may get, as one number: who sent it, to whom it is, and as which in a
 * row. So what a client has got is a list of numbers, in order, and what it was to get is another.
 */

import { Kind, type RecordHead } from "./record.ts";

export type LabelParts = Pick<RecordHead, "sender" | "kind" | "receiver" | "seq">;

/** So many there may be of each part; together they stay below 2^53. */
const SENDERS = 2 ** 12;
const KINDS = 2 ** 4;
const RECEIVERS = 2 ** 8;
const SEQS = 2 ** 28;

/** @throws RangeError for more than a label can tell */
export function labelOf({ sender, kind, receiver, seq }: LabelParts): number {
  // To whom else a record goes that is for one client, its list tells.
  const name = kind === Kind.toClient ? 0 : receiver;
  if (sender >= SENDERS || kind >= KINDS || name >= RECEIVERS || seq >= SEQS)
    throw new RangeError(`no label for ${JSON.stringify({ sender, kind, receiver, seq })}`);
  return ((sender * KINDS + kind) * RECEIVERS + name) * SEQS + seq;
}

export function partsOf(label: number): LabelParts {
  const seq = label % SEQS;
  const name = Math.floor(label / SEQS);
  const kind = Math.floor(name / RECEIVERS);
  return { sender: Math.floor(kind / KINDS), kind: kind % KINDS, receiver: name % RECEIVERS, seq };
}

/** A label in words. */
export function tellLabel(label: number | undefined): string {
  if (label === undefined) return "nothing";
  const { sender, kind, receiver, seq } = partsOf(label);
  return `${seq} of manager ${sender} ${toWhom(kind, receiver)}`;
}

function toWhom(kind: number, receiver: number): string {
  if (kind === Kind.toClient) return "to it alone";
  if (kind === Kind.toAll) return "to all";
  if (kind === Kind.toGroup) return `to group ${receiver}`;
  if (kind === Kind.toUser) return `to user ${receiver}`;
  return "to many";
}
