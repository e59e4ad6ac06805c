/**
 * Every setting of a gateway, in one table: its type and bounds, its default, and what it is for. Flags,
 * environment variables, the file's keys, the help and the frozen configuration all come from here
 * (docs/configuration.md).
 */

import { hostname } from "node:os";
import { z } from "zod";
import { Secret } from "../link/secret.ts";
import { logFormats, logLevels } from "../process/log.ts";
import { DEFAULT_MAX_FRAME, MAX_MAX_FRAME, MIN_MAX_FRAME } from "../proto/frame.ts";
import { parseLinkUrl } from "../proto/link-url.ts";
import { MAX_CAPACITY } from "../proto/session-id.ts";
import { parseListenUrl } from "./transports/listen-url.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;

export interface Setting<T> {
  /** Reads a value from a flag, the environment or the file. */
  readonly schema: z.ZodType<T>;
  /** As it would stand in the file; undefined: none. */
  readonly fallback: unknown;
  /** What the help shows for the value. */
  readonly placeholder: string;
  readonly description: string;
  readonly repeatable: boolean;
  /** Comes from the environment alone, and is never shown. */
  readonly secret: boolean;
}

function setting<T>(
  schema: z.ZodType<T>,
  fallback: unknown,
  placeholder: string,
  description: string,
): Setting<T> {
  return { schema, fallback, placeholder, description, repeatable: Array.isArray(fallback), secret: false };
}

function whole(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  const fromText = (value: unknown) =>
    typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return z.preprocess(fromText, z.number(message).int(message).min(min, message).max(max, message));
}

function filePath() {
  return z.string("must be text").min(1, "must not be empty").optional();
}

function url<T>(parse: (text: string) => T) {
  return z.string("must be text").transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });
}

function oneOf<const T extends readonly string[]>(values: T) {
  return z.enum(values, `must be one of ${values.join(", ")}`);
}

/** A list, which a flag or a variable may spell with commas. */
function listOf<T>(item: z.ZodType<T>) {
  const split = (value: unknown) => (typeof value === "string" ? value.split(",") : value);
  return z.preprocess(
    split,
    z.array(item, "must be a list").min(1, "must not be empty").max(256, "must have at most 256 entries"),
  );
}

export const settings = {
  name: setting(
    z.string("must be text").min(1, "must not be empty").max(128, "must have at most 128 characters"),
    `${hostname()}-${process.pid}`.slice(-128),
    "name",
    "the name that the manager knows this gateway by; no two may share one",
  ),
  manager: setting(
    url(parseLinkUrl),
    "unix:run/manager.sock",
    "url",
    "the manager to dial: unix:/path, tcp://host:port or tls://host:port",
  ),
  managerSecret: {
    ...setting(
      url((text) => new Secret(text)).optional(),
      undefined,
      "secret",
      "the secret shared with the manager",
    ),
    secret: true,
  },
  managerSecretFile: setting(
    filePath(),
    undefined,
    "file",
    "the file of the secret shared with the manager; or set SIDEGATE_MANAGER_SECRET",
  ),
  managerCa: setting(
    filePath(),
    undefined,
    "file",
    "for tls://: the authority that has signed the manager's certificate (default: those of the system)",
  ),
  managerCert: setting(
    filePath(),
    undefined,
    "file",
    "for tls://: this gateway's certificate, where the manager wants one",
  ),
  managerKey: setting(filePath(), undefined, "file", "for tls://: the key of that certificate"),
  managerServername: setting(
    z
      .string("must be text")
      .regex(/^(?![\d.]+$)[\w-]+(\.[\w-]+)*$/, "must be a host's name, and no IP address")
      .optional(),
    undefined,
    "name",
    "for tls://: the name that the manager's certificate must bear, if not the one that is dialled",
  ),
  listen: setting(
    listOf(url(parseListenUrl)),
    ["tcp://127.0.0.1:7300"],
    "url",
    "where clients arrive: tcp://host:port, with ?name=, reusePort=true, backlog=; may be given more than once",
  ),
  admin: setting(
    url(parseLinkUrl).optional(),
    undefined,
    "url",
    "reserved for the operators' interface; not served by this version",
  ),
  logLevel: setting(
    oneOf(logLevels),
    "info",
    "level",
    `the least level that is logged: ${logLevels.join(", ")}`,
  ),
  logFormat: setting(oneOf(logFormats), "json", "format", "json, or pretty for people"),
  readPath: setting(
    oneOf(["auto", "shared", "ordinary"] as const),
    "auto",
    "path",
    "how clients are read: shared (one buffer for all), ordinary, or auto (shared where the runtime can)",
  ),
  maxCapacity: setting(
    whole(1, MAX_CAPACITY),
    131_072,
    "slots",
    "the largest capacity that is accepted from a manager",
  ),
  maxFrame: setting(
    whole(MIN_MAX_FRAME, MAX_MAX_FRAME),
    DEFAULT_MAX_FRAME,
    "bytes",
    "the largest frame that is accepted from a manager",
  ),
  clientBufferBytes: setting(
    whole(4 * KIB, 1024 * MIB),
    MIB,
    "bytes",
    "with more than this queued for it a client is closed as slow-consumer",
  ),
  linkBufferBytes: setting(
    whole(64 * KIB, 1024 * MIB),
    4 * MIB,
    "bytes",
    "with more than this queued for the manager no client is read",
  ),
  registerTimeoutMs: setting(
    whole(100, HOUR_MS),
    15_000,
    "ms",
    "the time to connect to a manager and register",
  ),
  reconnectMinMs: setting(
    whole(1, HOUR_MS),
    100,
    "ms",
    "the wait before the first new dial after a lost link",
  ),
  reconnectMaxMs: setting(whole(1, HOUR_MS), 5000, "ms", "the longest wait between dials"),
  halfCloseMs: setting(
    whole(0, HOUR_MS),
    5000,
    "ms",
    "how long a client that has shut down its sending side is still sent to",
  ),
  flushTimeoutMs: setting(
    whole(1, HOUR_MS),
    5000,
    "ms",
    "how long a session that ends has to take what is queued",
  ),
  ackTimeoutMs: setting(
    whole(1, HOUR_MS),
    10_000,
    "ms",
    "how long the manager has to acknowledge a disconnect",
  ),
  drainMs: setting(
    whole(0, 24 * HOUR_MS),
    10_000,
    "ms",
    "how long sessions go on once the gateway is to stop",
  ),
  shutdownAckMs: setting(
    whole(1, HOUR_MS),
    1000,
    "ms",
    "how long the manager has to acknowledge the sessions that a stop has ended",
  ),
  shutdownExitCode: setting(
    whole(0, 255),
    0,
    "code",
    "the exit code after a manager's Shutdown, for process managers that take a kill for an exit with 0",
  ),
} as const;

