/** WebSocket clients whose frames lie. Each is ended at once, or as soon as it has said too little, or too much. */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import { emptyFragments, firstFragment, lies, longerThanSent, nextFragments, UPGRADE } from "../ws-lies.ts";

const RATE = 450;
const ADDRESSES = 500;
const CLIENTS = 4000;
const CLIENT_BYTES = 65_536;
/** How many clients of the rate wait for their end: those that promise more than they send. */
const WAITING = 200;

export const wsFrames: Attack = {
  name: "ws-frames",
  title: `${RATE} WebSocket clients/s whose frames lie`,
  assault: ({ web: port }) => {
    const from = { port, from: "127.12.0.1", addresses: ADDRESSES };
    const fragments = Buffer.concat([UPGRADE, firstFragment]);
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        ...Object.entries(lies).map(([name, lie]) => ({
          name,
          hello: Buffer.concat([UPGRADE, lie]),
          ...from,
        })),
        { name: "longer-than-sent", hello: Buffer.concat([UPGRADE, longerThanSent]), ...from },
        { name: "endless-fragments", hello: fragments, tail: nextFragments, ...from },
        { name: "empty-fragments", hello: fragments, tail: emptyFragments, ...from },
      ],
    };
  },
  mayGrowMiB: GARBAGE_MIB + mebibytes(WAITING, CLIENT_BYTES),
  meets: ["bad-frame", "too-big", "idle"],
};
