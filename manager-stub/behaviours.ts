/** What the stand-alone manager does with what clients say. */

import type { ManagerServer } from "./manager-server.ts";
import type { Session } from "./session.ts";

/** Attaches a behaviour to a server. */
export type Behaviour = (server: ManagerServer) => void;

export const behaviours = {
  /** Sends each message back to who said it. */
  echo: (server) => {
    server.on("message", (session, payload) => orDrop(server, session, () => server.send(session, payload)));
  },
  /** Sends each message to everybody, on every gateway. */
  chat: (server) => {
    server.on("message", (session, payload) => orDrop(server, session, () => server.broadcast(payload)));
  },
  /** Says nothing by itself. */
  silent: () => {},
} as const satisfies Record<string, Behaviour>;

/** WebSocket's close code for a message that is too big. */
const TOO_BIG = 1009;

/** A gateway may send a longer message than one takes: who said it can't be answered, and must go. */
function orDrop(server: ManagerServer, session: Session, say: () => void): void {
  try {
    say();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    server.drop(session, { reason: "too long a message to be sent on", code: TOO_BIG });
  }
}

export type BehaviourName = keyof typeof behaviours;

export const behaviourNames = Object.keys(behaviours) as BehaviourName[];
