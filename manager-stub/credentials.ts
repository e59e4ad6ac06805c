/**
 * What protects the stand-alone manager's link, out of its environment and the files that its flags name. A
 * secret is never a flag: every user of a machine sees the command lines of all.
 */

import { MIN_SECRET_BYTES } from "../link/secret.ts";
import { readPrivateFile, withoutLineEnd } from "../process/private-file.ts";
import type { ManagerTlsOptions } from "./link-server.ts";

/** The environment variable of the secret, the same as a gateway's. */
export const SECRET_VARIABLE = "SIDEGATE_MANAGER_SECRET";

/** The files that the flags name. */
export interface CredentialFlags {
  readonly secretFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
}

export interface Credentials {
  readonly secret?: string | Buffer;
  readonly tls?: ManagerTlsOptions;
  /** For the log: files that more people can read than should. */
  readonly warnings: readonly string[];
}

/** A command line, or what it names, is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads what protects the link.
 *
 * @throws UsageError for a file that can't be read, a secret that is too short, and flags that lack each other
 */
export function readCredentials(flags: CredentialFlags, env: NodeJS.ProcessEnv): Credentials {
  const warnings: string[] = [];
  const secret = readSecret(flags.secretFile, env[SECRET_VARIABLE], warnings);
  const tls = readTls(flags, warnings);
  return { ...(secret !== undefined && { secret }), ...(tls !== undefined && { tls }), warnings };
}

function readSecret(
  file: string | undefined,
  variable: string | undefined,
  warnings: string[],
): string | Buffer | undefined {
  if (file !== undefined && variable !== undefined) {
    throw new UsageError(`--secret-file and ${SECRET_VARIABLE} are both set; set one of them`);
  }
  const secret = file === undefined ? variable : withoutLineEnd(read("--secret-file", file, warnings));
  if (secret !== undefined && Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    const where = file === undefined ? SECRET_VARIABLE : `--secret-file ${file}`;
    throw new UsageError(`${where}: a secret must have at least ${MIN_SECRET_BYTES} bytes`);
  }
  return secret;
}

function readTls(
  { tlsCert, tlsKey, tlsClientCa }: CredentialFlags,
  warnings: string[],
): ManagerTlsOptions | undefined {
  if (tlsCert === undefined || tlsKey === undefined) {
    if (tlsCert === tlsKey && tlsClientCa === undefined) return undefined;
    throw new UsageError("TLS needs both --tls-cert and --tls-key");
  }
  // Certificates are there to be shown; only the key is private.
  const cert = read("--tls-cert", tlsCert, []);
  const key = read("--tls-key", tlsKey, warnings);
  return tlsClientCa === undefined
    ? { cert, key }
    : { cert, key, ca: read("--tls-client-ca", tlsClientCa, []) };
}

function read(flag: string, path: string, warnings: string[]): Buffer {
  try {
    const { bytes, warning } = readPrivateFile(path);
    if (warning !== undefined) warnings.push(`${flag}: ${warning}`);
    return bytes;
  } catch (error) {
    throw new UsageError(`${flag}: ${(error as Error).message}`, { cause: error });
  }
}
