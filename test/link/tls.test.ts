import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkCertificate, checkKey, tlsFailure } from "../../link/tls.ts";
import { Authority, withoutOpenssl } from "../helpers/certificates.ts";

describe("the code of an error", () => {
  const codes: readonly [code: string | undefined, failure: string | undefined][] = [
    ["ERR_TLS_CERT_ALTNAME_INVALID", "tls-wrong-host"],
    ["HOSTNAME_MISMATCH", "tls-wrong-host"],
    ["CERT_HAS_EXPIRED", "tls-expired"],
    ["CERT_NOT_YET_VALID", "tls-expired"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls-untrusted"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "tls-untrusted"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "tls-untrusted"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "tls-untrusted"],
    ["CERT_REVOKED", "tls-untrusted"],
    ["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "tls-no-certificate"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "tls-refused"],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "tls-refused"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "tls-failed"],
    ["ERR_TLS_HANDSHAKE_TIMEOUT", "tls-failed"],
    ["EPROTO", "tls-failed"],
    ["ECONNRESET", undefined],
    ["ECONNREFUSED", undefined],
    ["ENOENT", undefined],
    ["ERR_STREAM_PREMATURE_CLOSE", undefined],
    [undefined, undefined],
  ];
  for (const [code, failure] of codes) {
    test(`${code} is ${failure ?? "not of TLS"}`, () => {
      assert.equal(tlsFailure(Object.assign(new Error("failed"), { code })), failure);
    });
  }
});

describe("files of TLS", { skip: withoutOpenssl }, () => {
  test("are taken when they are what they should be, and refused when not", (t) => {
    const authority = new Authority(t);
    const { cert, key } = authority.issue();
    checkCertificate(cert);
    checkCertificate(String(cert));
    checkKey(key, cert);
    checkKey(String(key), cert);
    for (const pem of ["", "nonsense", key])
      assert.throws(() => checkCertificate(pem), { message: "is not a certificate in PEM" });
    for (const pem of ["", "nonsense", cert])
      assert.throws(() => checkKey(pem, cert), {
        message: "is not a private key in PEM without a passphrase",
      });
    const message = "does not belong to the certificate";
    assert.throws(() => checkKey(authority.issue().key, cert), { message });
  });
});
