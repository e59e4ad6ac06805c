/**
 * The heap of a gateway is mostly what stays, slots and sockets, and what goes with each client that leaves.
 * V8 lets it double and more before it collects that; a gateway would rather stay the size it is
 * (docs/decisions/0006-a-flat-heap.md).
 */

import { setFlagsFromString } from "node:v8";

/** How much the heap may grow beyond what was alive at the last full collection, percent. */
const HEAP_GROWING_PERCENT = 25;

/** Makes this process collect its heap sooner. To be called once, at the start. */
export function keepHeapFlat(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}
