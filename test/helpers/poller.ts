/** The poller, where it was compiled, and what is to be tried on every read path. */

import { Poller } from "../../gateway/transports/poller.ts";

function load(): { readonly poller?: Poller; readonly whyNoPoller?: string } {
  try {
    return { poller: Poller.load() };
  } catch (error) {
    return { whyNoPoller: `npm run build:poller: ${(error as Error).message}` };
  }
}

export const { poller, whyNoPoller } = load();

/** Who moves the bytes of plain TCP, and why that can't be tried here. */
export const movers = [
  { by: "the poller", poller, skip: whyNoPoller ?? false },
  { by: "Node", poller: undefined, skip: false },
] as const;

/** Every read path, and why it can't be tried here. */
export const readPaths = [
  { readPath: "polled", skip: whyNoPoller ?? false },
  { readPath: "shared", skip: false },
  { readPath: "ordinary", skip: false },
] as const;