export type SettingName = keyof typeof settings;

/** The frozen configuration. */
export type Config = { readonly [K in SettingName]: z.output<(typeof settings)[K]["schema"]> };

export const settingNames = Object.keys(settings) as SettingName[];

/** A setting is wrong. The message names it, where it came from, and what is wanted. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Where values came from, and the values as they were given, by setting. */
export interface Layer {
  /** How a source names a setting, for messages: `--max-frame`, `SIDEGATE_MAX_FRAME`, `maxFrame in FILE`. */
  readonly describe: (name: SettingName) => string;
  readonly values: Partial<Record<SettingName, unknown>>;
}

/** One setting as it was resolved. */
export interface Resolved {
  readonly name: SettingName;
  /** As it was given. */
  readonly given: unknown;
  /** Which layer gave it; "default" for none. */
  readonly source: string;
}

/**
 * Resolves every setting once: the first layer that has it wins.
 *
 * @throws ConfigError for a value out of its bounds, or values that contradict each other
 */
export function resolveConfig(layers: readonly Layer[]): { config: Config; resolved: readonly Resolved[] } {
  const resolved = settingNames.map((name): Resolved => {
    const layer = layers.find((candidate) => candidate.values[name] !== undefined);
    return layer === undefined
      ? { name, given: settings[name].fallback, source: "default" }
      : { name, given: layer.values[name], source: layer.describe(name) };
  });
  const config = Object.fromEntries(resolved.map((one) => [one.name, parseSetting(one)])) as Config;
  checkTogether(config);
  return { config: Object.freeze(config), resolved };
}

function parseSetting({ name, given, source }: Resolved): unknown {
  const parsed = settings[name].schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const message = parsed.error.issues[0]?.message ?? "is wrong";
  const shown = settings[name].secret || message.includes("'") ? "" : `, not ${JSON.stringify(given)}`;
  throw new ConfigError(`${name} (${source}): ${message}${shown}`);
}

function checkTogether(config: Config): void {
  if (config.reconnectMinMs > config.reconnectMaxMs) {
    throw new ConfigError(
      `reconnectMinMs (${config.reconnectMinMs}) must not be more than reconnectMaxMs (${config.reconnectMaxMs})`,
    );
  }
  checkManager(config);
  const names = config.listen.map((address) => address.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ConfigError(`listen: two listeners are named '${twice}'; tell them apart with ?name=`);
  }
}

/** What is set for the link is used, or refused: nobody shall take a link for safer than it is. */
function checkManager(config: Config): void {
  if (config.managerSecret !== undefined && config.managerSecretFile !== undefined) {
    throw new ConfigError("managerSecret and managerSecretFile are both set; set one of them");
  }
  if ((config.managerCert === undefined) !== (config.managerKey === undefined)) {
    throw new ConfigError("managerCert and managerKey go together; set both, or none");
  }
  if (config.manager.kind === "tls") return;
  for (const name of ["managerCa", "managerCert", "managerServername"] as const) {
    if (config[name] !== undefined) throw new ConfigError(`${name} is for a manager at tls://host:port`);
  }
}
