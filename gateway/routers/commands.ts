/** What a manager says to a gateway, carried out on the sessions that are that manager's. */

import type { Logger } from "pino";
import type { ManagerLink, ManagerLinkHandler } from "../links/manager-link.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Roster } from "../slots/roster.ts";

/** The frames that are about sessions. */
export type SessionCommands = Omit<
  ManagerLinkHandler,
  "shutdown" | "registered" | "readDone" | "congested" | "behind" | "acknowledged" | "lost"
>;

/** @param link where a manager is told what was not done */
export function sessionCommands(
  roster: Roster,
  link: Pick<ManagerLink, "bindRefused" | "handoffRefused">,
  counters: Counters,
  log: Logger,
): SessionCommands {
  return {
    message: (session, bytes, start, end) => roster.send(session, bytes.subarray(start, end)),
    messageAll: (bytes, start, end) => roster.sendAll(bytes.subarray(start, end)),
    messageMany: (ids, bytes, start, end) => roster.sendMany(ids, bytes.subarray(start, end)),
    messageGroup: (group, bytes, start, end) => roster.sendGroup(group, bytes.subarray(start, end)),
    messageUser: (user, bytes, start, end) => roster.sendUser(user, bytes.subarray(start, end)),
    bind(session, user) {
      if (!roster.bind(session, user)) link.bindRefused(session, user);
    },
    addToGroup: (session, group) => roster.addToGroup(session, group),
    removeFromGroup: (session, group) => roster.removeFromGroup(session, group),
    drop(session, order) {
      log.debug({ session, ...order }, "dropped by the manager");
      roster.drop(session, order);
    },
    dropDiscard(session, order) {
      log.debug({ session, ...order }, "dropped and discarded by the manager");
      roster.dropDiscard(session, order);
    },
    admit: (session) => roster.admit(session),
    handoff(session, { manager, data, received }) {
      const code = roster.handOff(session, { manager, data, received });
      log.debug({ session, manager, code }, "handed to another manager");
      if (code === undefined) return;
      counters.handoffsRefused++;
      link.handoffRefused(session, { manager, code, message: handoffRefusals[code](manager) });
    },
  };
}

/** Why a session stays where it is, for people. */
const handoffRefusals = {
  "unknown-manager": (name: string) => `this gateway has no manager called '${name}'`,
  "same-manager": (name: string) => `the session is manager '${name}''s already`,
  "no-manager": (name: string) => `manager '${name}' has no link to this gateway, or takes nobody now`,
  "no-slot": (name: string) => `manager '${name}' has as many sessions as it allows`,
  "not-admitted": () => "the session waits to be admitted itself",
  "too-big": () => "what is to be told of the session does not fit in one frame",
} as const;
