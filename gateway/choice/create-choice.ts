/** Makes the choice that is configured: each kind by its name. */

import { ByFirstMessage } from "./by-first-message.ts";
import { ByListener } from "./by-listener.ts";
import { ByTicket } from "./by-ticket.ts";
import type { ManagerChoice, ManagerChoiceName } from "./choice.ts";
import { HashOfAddress } from "./hash.ts";
import { LeastSessions } from "./least-sessions.ts";
import type { ManagerPrefix } from "./prefix.ts";
import { RoundRobin } from "./round-robin.ts";

/** What it takes of the configuration. */
export interface ChoiceSettings {
  readonly managerChoice: ManagerChoiceName;
  /** All managers, open or not. */
  readonly manager: readonly { readonly name: string }[];
  /** For `first-message`. */
  readonly managerPrefixes: readonly ManagerPrefix[];
}

type MakeChoice = (known: ReadonlySet<string>, prefixes: readonly ManagerPrefix[]) => ManagerChoice;

const makers: Readonly<Record<ManagerChoiceName, MakeChoice>> = {
  "round-robin": () => new RoundRobin(),
  "least-sessions": () => new LeastSessions(),
  hash: () => new HashOfAddress(),
  listener: (known) => new ByListener(known),
  ticket: (known) => new ByTicket(known),
  "first-message": (known, prefixes) => new ByFirstMessage(known, prefixes),
};

export function createChoice({ managerChoice, manager, managerPrefixes }: ChoiceSettings): ManagerChoice {
  return makers[managerChoice](new Set(manager.map(({ name }) => name)), managerPrefixes);
}
