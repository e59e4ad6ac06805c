/** "Did you mean": the known word that is nearest to an unknown one. */

import { closest, distance } from "fastest-levenshtein";

/** The hint that ends a message about an unknown word; empty when no known word is near. */
export function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return "";
  const nearest = closest(
    word.toLowerCase(),
    known.map((name) => name.toLowerCase()),
  );
  const name = known.find((candidate) => candidate.toLowerCase() === nearest);
  const near = distance(word.toLowerCase(), nearest) <= Math.max(2, Math.floor(word.length / 3));
  return near && name !== undefined ? `; did you mean '${name}'?` : "";
}
