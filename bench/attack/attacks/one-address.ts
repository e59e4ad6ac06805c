/** One host that connects without end. The rate of an address stops it, and how many it may have at once. */

import { type Attack, GARBAGE_MIB } from "../attack.ts";

const RATE = 5000;
/** It gives up those that were let in after a second, and so has ever new ones. */
const HOLD_MS = 1000;
const CLIENTS = 8000;

export const oneAddress: Attack = {
  name: "one-address",
  title: `${RATE} connections/s from one address`,
  assault: ({ stream, framed, web, secure }) => ({
    clients: CLIENTS,
    rate: RATE,
    targets: Object.entries({ stream, framed, web, secure }).map(([name, port]) => ({
      name,
      port,
      from: "127.0.0.2",
      addresses: 1,
      holdMs: HOLD_MS,
    })),
  }),
  mayGrowMiB: GARBAGE_MIB,
  meets: ["address-rate"],
};
