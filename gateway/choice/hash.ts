/**
 * The manager that the client's address is hashed to, so that who comes back finds the one that knows it. By rendezvous
 * hashing (Thaler and Ravishankar, 1998): each manager's name and the address make a number, and the highest wins. So a
 * manager that goes leaves its own clients alone to be spread over the others, and one that comes takes its share and no
 * more. Every gateway hashes alike, whatever the order in which the managers were given to it.
 */

import type { Applicant, Candidate, ChoiceRefusal, ManagerChoice } from "./choice.ts";
import { RoundRobin } from "./round-robin.ts";

export class HashOfAddress implements ManagerChoice {
  readonly needsOpening = false;
  /** For clients over a Unix socket, which have no address. */
  readonly #others = new RoundRobin();

  choose<C extends Candidate>(applicant: Applicant, open: readonly C[]): C | ChoiceRefusal {
    const { address } = applicant;
    if (address === "") return this.#others.choose(applicant, open);
    let chosen: C | undefined;
    let highest = -1;
    for (const candidate of open) {
      const found = weight(candidate.name, address);
      const wins = found > highest || (found === highest && candidate.name < (chosen?.name ?? ""));
      if (!wins) continue;
      chosen = candidate;
      highest = found;
    }
    return chosen ?? "no-manager";
  }
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a of the name and the address, and MurmurHash3's last step, as FNV mixes its last bytes too little. */
function weight(name: string, address: string): number {
  let hash = fnv(fnv(FNV_OFFSET, name), "\0");
  hash = fnv(hash, address);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function fnv(start: number, text: string): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash;
}
