/**
 * Clients that come, say as much as fits into one read of the gateway's, go, and come again. Each address may say so much
 * a second, however often it comes.
 */

import { repeat } from "../../ws-lies.ts";
import type { Figures, Trial } from "../trial.ts";

/** More than an honest client says. */
const RATE = 20;
const BURST = 1;
const HOLD_MS = 100;
/** Of each address; it has one connection at a time. */
const VISITS_PER_SECOND = 8;
/** What the gateway reads at once. */
const READ_BYTES = 65_536;

export const reconnectingTalkers: Trial = {
  name: "reconnecting-talkers",
  title: (clients) =>
    `${clients} that may say ${RATE} lines/s, and come with 65,536 ${VISITS_PER_SECOND} times a second`,
  clients: [1, 10, 100],
  settings: { "message-rate": RATE, "message-burst": BURST },
  assault: ({ lines }, clients) => ({
    clients,
    rate: clients * VISITS_PER_SECOND,
    targets: [
      {
        name: "talkers",
        port: lines,
        from: "127.21.0.1",
        addresses: clients,
        hello: repeat(Buffer.from("\n"), READ_BYTES),
        holdMs: HOLD_MS,
      },
    ],
  }),
  says: (figures) =>
    `${figures.empty} lines delivered in ${visits(figures)} visits, ${Math.floor(allowed(figures))} were allowed`,
  complaints: (figures) => {
    const beyond = figures.empty - allowed(figures);
    return beyond > 0 ? [`${Math.ceil(beyond)} lines were delivered beyond what was allowed`] : [];
  },
};

function visits({ assault }: Figures): number {
  return assault.targets.reduce((sum, one) => sum + one.connected, 0);
}

function allowed({ assault, clients }: Figures): number {
  return clients * (BURST + RATE * assault.seconds);
}
