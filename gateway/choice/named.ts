/** The manager of a name, where the name says it all. */

import type { Candidate, ChoiceRefusal } from "./choice.ts";

/**
 * @param name undefined when the client shows none
 * @param known the names of all that are configured, open or not
 */
export function findNamed<C extends Candidate>(
  name: string | undefined,
  known: ReadonlySet<string>,
  open: readonly C[],
): C | ChoiceRefusal {
  if (name === undefined || !known.has(name)) return "unknown-manager";
  return open.find((candidate) => candidate.name === name) ?? "no-manager";
}
