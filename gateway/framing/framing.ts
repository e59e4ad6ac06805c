/** Every framing by its name: how a client's bytes become messages, and messages bytes. */

import type { Framing } from "./codec.ts";
import { lengthPrefixed } from "./length-prefixed.ts";
import { line } from "./line.ts";
import { none } from "./none.ts";

export type { Framing, FramingFault, MessageDecoder, MessageSink } from "./codec.ts";

export const framingNames = ["none", "u16be", "u16le", "u32be", "u32le", "line"] as const;

/**
 * The framing of a name. It holds nothing of a client's and serves any number of them.
 *
 * @param countsItself the length in the prefix counts the prefix's own bytes too; without a prefix it
 *   means nothing
 */
export function framing(name: Framing["name"], countsItself = false): Framing {
  switch (name) {
    case "none":
      return none;
    case "line":
      return line;
    default:
      return lengthPrefixed(name, countsItself);
  }
}
