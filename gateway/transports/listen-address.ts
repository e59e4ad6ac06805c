/**
 * Where a listener is, and how: a URL whose parameters are its options,
 * `tcp://127.0.0.1:7300?name=game&reusePort=true`, or in a file an object with the URL and the options as keys.
 */

import { bareHost, bracketed, unixPath } from "../../proto/link-url.ts";
import { suggestion } from "../suggestion.ts";
import {
  hasTls,
  isWeb,
  type ListenOptionName,
  type ListenOptions,
  listenOptions,
  optionsOf,
  type Transport,
  transports,
} from "./listen-options.ts";

export interface ListenAddress extends Omit<ListenOptions, "name"> {
  readonly transport: Transport;
  /** A name or an address without brackets; of a Unix socket its path. */
  readonly host: string;
  /** 0 takes any free port; a Unix socket has 0. */
  readonly port: number;
  readonly name: string;
  /** Of `[::]`: leaves IPv4 to another listener of the same port. */
  readonly ipv6Only: boolean;
}

const FORMS = "tcp://host:port, tls://host:port, ws://host:port, wss://host:port or unix:/path";

/**
 * Reads a listener's address.
 *
 * @param given a URL, or an object with the key `url` and options
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parseListenAddress(given: string | Readonly<Record<string, unknown>>): ListenAddress {
  const { url, ...keys } = typeof given === "string" ? { url: given } : given;
  if (typeof url !== "string") throw new Error(`a listener must have a 'url'; use ${FORMS}`);
  const { base, parameters } = split(url);
  const place = parsePlace(url, base);
  const values = { ...keys, ...Object.fromEntries(parameters) };
  const twice = [...parameters.keys()].find(
    (key) => parameters.getAll(key).length > 1 || Object.hasOwn(keys, key),
  );
  if (twice !== undefined) throw new Error(`'${url}' has the option '${twice}' twice`);
  const options = parseOptions(url, place.transport, values);
  checkTogether(url, place.transport, options);
  return { ...options, ...place, name: options.name ?? defaultName(place), ipv6Only: false };
}

/** The address without its options, for people. */
export function formatListenAddress({
  transport,
  host,
  port,
}: Pick<ListenAddress, "transport" | "host" | "port">): string {
  if (transport === "unix") return `unix:${host}`;
  return `${transport}://${bracketed(host)}:${port}`;
}

type Place = Pick<ListenAddress, "transport" | "host" | "port">;

function split(url: string): { base: string; parameters: URLSearchParams } {
  const mark = url.indexOf("?");
  if (mark === -1) return { base: url, parameters: new URLSearchParams() };
  return { base: url.slice(0, mark), parameters: new URLSearchParams(url.slice(mark + 1)) };
}

function parsePlace(url: string, base: string): Place {
  if (base.startsWith("unix:")) return { transport: "unix", host: unixPath(url, base), port: 0 };
  const match = /^([a-z]+):\/\/(\[[0-9A-Fa-f:.]+\]|[^/:@[\]\s]+):(\d{1,5})\/?$/.exec(base);
  const transport = transports.find((one) => one === match?.[1]);
  const port = Number(match?.[3]);
  const host = match?.[2] ?? "";
  if (transport === undefined || port > 65_535 || !URL.canParse(`http://${host}`)) {
    throw new Error(`'${url}' is not an address to listen on; use ${FORMS}`);
  }
  return { transport, host: bareHost(host), port };
}

function parseOptions(
  url: string,
  transport: Transport,
  values: Readonly<Record<string, unknown>>,
): ListenOptions {
  const known = optionsOf(transport);
  for (const key of Object.keys(values)) {
    if (known.some((name) => name === key)) continue;
    const elsewhere = Object.hasOwn(listenOptions, key)
      ? `; only ${listenOptions[key as ListenOptionName].transports.join(", ")} listeners have it`
      : suggestion(key, known);
    throw new Error(`'${url}' has an unknown option '${key}'${elsewhere}`);
  }
  const names = Object.keys(listenOptions) as ListenOptionName[];
  const entries = names.map((name) => [name, parseOption(url, name, values[name])]);
  return Object.fromEntries(entries) as ListenOptions;
}

function parseOption(url: string, name: ListenOptionName, given: unknown): unknown {
  const { schema, fallback } = listenOptions[name];
  const read = schema.safeParse(given ?? fallback);
  if (read.success) return read.data;
  const message = read.error.issues[0]?.message ?? "is wrong";
  const shown = message.includes("'") ? "" : `, not '${given}'`;
  throw new Error(`'${url}': ${name} ${message}${shown}`);
}

function checkTogether(url: string, transport: Transport, options: ListenOptions): void {
  const { proxy, forwarded, trusted, cert, key, clientCa, clientCertificate, ticket, framing } = options;
  const wants = (problem: string) => new Error(`'${url}': ${problem}`);
  if (hasTls(transport) && (cert === undefined || key === undefined)) {
    throw wants("a TLS listener must have cert and key, the files of its certificate and its key");
  }
  if (clientCertificate !== "none" && clientCa === undefined) {
    throw wants("clientCertificate must have clientCa, the file of who signs them");
  }
  if (proxy !== "off" && forwarded !== "off")
    throw wants("proxy and forwarded both say who the client is; use one");
  if ((proxy !== "off" || forwarded !== "off") && trusted.size === 0 && transport !== "unix") {
    throw wants("proxy and forwarded must have trusted, the addresses that they are believed from");
  }
  if (ticket === "query" && !isWeb(transport)) {
    throw wants("only ws and wss listeners have a query; use ticket=first-message");
  }
  if (ticket === "first-message" && !isWeb(transport) && framing === "none") {
    throw wants("ticket=first-message must have a framing, or nobody can tell where the message ends");
  }
}

/** What a listener is called that is given no name. */
export function defaultName({ transport, host, port }: Place): string {
  return transport === "unix" ? `unix-${host.split("/").at(-1)}`.slice(0, 128) : `${transport}-${port}`;
}
