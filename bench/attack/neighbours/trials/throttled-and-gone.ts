/**
 * Clients that say more than they may, and are gone while the gateway does not read them. Nobody is there to be served, so
 * their slots are to be free again at once.
 */

import { repeat } from "../../ws-lies.ts";
import type { Figures, Trial } from "../trial.ts";

const CLIENTS = 1000;
const ADDRESSES = 100;
/** How many come a second: all at once would be another attack. */
const ARRIVALS = 500;
const RATE = 200;
/** Long enough for the gateway to have read of it. */
const HOLD_MS = 500;
const READ_BYTES = 65_536;

function goneBy(name: string, how: string, closes: boolean): Trial {
  return {
    name,
    title: (clients) => `${clients} that may say ${RATE} lines/s, say 65,536, and are gone by a ${how}`,
    clients: [CLIENTS],
    settings: { "message-rate": RATE },
    assault: ({ lines }, clients) => ({
      clients,
      rate: ARRIVALS,
      total: clients,
      targets: [
        {
          name: how,
          port: lines,
          from: "127.22.0.1",
          addresses: ADDRESSES,
          hello: repeat(Buffer.from("\n"), READ_BYTES),
          holdMs: HOLD_MS,
          closes,
        },
      ],
    }),
    heldAfterMs: [1000, 10_000],
    says: ({ held }) =>
      held
        .map(({ afterMs, sessions }) => `${sessions} slots held ${(afterMs / 1000).toFixed(1)} s later`)
        .join(", "),
    complaints,
  };
}

function complaints({ held, clients }: Figures): string[] {
  const last = held.at(-1);
  // A newcomer or two may be there in that moment.
  if (last === undefined || last.sessions <= clients / 100) return [];
  return [`${last.sessions} slots are held by nobody`];
}

export const throttledAndGone: readonly Trial[] = [
  goneBy("throttled-and-reset", "reset", false),
  goneBy("throttled-and-closed", "FIN", true),
];
