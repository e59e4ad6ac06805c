/** Clients that say as much as they can: messages, and pings of a WebSocket. They are read as fast as they may talk. */

import { type Attack, GARBAGE_MIB, mebibytes, takenRates } from "../attack.ts";
import { makeMessage, withLength } from "../message.ts";
import { CLIENT_BUFFER_BYTES } from "../profile.ts";
import { frame, Opcode, pings, repeat, UPGRADE } from "../ws-lies.ts";

const CLIENTS = 50;
const RATE = 200;

const message = makeMessage(0, 0);
/** As many messages for each byte as there can be. */
const tiny = Buffer.from("a");
const tinyFrame = frame({ opcode: Opcode.binary, payload: tiny });

export const floods: Attack = {
  name: "floods",
  title: `${CLIENTS} clients that flood: messages, and WebSocket pings`,
  assault: ({ stream, framed, web }) => {
    const from = { from: "127.14.0.1", addresses: CLIENTS };
    const framedMessage = frame({ opcode: Opcode.binary, payload: message });
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        { name: "stream", port: stream, tail: repeat(message), ...from },
        { name: "framed", port: framed, tail: repeat(withLength(message)), ...from },
        { name: "web", port: web, hello: UPGRADE, tail: repeat(framedMessage), ...from },
        { name: "framed-tiny", port: framed, tail: repeat(withLength(tiny)), ...from },
        { name: "web-tiny", port: web, hello: UPGRADE, tail: repeat(tinyFrame), ...from },
        { name: "pings", port: web, hello: UPGRADE, tail: pings, ...from },
      ],
    };
  },
  mayGrowMiB: GARBAGE_MIB + mebibytes(CLIENTS, CLIENT_BUFFER_BYTES),
  meets: [],
  achieved: takenRates,
};
