/** PROXY headers, true ones and others (the PROXY protocol of HAProxy, versions 1 and 2). */

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** A header of version 2 for TCP over IPv4, with what its fields say. */
export function version2({ announced, command = 0x21, tail = Buffer.alloc(0) }: Version2): Buffer {
  const addresses = Buffer.from([10, 9, 9, 9, 10, 0, 0, 1, 0x30, 0x39, 0x1c, 0x84]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(announced ?? addresses.length + tail.length);
  return Buffer.concat([SIGNATURE, Buffer.from([command, 0x11]), length, addresses, tail]);
}

export interface Version2 {
  /** What is announced as the length; by default the truth. */
  readonly announced?: number;
  /** The version and the command. */
  readonly command?: number;
  /** What stands behind the addresses. */
  readonly tail?: Buffer;
}

export const version1 = Buffer.from("PROXY TCP4 10.9.9.9 10.0.0.1 12345 7300\r\n");

/** What is refused at once, even of a proxy that is believed, by name. */
export const wrongHeaders: Readonly<Record<string, Buffer>> = {
  garbage: Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
  "v1-too-long": Buffer.from(`PROXY TCP4 ${"1".repeat(200)}`),
  "v1-no-address": Buffer.from("PROXY TCP4 999.9.9.9 10.0.0.1 12345 7300\r\n"),
  "v1-bad-port": Buffer.from("PROXY TCP4 10.9.9.9 10.0.0.1 123456 7300\r\n"),
  "v2-too-long": version2({ announced: 65_535, tail: Buffer.alloc(4096) }),
  "v2-bad-version": version2({ command: 0x31 }),
  "v2-bad-command": version2({ command: 0x2f }),
  "v2-too-short": version2({ announced: 4 }),
  "v2-bad-tlv": version2({ tail: Buffer.from([0x03, 0xff, 0xff, 1]) }),
};

/** What says too little, and then no more. */
export const truncatedHeaders: Readonly<Record<string, Buffer>> = {
  "v1-cut": version1.subarray(0, 20),
  "v2-cut": version2({}).subarray(0, 20),
};
