/**
 * PROXY headers that are cut, too long, wrong, or forged by who may not send any. Those that are refused at once come
 * fast, because no limit on clients' addresses stops who has not told one yet.
 */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import { PROXY_ADDRESS } from "../profile.ts";
import { truncatedHeaders, version1, version2, wrongHeaders } from "../proxy-headers.ts";

const RATE = 2000;
const CLIENTS = 4000;
const CLIENT_BYTES = 16_384;
const byte = Buffer.from("1");
const EVERY_MS = 500;

export const proxyHeaders: Attack = {
  name: "proxy-headers",
  title: `${RATE} connections/s with PROXY headers that are cut, too long, wrong or forged`,
  assault: ({ proxied: port }) => {
    const trusted = { port, from: PROXY_ADDRESS, addresses: 1 };
    const stranger = { port, from: "127.13.0.1", addresses: 500 };
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        ...Object.entries(wrongHeaders).map(([name, hello]) => ({ name, hello, ...trusted })),
        ...Object.entries(truncatedHeaders).flatMap(([name, hello]) => [
          { name: `${name}-then-end`, hello, finishes: true, ...trusted },
          { name: `${name}-then-reset`, hello, holdMs: 0, ...trusted },
        ]),
        { name: "v1-cut-then-silence", hello: version1.subarray(0, 20), ...trusted },
        { name: "v1-drips", hello: version1.subarray(0, 11), tail: byte, everyMs: EVERY_MS, ...trusted },
        { name: "forged-v1", hello: version1, ...stranger },
        { name: "forged-v2", hello: version2({}), ...stranger },
      ],
    };
  },
  mayGrowMiB: GARBAGE_MIB + mebibytes(CLIENTS, CLIENT_BYTES),
  meets: ["bad-proxy-header", "untrusted-proxy", "left-early"],
};
