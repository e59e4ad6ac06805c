/** All trials, in the order in which they are run. */

import type { Trial } from "../trial.ts";
import { loud } from "./loud.ts";

export const trials: readonly Trial[] = [...loud];
