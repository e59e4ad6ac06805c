/**
 * TLS on a link, the same for both sides: the oldest version that is spoken, what may stand in the files, and a
 * stable code for each way in which it can fail, whatever the TLS library calls it.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";

/** The oldest version of TLS that a link speaks. */
export const MIN_TLS_VERSION = "TLSv1.2";

/** Text or bytes of a PEM file. */
export type Pem = string | Buffer;

/** How TLS failed; see docs/errors.md. */
export const tlsFailures = [
  "tls-untrusted",
  "tls-expired",
  "tls-wrong-host",
  "tls-no-certificate",
  "tls-refused",
  "tls-failed",
] as const;
export type TlsFailure = (typeof tlsFailures)[number];

/**
 * The code of an error that a TLS stream ended with; undefined when TLS was not the reason.
 *
 * Certificates fail with OpenSSL's verification codes. Unlike the system's, their names have underscores.
 */
export function tlsFailure(error: Error): TlsFailure | undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") return "tls-wrong-host";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return "tls-expired";
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "tls-no-certificate";
  if (code.startsWith("ERR_SSL_") && code.includes("_ALERT_")) return "tls-refused";
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO") return "tls-failed";
  return code.includes("_") && !code.startsWith("ERR_") ? "tls-untrusted" : undefined;
}

/** @throws Error whose message says what `pem` is not */
export function checkCertificate(pem: Pem): void {
  try {
    new X509Certificate(pem);
  } catch (cause) {
    throw new Error("is not a certificate in PEM", { cause });
  }
}

/** @throws Error whose message says what is wrong with the key, or that it is another certificate's */
export function checkKey(key: Pem, certificate: Pem): void {
  let fits: boolean;
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new Error("is not a private key in PEM without a passphrase", { cause });
  }
  if (!fits) throw new Error("does not belong to the certificate");
}
