/** All trials, in the order in which they are run. */

import type { Trial } from "../trial.ts";
import { drippingWebSockets } from "./dripping-websockets.ts";
import { loud } from "./loud.ts";
import { reconnectingTalkers } from "./reconnecting-talkers.ts";
import { throttledAndGone } from "./throttled-and-gone.ts";

export const trials: readonly Trial[] = [
  ...loud,
  reconnectingTalkers,
  ...throttledAndGone,
  drippingWebSockets,
];
