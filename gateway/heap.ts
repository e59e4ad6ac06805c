/**
 * The heap of a gateway is mostly what stays, slots and sockets, and what goes with each client that leaves.
 * V8 lets it double and more before it collects that; a gateway would rather stay the size it is
 * (docs/decisions/0006-a-flat-heap.md).
 */

import { setFlagsFromString } from "node:v8";

/** How much the heap may grow beyond what was alive at the last full collection, percent. */
const HEAP_GROWING_PERCENT = 25;

/**
 * How much the space for what is new may grow each time that much in it survives. It would grow to 32 MiB while clients
 * come, and stay that size; what a gateway makes new for each message is gone with it.
 */
const NEW_SPACE_GROWTH = 1;

/** Makes this process collect its heap sooner. To be called once, at the start. */
export function keepHeapFlat(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  setFlagsFromString(`--semi-space-growth-factor=${NEW_SPACE_GROWTH}`);
}
