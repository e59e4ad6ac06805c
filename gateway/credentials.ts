/**
 * What protects the link and what tickets are signed with, out of the files that the configuration names: secrets,
 * and the certificates of the link's TLS. They are read once, at the start, so that a wrong one is known then.
 */

import { createSecureContext, getCACertificates } from "node:tls";
import { Secret } from "../link/secret.ts";
import { checkCertificate, checkKey, MIN_TLS_VERSION } from "../link/tls.ts";
import { readPrivateFile, withoutLineEnd } from "../process/private-file.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { readSecret } from "./guard/secret.ts";
import type { DialTls } from "./links/dial.ts";
import type { SettingName } from "./settings.ts";

export interface Credentials {
  /** Shared with the managers. */
  readonly secret: Secret | undefined;
  /** For managers over TLS, and for no others. */
  readonly tls: DialTls | undefined;
  /** What tickets are signed with. */
  readonly ticketSecret: Uint8Array | undefined;
  /** For the log: files that more people can read than should. */
  readonly warnings: readonly string[];
}

/**
 * Reads the files.
 *
 * @throws ConfigError for one that can't be read, or does not hold what it should; the message holds nothing of it
 */
export function readCredentials(config: Config): Credentials {
  const warnings: string[] = [];
  const readFrom = <T>(name: PrivateFileSetting, read: (bytes: Buffer) => T): T | undefined => {
    const path = config[name];
    if (path === undefined) return undefined;
    return attempt(name, path, () => {
      const { bytes, warning } = readPrivateFile(path);
      if (warning !== undefined) warnings.push(`${name}: ${warning}`);
      return read(bytes);
    });
  };
  const fromFile = readFrom("managerSecretFile", (bytes) => new Secret(withoutLineEnd(bytes)));
  const ticketFromFile = readFrom("ticketSecretFile", (bytes) => readSecret(bytes.toString()));
  const key = readFrom("managerKey", (bytes) => bytes);
  return {
    secret: config.managerSecret ?? fromFile,
    tls: config.manager.some(({ address }) => address.kind === "tls") ? dialTls(config, key) : undefined,
    ticketSecret: config.ticketSecret ?? ticketFromFile,
    warnings,
  };
}

type PrivateFileSetting = "managerSecretFile" | "ticketSecretFile" | "managerKey";

function dialTls(config: Config, key: Buffer | undefined): DialTls {
  const { managerKey = "", managerServername } = config;
  const ca = readCertificate(config, "managerCa") ?? getCACertificates("system");
  const cert = readCertificate(config, "managerCert");
  const own = cert === undefined || key === undefined ? {} : { cert, key };
  if (own.cert !== undefined) attempt("managerKey", managerKey, () => checkKey(own.key, own.cert));
  const context = createSecureContext({ ca, ...own, minVersion: MIN_TLS_VERSION });
  return { context, servername: managerServername };
}

function readCertificate(config: Config, name: "managerCa" | "managerCert"): Buffer | undefined {
  const path = config[name];
  if (path === undefined) return undefined;
  const { bytes } = attempt(name, path, () => readPrivateFile(path));
  attempt(name, path, () => checkCertificate(bytes));
  return bytes;
}

function attempt<T>(name: SettingName, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new ConfigError(`${name} (${path}): ${(error as Error).message}`, { cause: error });
  }
}
