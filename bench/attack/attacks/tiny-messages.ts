/**
 * Clients that come, say as many messages as fit into one read of the gateway's, and go. A limit on what a client
 * says looks at each message, but none of these has said anything before.
 */

import { type Attack, GARBAGE_MIB, mebibytes, takenRates } from "../attack.ts";
import { withLength } from "../message.ts";
import { CLIENT_BUFFER_BYTES } from "../profile.ts";
import { frame, Opcode, repeat, UPGRADE } from "../ws-lies.ts";

const RATE = 100;
const ADDRESSES = 500;
const CLIENTS = 500;
const HOLD_MS = 500;
/** What the gateway reads at once. */
const READ_BYTES = 65_536;

const tiny = Buffer.from("a");

export const tinyMessages: Attack = {
  name: "tiny-messages",
  title: `${RATE} clients/s that say 64 KiB of one-byte messages, and go`,
  assault: ({ framed, web }) => {
    const from = { from: "127.15.0.1", addresses: ADDRESSES, holdMs: HOLD_MS };
    const webTiny = repeat(frame({ opcode: Opcode.binary, payload: tiny }), READ_BYTES);
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        { name: "framed", port: framed, hello: repeat(withLength(tiny), READ_BYTES), ...from },
        { name: "web", port: web, hello: Buffer.concat([UPGRADE, webTiny]), ...from },
      ],
    };
  },
  mayGrowMiB: GARBAGE_MIB + mebibytes(CLIENTS, CLIENT_BUFFER_BYTES),
  meets: [],
  achieved: takenRates,
};
