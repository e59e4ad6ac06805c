/** No framing: what one read brings is one message, and bytes go out as they are. */

import type { Framing } from "./codec.ts";

export const none: Framing = {
  name: "none",
  maxPayloadBytes: Number.POSITIVE_INFINITY,
  decoder: () => undefined,
  encode: (payload) => payload,
};
