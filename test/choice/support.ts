/** What the choices' tests share: clients and managers to choose for and among. */

import type { Applicant, Candidate } from "../../gateway/choice/choice.ts";
import { type ChoiceSettings, createChoice } from "../../gateway/choice/create-choice.ts";

/** One that shows nothing but what is given. */
export function applicant(shown: Partial<Applicant> = {}): Applicant {
  return {
    address: "",
    listenerManager: undefined,
    ticketManager: undefined,
    opening: undefined,
    openingWhole: false,
    ...shown,
  };
}

/** Managers by their names, each with so many sessions. */
export function managers(names: string, sessionCount = 0): Candidate[] {
  return [...names].map((name) => ({ name, sessionCount }));
}

/** The choice of managers `a`, `b` and `c`. */
export function choiceOf(settings: Partial<ChoiceSettings> & Pick<ChoiceSettings, "managerChoice">) {
  return createChoice({ manager: managers("abc"), managerPrefixes: [], ...settings });
}

/** A manager's name, or why there is none. */
export function nameOf(chosen: Candidate | string | undefined): string | undefined {
  return typeof chosen === "object" ? chosen.name : chosen;
}
