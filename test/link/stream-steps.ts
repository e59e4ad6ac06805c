/** What tests that do things in any order do to a stream, beside sending over it and letting the turn end. */

import type { FramedStream } from "../../link/framed-stream.ts";
import type { FakeStream } from "./fake-stream.ts";

/** It is flushed; takes nothing any more; takes everything again. */
export const streamSteps = ["flush", "hold", "take"] as const;
export type StreamStep = (typeof streamSteps)[number];

export function doStep(step: StreamStep, framed: FramedStream, stream: FakeStream): void {
  if (step === "flush") framed.flush();
  else if (step === "hold") stream.holding = true;
  else stream.release();
}
