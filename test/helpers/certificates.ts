/** Certificates of the test's own, made by the `openssl` command: an authority, and whoever it signs for. */

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryDirectory } from "./rig.ts";

/** Why tests with certificates are skipped; false where they can run. */
export const withoutOpenssl =
  spawnSync("openssl", ["version"]).status === 0 ? false : "the openssl command is not there";

/** A certificate and its key: where they lie, and what is in them. */
export interface Identity {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface Issue {
  /** As openssl takes them: `DNS:manager.test`, `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  /** Its time is over. */
  readonly expired?: boolean;
}

const LOOPBACK = ["IP:127.0.0.1", "DNS:localhost"];
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const VALID = ["-days", "2"];
const OVER = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"];

function openssl(directory: string, ...args: readonly string[]): void {
  execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
}

export class Authority {
  /** Where its certificate lies. */
  readonly file: string;
  readonly cert: Buffer;
  readonly #directory: string;
  #issued = 0;

  constructor(t: TestContext) {
    this.#directory = temporaryDirectory(t);
    this.file = join(this.#directory, "ca.pem");
    const out = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"];
    openssl(this.#directory, "req", "-x509", ...NEW_KEY, ...out, ...VALID);
    this.cert = readFileSync(this.file);
    const config =
      "[ca]\ndefault_ca=ca\ndatabase=db\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n";
    writeFileSync(
      join(this.#directory, "ca.conf"),
      `${config}copy_extensions=copy\n[any]\ncommonName=supplied\n`,
    );
    writeFileSync(join(this.#directory, "db"), "");
    writeFileSync(join(this.#directory, "serial"), "1000\n");
  }

  /** Signs a certificate, for loopback unless it is told for whom. */
  issue({ names = LOOPBACK, expired = false }: Issue = {}): Identity {
    const name = `issued-${this.#issued++}`;
    const certFile = join(this.#directory, `${name}.pem`);
    const keyFile = join(this.#directory, `${name}.key`);
    const request = `${name}.csr`;
    const asked = ["-addext", `subjectAltName=${names.join(",")}`, "-subj", `/CN=${name}`, "-out", request];
    openssl(this.#directory, "req", "-new", ...NEW_KEY, "-keyout", keyFile, ...asked);
    const signer = ["-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"];
    const time = expired ? OVER : VALID;
    openssl(this.#directory, "ca", ...signer, "-in", request, "-out", certFile, ...time);
    return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
  }
}
