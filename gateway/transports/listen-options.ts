/**
 * Every option of a listener, in one table: which transports have it, its type and bounds, its default. In a URL they
 * are parameters, in the configuration file keys (docs/configuration.md, "Listeners").
 */

import { z } from "zod";
import { MAX_MANAGER_NAME_LENGTH } from "../../proto/bodies.ts";
import { framingNames } from "../framing/framing.ts";
import { AddressSet } from "../guard/address-set.ts";
import { flag, HOUR_MS, KIB, listOf, MIB, oneOf, parsedFrom, text, whole } from "../schema.ts";

export const transports = ["tcp", "tls", "ws", "wss", "unix"] as const;
export type Transport = (typeof transports)[number];

interface ListenOption<T> {
  readonly schema: z.ZodType<T>;
  readonly fallback: unknown;
  readonly transports: readonly Transport[];
}

function option<T>(schema: z.ZodType<T>, fallback: unknown, on: readonly Transport[] = transports) {
  return { schema, fallback, transports: on } satisfies ListenOption<T>;
}

/** A list of addresses and CIDRs. */
const cidrs = parsedFrom(listOf(text(1, 64), 0), AddressSet.parse);

const octal = z
  .string("must be text")
  .regex(/^0?[0-7]{3}$/, "must be an octal file mode such as 0660")
  .transform((mode) => Number.parseInt(mode, 8));

const header = z
  .string("must be text")
  .regex(/^[\w-]{1,64}$/, "must be a header's name")
  .toLowerCase();

const OVER_IP = ["tcp", "tls", "ws", "wss"] as const;
const STREAMS = ["tcp", "tls", "unix"] as const;
const WITH_TLS = ["tls", "wss"] as const;
const WEB = ["ws", "wss"] as const;
const file = text(1, 4096);

/** Whether clients of a transport speak WebSocket. */
export function isWeb(transport: Transport): boolean {
  return (WEB as readonly Transport[]).includes(transport);
}

/** Whether clients of a transport speak TLS. */
export function hasTls(transport: Transport): boolean {
  return (WITH_TLS as readonly Transport[]).includes(transport);
}

/** What a manager takes; docs/protocol.md, "Maps". */
const MAX_NAME_LENGTH = 128;
const MAX_HEADERS = 32;
const MAX_BACKLOG = 65_535;

export const listenOptions = {
  name: option(text(1, MAX_NAME_LENGTH).optional(), undefined),
  reusePort: option(flag(), false, OVER_IP),
  backlog: option(whole(1, MAX_BACKLOG), 4096),
  mode: option(octal, "0600", ["unix"]),
  framing: option(oneOf(framingNames), "none", STREAMS),
  lengthCountsItself: option(flag(), false, STREAMS),
  maxMessageBytes: option(whole(1, 64 * MIB), 64 * KIB),
  proxy: option(oneOf(["off", "v1", "v2", "any"] as const), "off"),
  trusted: option(cidrs, []),
  cert: option(file.optional(), undefined, WITH_TLS),
  key: option(file.optional(), undefined, WITH_TLS),
  clientCa: option(file.optional(), undefined, WITH_TLS),
  clientCertificate: option(oneOf(["none", "request", "require"] as const), "none", WITH_TLS),
  minVersion: option(oneOf(["TLSv1.2", "TLSv1.3"] as const), "TLSv1.2", WITH_TLS),
  alpn: option(listOf(text(1, 64), 0), [], WITH_TLS),
  path: option(
    z
      .string("must be text")
      .regex(/^\/[^?#\s]*$/, "must begin with / and have no query")
      .optional(),
    undefined,
    WEB,
  ),
  origins: option(listOf(text(1, 255), 0), [], WEB),
  subprotocols: option(listOf(text(1, 64), 0), [], WEB),
  headers: option(
    listOf(header, 0).pipe(z.array(z.string()).max(MAX_HEADERS, `must have at most ${MAX_HEADERS} entries`)),
    [],
    WEB,
  ),
  frames: option(oneOf(["binary", "text", "mirror"] as const), "binary", WEB),
  deflate: option(flag(), false, WEB),
  pingMs: option(whole(0, HOUR_MS), 30_000, WEB),
  forwarded: option(oneOf(["off", "x-forwarded-for", "forwarded"] as const), "off", WEB),
  ticket: option(oneOf(["off", "first-message", "query"] as const), "off"),
  manager: option(text(1, MAX_MANAGER_NAME_LENGTH).optional(), undefined),
} as const;

export type ListenOptionName = keyof typeof listenOptions;

/** All options of a listener; those that its transport does not have are at their defaults. */
export type ListenOptions = {
  readonly [K in ListenOptionName]: z.output<(typeof listenOptions)[K]["schema"]>;
};

/** The options that a transport has. */
export function optionsOf(transport: Transport): ListenOptionName[] {
  const names = Object.keys(listenOptions) as ListenOptionName[];
  return names.filter((name) => (listenOptions[name].transports as readonly Transport[]).includes(transport));
}
