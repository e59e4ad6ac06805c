/**
 * What one manager was to send to one client while it had it, and whether that is what came: everything, in the order in
 * which it was sent, whether it was for the client alone, for many, a group, a user or all.
 */

import type { Faults } from "./faults.ts";
import { partsOf, tellLabel } from "./label.ts";

export interface Tenure {
  /** The manager's number. */
  readonly sender: number;
  /** What was sent to the client while it was there, by label and in order. */
  readonly expected: readonly number[];
  /**
   * Whether a record was for a name of the client's, or for all, and sent before the manager knew that the client was
   * there: a gateway that has just let it in sends it along.
   */
  isEarlier(label: number): boolean;
  /** Those records, the latest first. */
  earlier(): Iterable<number>;
}

/** How much of what was sent a client must have got: all; or it may have gone in between, or during the last tenure. */
export type Completeness = "all" | "all-but-the-last" | "any";

/** Holds what a client has got, over all its tenures, against what it was to get. */
export function checkHeard(
  who: string,
  heard: readonly number[],
  tenures: readonly Tenure[],
  completeness: Completeness,
  faults: Faults,
): void {
  let at = 0;
  for (const [index, tenure] of tenures.entries()) {
    const isLast = index === tenures.length - 1;
    const mayEnd = completeness === "any" || (completeness === "all-but-the-last" && isLast);
    at = passEarlier(who, heard, at, tenure, mayEnd, faults);
    for (const label of tenure.expected) {
      if (heard[at] === label) {
        at++;
        continue;
      }
      if (at < heard.length) tellDifference(who, heard, at, tenure.expected, label, faults);
      else faults.check(mayEnd, "lost", `${who} has got nothing from ${tellLabel(label)} on`);
      return;
    }
  }
  if (at === heard.length) return;
  const what = `${who} has got ${tellLabel(heard[at])}, which is not for it`;
  faults.add("misdelivered", what, heard.length - at);
}

/** Passes over what came from before the manager knew of the client, which goes on without a gap to what came then. */
function passEarlier(
  who: string,
  heard: readonly number[],
  start: number,
  tenure: Tenure,
  mayEnd: boolean,
  faults: Faults,
): number {
  let end = start;
  for (let label = heard[end]; label !== undefined && tenure.isEarlier(label); label = heard[end]) end++;
  let at = end;
  const mayGap = mayEnd && end === heard.length;
  for (const label of tenure.earlier()) {
    if (at === start) break;
    if (heard[at - 1] === label) {
      at--;
    } else if (!mayGap || at < end) {
      const what = `${who} has got ${tellLabel(heard[at - 1])} and not ${tellLabel(label)} when it joined`;
      faults.add("lost", what);
      return end;
    }
  }
  faults.check(at === start, "misdelivered", `${who} has got ${tellLabel(heard[at - 1])} when it joined`);
  return end;
}

function tellDifference(
  who: string,
  heard: readonly number[],
  at: number,
  expected: readonly number[],
  label: number,
  faults: Faults,
): void {
  const came = heard[at] ?? 0;
  const what = `${who} has got ${tellLabel(came)} instead of ${tellLabel(label)}, behind ${tellLabel(heard[at - 1])}`;
  if (heard.indexOf(came) < at) faults.add("doubled", what);
  else if (!expected.includes(came) && partsOf(came).sender === partsOf(label).sender)
    faults.add("misdelivered", what);
  else faults.add(heard.includes(label) ? "reordered" : "lost", what);
}
