/**
 * The address of a listener, with its options as URL parameters:
 * `tcp://127.0.0.1:7300?name=game&reusePort=true&backlog=4096`.
 */

import { bareHost } from "../../proto/link-url.ts";
import { suggestion } from "../suggestion.ts";

export interface ListenAddress {
  readonly transport: "tcp";
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly name: string;
  /** Share the port with other gateways (`SO_REUSEPORT`): the kernel spreads new clients over them. */
  readonly reusePort: boolean;
  /** How many connections may wait to be accepted; the kernel caps it at net.core.somaxconn. */
  readonly backlog: number;
}

const DEFAULT_BACKLOG = 4096;
const MAX_BACKLOG = 65535;
/** What a manager takes; docs/protocol.md, "Maps". */
const MAX_NAME_LENGTH = 128;
const PARAMETERS = ["name", "reusePort", "backlog"];

/**
 * Reads a listener's address.
 *
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parseListenUrl(url: string): ListenAddress {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "tcp:" || parsed.hostname === "" || parsed.port === "") {
    throw new Error(`'${url}' is not an address to listen on; use tcp://host:port`);
  }
  const parameters = parsed.searchParams;
  for (const key of parameters.keys()) {
    if (!PARAMETERS.includes(key))
      throw new Error(`'${url}' has an unknown option '${key}'${suggestion(key, PARAMETERS)}`);
  }
  return {
    transport: "tcp",
    host: bareHost(parsed.hostname),
    port: Number(parsed.port),
    name: nameParameter(url, parameters) ?? `tcp-${parsed.port}`,
    reusePort: booleanParameter(url, parameters, "reusePort"),
    backlog: backlogParameter(url, parameters),
  };
}

function nameParameter(url: string, parameters: URLSearchParams): string | undefined {
  const name = parameters.get("name") ?? undefined;
  if (name === undefined || (name.length > 0 && name.length <= MAX_NAME_LENGTH)) return name;
  throw new Error(`'${url}': name must have 1 to ${MAX_NAME_LENGTH} characters`);
}

function booleanParameter(url: string, parameters: URLSearchParams, key: string): boolean {
  const value = parameters.get(key) ?? "false";
  if (value !== "true" && value !== "false")
    throw new Error(`'${url}': ${key} must be true or false, not '${value}'`);
  return value === "true";
}

function backlogParameter(url: string, parameters: URLSearchParams): number {
  const value = parameters.get("backlog") ?? String(DEFAULT_BACKLOG);
  const backlog = Number(value);
  if (!/^\d+$/.test(value) || backlog < 1 || backlog > MAX_BACKLOG) {
    throw new Error(`'${url}': backlog must be a whole number from 1 to ${MAX_BACKLOG}, not '${value}'`);
  }
  return backlog;
}
