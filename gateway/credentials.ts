/**
 * What protects the link, out of the files that the configuration names: the shared secret, and the certificates
 * of TLS. They are read once, at the start, so that a wrong one is known then.
 */

import { createSecureContext, getCACertificates } from "node:tls";
import { Secret } from "../link/secret.ts";
import { checkCertificate, checkKey, MIN_TLS_VERSION } from "../link/tls.ts";
import { readPrivateFile, withoutLineEnd } from "../process/private-file.ts";
import { type Config, ConfigError, type SettingName } from "./config.ts";
import type { DialTls } from "./links/dial.ts";

export interface Credentials {
  readonly secret: Secret | undefined;
  /** For a manager over TLS, and for no other. */
  readonly tls: DialTls | undefined;
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
  const { managerSecret, managerSecretFile, managerKey } = config;
  const readSecret = (name: SettingName, path: string): Buffer => {
    const { bytes, warning } = attempt(name, path, () => readPrivateFile(path));
    if (warning !== undefined) warnings.push(`${name}: ${warning}`);
    return bytes;
  };
  const secret =
    managerSecretFile === undefined
      ? managerSecret
      : attempt("managerSecretFile", managerSecretFile, () => {
          return new Secret(withoutLineEnd(readSecret("managerSecretFile", managerSecretFile)));
        });
  const key = managerKey === undefined ? undefined : readSecret("managerKey", managerKey);
  return { secret, tls: config.manager.kind === "tls" ? dialTls(config, key) : undefined, warnings };
}

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
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${name} (${path}): ${(error as Error).message}`, { cause: error });
  }
}
