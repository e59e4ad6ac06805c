/** TLS handshakes that are begun and left lying, or are none. They take processor time, and room until they expire. */

import { type Attack, GARBAGE_MIB, mebibytes } from "../attack.ts";
import { GUARD } from "../profile.ts";
import { clientHello } from "../tls-hello.ts";

/** Nearly as fast as the guard lets anybody in. */
const RATE = 450;
const ADDRESSES = 500;
const CLIENTS = 5000;
/** Long enough for the gateway to have answered. */
const SOON_MS = 50;
/** What OpenSSL and Node keep for a handshake. */
const HANDSHAKE_BYTES = 131_072;

export const tlsHandshakes: Attack = {
  name: "tls-handshakes",
  title: `${RATE} TLS handshakes/s that are abandoned, or garbage`,
  assault: async ({ secure: port }) => {
    const hello = await clientHello();
    const from = { port, from: "127.11.0.1", addresses: ADDRESSES };
    return {
      clients: CLIENTS,
      rate: RATE,
      targets: [
        { name: "hello-then-silence", hello, ...from },
        { name: "half-a-hello", hello: hello.subarray(0, hello.length >> 1), ...from },
        { name: "hello-then-gone", hello, holdMs: SOON_MS, ...from },
        { name: "hello-then-garbage", hello: Buffer.concat([hello, Buffer.alloc(512, 0xa5)]), ...from },
        { name: "garbage", hello: Buffer.from("GET / HTTP/1.1\r\n\r\n"), ...from },
        { name: "closes-at-once", holdMs: 0, ...from },
      ],
    };
  },
  mayGrowMiB: GARBAGE_MIB + mebibytes((RATE * GUARD["handshake-timeout-ms"]) / 1000, HANDSHAKE_BYTES),
  meets: ["tls-handshake", "handshake-timeout"],
};
