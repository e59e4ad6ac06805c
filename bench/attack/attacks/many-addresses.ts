/** Ten thousand hosts that connect as fast as they can. The rate of all arrivals stops them. */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import { CAPACITY } from "../profile.ts";

const ADDRESSES = 10_000;
const CLIENTS = 8000;
/** What a client that was let in takes. */
const CLIENT_BYTES = 8192;

export const manyAddresses: Attack = {
  name: "many-addresses",
  title: `connections from ${ADDRESSES} addresses, as fast as it goes`,
  assault: ({ stream }) => ({
    clients: CLIENTS,
    rate: 0,
    targets: [{ name: "stream", port: stream, from: "127.8.0.1", addresses: ADDRESSES }],
  }),
  mayGrowMiB: GARBAGE_MIB + mebibytes(CAPACITY, CLIENT_BYTES),
  meets: ["connection-rate", "idle"],
};
