/** Clients that never read, while the manager sends everybody long messages. Each may have so much queued. */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import { BROADCAST_BYTES, makeMessage, withLength } from "../message.ts";
import { CLIENT_BUFFER_BYTES } from "../profile.ts";
import { frame, Opcode, UPGRADE } from "../ws-lies.ts";

const CLIENTS = 500;
const RATE = 200;
const ADDRESSES = 100;
/** The least that the kernel gives, so that it soon takes no more. */
const RECEIVE_BUFFER_BYTES = 2048;
const BROADCASTS = 3;

const word = makeMessage(0, 0);

export const neverReading: Attack = {
  name: "never-reading",
  title: `${CLIENTS} clients that never read, ${BROADCASTS} broadcasts/s of 64 KiB`,
  assault: ({ stream, framed, web }) => {
    const deaf = {
      from: "127.10.0.1",
      addresses: ADDRESSES,
      reads: false,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    };
    const spoken = frame({ opcode: Opcode.binary, payload: word });
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        { name: "stream", port: stream, hello: word, ...deaf },
        { name: "framed", port: framed, hello: withLength(word), ...deaf },
        { name: "web", port: web, hello: Buffer.concat([UPGRADE, spoken]), ...deaf },
      ],
    };
  },
  broadcasts: BROADCASTS,
  // A client is cut by the message that goes beyond its limit, which is counted before it is thrown away.
  mayGrowMiB: GARBAGE_MIB + mebibytes(CLIENTS, CLIENT_BUFFER_BYTES + BROADCAST_BYTES),
  meets: ["slow-consumer"],
};
