/** All scenarios, in the order in which they are measured. */

import { broadcast } from "./broadcast.ts";
import { churn } from "./churn.ts";
import { growth } from "./growth.ts";
import { idle } from "./idle.ts";
import { latency } from "./latency.ts";
import { pingpong } from "./pingpong.ts";
import { pipelined } from "./pipelined.ts";
import { processes } from "./processes.ts";
import { replay } from "./replay.ts";
import type { Scenario } from "./scenario.ts";
import { tls } from "./tls.ts";
import { websocket } from "./websocket.ts";

export const scenarios: readonly Scenario[] = [
  pingpong,
  pipelined,
  broadcast,
  websocket,
  tls,
  idle,
  churn,
  latency,
  growth,
  processes,
  replay,
];
