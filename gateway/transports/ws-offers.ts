/**
 * What a request for a WebSocket offers, cut down to what is taken of it here. `ws` answers a request with 400 when it
 * can't take one of the offers; the RFCs have it pass over that one to the next, and do without where there is none.
 */

import { extension, PerMessageDeflate } from "ws";

/** The values of a parameter: what `ws` gives for each time it stands there; `true` for one without a value. */
type Values = readonly (string | true)[];

const WINDOW_BITS = /^(?:[89]|1[0-5])$/;

const isFlag = (value: string | true) => value === true;
const isWindow = (value: string | true) => value !== true && WINDOW_BITS.test(value);

/** What an offer of permessage-deflate may say (RFC 7692, section 7.1). */
const PARAMETERS: ReadonlyMap<string, (value: string | true) => boolean> = new Map([
  ["server_no_context_takeover", isFlag],
  ["client_no_context_takeover", isFlag],
  ["server_max_window_bits", isWindow],
  ["client_max_window_bits", (value) => isFlag(value) || isWindow(value)],
]);

/**
 * The first offer of permessage-deflate in `Sec-WebSocket-Extensions` that can be taken, as it stands there; undefined
 * when there is none. An offer with a parameter that is unknown, stands there twice, or has a value that it can't have,
 * is passed over (RFC 7692, section 5.1).
 *
 * @throws SyntaxError when the header is none (RFC 6455, section 9.1)
 */
export function deflateOffer(header: string): string | undefined {
  return elementsOf(header).filter(isTaken)[0];
}

/** `Sec-WebSocket-Protocol` without its empty elements; undefined when nothing is left of it. */
export function offeredProtocols(header: string): string | undefined {
  const names = elementsOf(header);
  return names.length === 0 ? undefined : names.join(", ");
}

/** The elements of a list in a header: empty ones stand for nothing (RFC 9110, section 5.6.1). */
function elementsOf(header: string): string[] {
  return header
    .split(",")
    .map((element) => element.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((element) => element !== "");
}

function isTaken(offer: string): boolean {
  const parameters = extension.parse(offer)[PerMessageDeflate.extensionName]?.[0];
  if (parameters === undefined) return false;
  return Object.entries(parameters).every(([name, values]) => isParameter(name, values));
}

function isParameter(name: string, [value, ...more]: Values): boolean {
  return value !== undefined && more.length === 0 && PARAMETERS.get(name)?.(value) === true;
}
