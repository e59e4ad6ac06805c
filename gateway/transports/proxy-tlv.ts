/**
 * The type-length-values behind the addresses of a PROXY header, as far as they are of use: the checksum,
 * and what is told of the client's TLS. A known one may come once: of two, nobody could say which counts.
 */

import { isUtf8 } from "node:buffer";
import type { ProxyTls } from "./proxy-header.ts";

/** Values that break the specification. */
export class TlvFault extends Error {
  override readonly name = "TlvFault";
}

const Type = { authority: 0x02, crc32c: 0x03, ssl: 0x20, sslVersion: 0x21, sslCommonName: 0x22 } as const;

/** Bits of the client field: it speaks TLS; it showed a certificate, now or earlier in its TLS session. */
const CLIENT_TLS = 0x01;
const CLIENT_CERTIFICATE = 0x02 | 0x04;
/** Bytes of the client field and the verification's result before the values inside. */
const SSL_FIXED_BYTES = 5;

export interface Tlvs {
  /** Where in the header the checksum's four bytes are; undefined when it has none. */
  readonly checksumAt: number | undefined;
  readonly tls: ProxyTls | undefined;
}

interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads what stands from `start` to the end of a header.
 *
 * @throws TlvFault for a value that overruns, comes twice or is malformed
 */
export function readTlvs(header: Buffer, start: number): Tlvs {
  const places = walk(header, start, header.length, [Type.authority, Type.crc32c, Type.ssl]);
  const checksum = places.get(Type.crc32c);
  if (checksum !== undefined && checksum.end - checksum.start !== 4) {
    throw new TlvFault("a checksum that is not 4 bytes");
  }
  const sni = textAt(header, places.get(Type.authority));
  const ssl = places.get(Type.ssl);
  const tls = ssl === undefined ? withoutSsl(sni) : readSsl(header, ssl, sni);
  return { checksumAt: checksum?.start, tls };
}

function withoutSsl(sni: string | undefined): ProxyTls | undefined {
  return sni === undefined ? undefined : { version: undefined, sni, clientCertificate: undefined };
}

function readSsl(header: Buffer, { start, end }: Place, sni: string | undefined): ProxyTls | undefined {
  if (end - start < SSL_FIXED_BYTES) throw new TlvFault("a TLS value that is too short");
  const client = header[start] ?? 0;
  const verified = header.readUInt32BE(start + 1) === 0 && (client & CLIENT_CERTIFICATE) !== 0;
  const inner = walk(header, start + SSL_FIXED_BYTES, end, [Type.sslVersion, Type.sslCommonName]);
  const version = textAt(header, inner.get(Type.sslVersion));
  const commonName = textAt(header, inner.get(Type.sslCommonName));
  if ((client & CLIENT_TLS) === 0) return undefined;
  return { version, sni, clientCertificate: verified ? commonName : undefined };
}

/** Where the values of the types that are looked for lie; the others are passed over. */
function walk(header: Buffer, start: number, end: number, known: readonly number[]): Map<number, Place> {
  const places = new Map<number, Place>();
  let offset = start;
  while (offset < end) {
    if (end - offset < 3) throw new TlvFault("a value that is cut");
    const type = header[offset] ?? 0;
    const valueStart = offset + 3;
    offset = valueStart + header.readUInt16BE(offset + 1);
    if (offset > end) throw new TlvFault("a value that overruns");
    if (!known.includes(type)) continue;
    if (places.has(type)) throw new TlvFault("a value that comes twice");
    places.set(type, { start: valueStart, end: offset });
  }
  return places;
}

/** Text that ends up in logs and reports: UTF-8, and no control characters. */
function textAt(header: Buffer, place: Place | undefined): string | undefined {
  if (place === undefined) return undefined;
  const bytes = header.subarray(place.start, place.end);
  const text = bytes.toString();
  if (!isUtf8(bytes) || /\p{Cc}/u.test(text)) throw new TlvFault("a value that is not text");
  return text;
}
