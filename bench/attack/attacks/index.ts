/** All attacks, in the order in which they are run. */

import type { Attack } from "../attack.ts";
import { floods } from "./floods.ts";
import { manyAddresses } from "./many-addresses.ts";
import { neverReading } from "./never-reading.ts";
import { oneAddress } from "./one-address.ts";
import { proxyHeaders } from "./proxy-headers.ts";
import { slowloris } from "./slowloris.ts";
import { tinyMessages } from "./tiny-messages.ts";
import { tlsHandshakes } from "./tls-handshakes.ts";
import { wsFrames } from "./ws-frames.ts";

export const attacks: readonly Attack[] = [
  oneAddress,
  manyAddresses,
  slowloris,
  neverReading,
  tlsHandshakes,
  wsFrames,
  proxyHeaders,
  floods,
  tinyMessages,
];
