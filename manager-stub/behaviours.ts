/** What the stand-alone manager does with what clients say. */

import type { ManagerServer } from "./manager-server.ts";

/** Attaches a behaviour to a server. */
export type Behaviour = (server: ManagerServer) => void;

export const behaviours = {
  /** Sends each message back to who said it. */
  echo: (server) => {
    server.on("message", (session, payload) => server.send(session, payload));
  },
  /** Sends each message to everybody, on every gateway. */
  chat: (server) => {
    server.on("message", (_session, payload) => server.broadcast(payload));
  },
  /** Says nothing by itself. */
  silent: () => {},
} as const satisfies Record<string, Behaviour>;

export type BehaviourName = keyof typeof behaviours;

export const behaviourNames = Object.keys(behaviours) as BehaviourName[];
