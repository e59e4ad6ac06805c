import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../gateway/transports/crc32c.ts";
import {
  MAX_PROXY_HEADER_BYTES,
  type ProxyHeader,
  type ProxyVersions,
  readProxyHeader,
} from "../../gateway/transports/proxy-protocol.ts";
import { hex } from "../proto/support.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
/** 203.0.113.7:56324 to 198.51.100.1:443. */
const IPV4 = "cb007107 c6336401 dc04 01bb";
/** [2001:db8::7]:40000 to [2001:db8::1]:443. */
const IPV6 = "20010db8000000000000000000000007 20010db8000000000000000000000001 9c40 01bb";
const V4_HEADER = `${SIGNATURE} 21 11 000c ${IPV4}`;
const V6_HEADER = `${SIGNATURE} 21 21 0024 ${IPV6}`;
/**
 * From an independent writer: NOOP, CRC32C, AUTHORITY, SSL with a version, a cipher and a common name, then
 * one type of an application's own and a UNIQUE_ID.
 */
const TLS_HEADER = `${SIGNATURE} 21 11 0067 ${IPV4}
  04 0005 0000000000  03 0004 4cf5e180  02 000c 706c61792e6578616d706c65
  20 002f 03 00000000 21 0007 544c5376312e33 23 0016 544c535f4145535f3132385f47434d5f534841323536
    22 0004 5a6fc3ab
  e0 0003 6f776e  05 0002 6964`;

const game = Buffer.from("HELLO, what the client says\r\n");

function header(bytes: Buffer, accepted: ProxyVersions = "any"): ProxyHeader {
  const reading = readProxyHeader(bytes, accepted);
  assert.ok(typeof reading === "object" && "local" in reading, JSON.stringify(reading));
  return reading;
}

function fault(bytes: Buffer, accepted: ProxyVersions = "any"): string {
  const reading = readProxyHeader(bytes, accepted);
  assert.ok(
    typeof reading === "object" && "fault" in reading,
    `${JSON.stringify(bytes.toString("latin1"))} is ${JSON.stringify(reading)}`,
  );
  return reading.fault;
}

const text = (line: string) => Buffer.from(line, "latin1");

/** A header of version 2 whose announced length is that of its body. */
function v2(versionAndCommand: string, kind: string, body: string): Buffer {
  const bytes = hex(`${SIGNATURE} ${versionAndCommand} ${kind} 0000 ${body}`);
  bytes.writeUInt16BE(bytes.length - 16, 14);
  return bytes;
}

function tlv(type: string, value: string): string {
  return type + hex(value).length.toString(16).padStart(4, "0") + value;
}

describe("the PROXY protocol", () => {
  for (const [title, bytes, expected] of [
    [
      "version 1 over IPv4",
      text("PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n"),
      { local: false, address: "203.0.113.7", port: 56324 },
    ],
    [
      "version 1 over IPv6",
      text("PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8::1 40000 443\r\n"),
      { local: false, address: "2001:db8::7", port: 40000 },
    ],
    [
      "version 1, an IPv4 address in IPv6",
      text("PROXY TCP6 ::ffff:203.0.113.7 ::1 0 65535\r\n"),
      { local: false, address: "203.0.113.7", port: 0 },
    ],
    [
      "version 1, its longest addresses",
      text(`PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`),
      { local: false, address: `${"ffff:".repeat(7)}ffff`, port: 65535 },
    ],
    ["version 1, unknown", text("PROXY UNKNOWN\r\n"), { local: true, address: "", port: 0 }],
    [
      "version 1, unknown, its longest line",
      text(`PROXY UNKNOWN ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`),
      { local: true, address: "", port: 0 },
    ],
    ["version 2 over IPv4", hex(V4_HEADER), { local: false, address: "203.0.113.7", port: 56324 }],
    ["version 2 over IPv6", hex(V6_HEADER), { local: false, address: "2001:db8::7", port: 40000 }],
    [
      "version 2, an IPv4 address in IPv6",
      v2("21", "21", `00000000000000000000ffffcb007107 ${"00".repeat(16)} 0001 0002`),
      { local: false, address: "203.0.113.7", port: 1 },
    ],
    [
      "version 2 over a Unix socket",
      v2("21", "31", "2f".repeat(216)),
      { local: false, address: "", port: 0 },
    ],
    ["version 2, local, nothing else", v2("20", "00", ""), { local: true, address: "", port: 0 }],
    [
      "version 2, local, with a block that is ignored",
      v2("20", "ff", "0a0b0c0d"),
      { local: true, address: "", port: 0 },
    ],
    ["version 2, proxied but unspecified", v2("21", "00", "0a0b0c0d"), { local: true, address: "", port: 0 }],
  ] as const) {
    test(`${title}: is read, and every beginning of it asks for more`, () => {
      assert.deepEqual(header(bytes), { ...expected, tls: undefined, headerBytes: bytes.length });
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(readProxyHeader(bytes.subarray(0, length), "any"), "more", `${length} bytes`);
      }
      assert.deepEqual(header(Buffer.concat([bytes, game])), header(bytes));
      const own: ProxyVersions = title.startsWith("version 1") ? "v1" : "v2";
      assert.deepEqual(header(bytes, own), header(bytes));
      fault(bytes.subarray(0, 1), own === "v1" ? "v2" : "v1");
    });
  }

  test("tells of the client's TLS what the proxy tells", () => {
    const bytes = hex(TLS_HEADER);
    assert.deepEqual(header(Buffer.concat([bytes, game])), {
      local: false,
      address: "203.0.113.7",
      port: 56324,
      tls: { version: "TLSv1.3", sni: "play.example", clientCertificate: "Zoë" },
      headerBytes: bytes.length,
    });
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(readProxyHeader(bytes.subarray(0, length), "any"), "more");
    }
  });

  test("never waits longer than for the longest header", () => {
    const longest = v2("21", "11", `${IPV4} ${tlv("04", "00".repeat(2048 - 12 - 3))}`);
    assert.equal(longest.length, MAX_PROXY_HEADER_BYTES);
    assert.equal(header(longest).headerBytes, MAX_PROXY_HEADER_BYTES);
    for (let length = 0; length < longest.length; length++) {
      assert.equal(readProxyHeader(longest.subarray(0, length), "v2"), "more", `${length} bytes`);
    }
    assert.match(fault(hex(`${SIGNATURE} 21 11 0801`)), /too long/);
    assert.match(fault(hex(`${SIGNATURE} 20 00 09`)), /too long/);
  });
});

describe("a PROXY header of version 1", () => {
  for (const line of [
    "proxy TCP4 1.2.3.4 1.2.3.4 1 2",
    "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2",
    "PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2",
    " PROXY TCP4 1.2.3.4 1.2.3.4 1 2",
    "PROXY TCP4  1.2.3.4 1.2.3.4 1 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 ",
    "PROXY TCP4",
    "PROXY",
    "PROXY ",
    "PROXY TCP5 1.2.3.4 1.2.3.4 1 2",
    "PROXY UDP4 1.2.3.4 1.2.3.4 1 2",
    "PROXY constructor",
    "PROXY __proto__ a",
    "PROXY UNKNOWNS",
    "PROXY UNKNOWN \0",
    "PROXY UNKNOWN \xe9",
    "PROXY TCP4 1.2.3.4 1.2.3.4 01 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 02",
    "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 100000",
    "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1e2 2",
    "PROXY TCP4 1.2.3.4 1.2.3.4 \xb2 2",
    "PROXY TCP4 1.2.3 1.2.3.4 1 2",
    "PROXY TCP4 1.2.3.4 1.2.3 1 2",
    "PROXY TCP4 1.2.3.256 1.2.3.4 1 2",
    "PROXY TCP4 01.2.3.4 1.2.3.4 1 2",
    "PROXY TCP4 0x1.2.3.4 1.2.3.4 1 2",
    "PROXY TCP4 ::1 ::1 1 2",
    "PROXY TCP6 1.2.3.4 1.2.3.4 1 2",
    "PROXY TCP6 ::1 1.2.3.4 1 2",
    "PROXY TCP6 1::2::3 ::1 1 2",
    "PROXY TCP6 fe80::1%eth0 ::1 1 2",
    "PROXY TCP6 [::1] ::1 1 2",
    "PROXY TCP6 12345:: ::1 1 2",
    "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2",
  ]) {
    test(`is not ${JSON.stringify(line)}`, () => {
      fault(text(`${line}\r\n`));
      fault(Buffer.concat([text(`${line}\r\n`), game]));
    });
  }

  test("ends with a return and a line feed, and nothing less", () => {
    const line = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2";
    fault(text(`${line}\n`));
    fault(text(`${line}\r.`));
    fault(text(`${line}\rx\r\n`));
    fault(text("PROXY UNKNOWN\n"));
    fault(text("PROXY UNKNOWN some\nthing\r\n"));
    assert.equal(readProxyHeader(text(`${line}\r`), "any"), "more");
  });

  test("ends within 107 bytes", () => {
    const begun = `PROXY UNKNOWN ${"x".repeat(91)}`;
    assert.equal(begun.length, 105);
    assert.equal(header(text(`${begun}\r\n`)).headerBytes, 107);
    assert.equal(readProxyHeader(text(begun), "any"), "more");
    fault(text(`${begun}x`));
    fault(text(`${begun}x\r\n`));
  });

  test("is refused at the first byte that can't be part of one", () => {
    for (const [good, bad] of [
      ["", "G"],
      ["PROX", "X"],
      ["PROXY", "\r"],
      ["PROXY T", "X"],
      ["PROXY TCP4", "4"],
      ["PROXY UNKNOWN", "S"],
      ["PROXY TCP4 25", "6"],
      ["PROXY TCP4 0", "1"],
      ["PROXY TCP4 1.2.3.4", "."],
      ["PROXY TCP4 1.2.3", " "],
      ["PROXY TCP4 1.2.3.4 5.6.7.8 ", " "],
      ["PROXY TCP4 1.2.3.4 5.6.7.8 6553", "6"],
      ["PROXY TCP4 1.2.3.4 5.6.7.8 0", "0"],
      ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2", " "],
      ["PROXY TCP4 1.2.3.4 5.6.7.8 1 ", "\r"],
      ["PROXY TCP6 2001", "1"],
      ["PROXY TCP6 1::2:", ":"],
      ["PROXY TCP6 1:2:3:4:5:6:7:8", ":"],
      ["PROXY TCP6 fe80::1", "%"],
    ] as const) {
      assert.equal(readProxyHeader(text(good), "any"), "more", good);
      fault(text(good + bad));
    }
  });
});

describe("a PROXY header of version 2", () => {
  test("has every byte of its signature right", () => {
    for (let at = 0; at < 12; at++) {
      for (const bytes of [hex(V4_HEADER), hex(V4_HEADER).subarray(0, at + 1)]) {
        for (const flip of [0x01, 0x20, 0x80]) {
          const corrupt = Buffer.from(bytes);
          corrupt[at] = (corrupt[at] ?? 0) ^ flip;
          fault(corrupt);
        }
      }
    }
  });

  for (const [title, begun] of [
    ["version 1", "11"],
    ["version 3", "31"],
    ["an unknown command", "22"],
    ["datagrams over IPv4", "21 12"],
    ["datagrams over IPv6", "21 22"],
    ["datagrams over a Unix socket", "21 32"],
    ["an unknown family", "21 41"],
    ["an unknown protocol", "21 13"],
    ["a family without a protocol", "21 10"],
    ["a protocol without a family", "21 01"],
    ["no room for IPv4", "21 11 000b"],
    ["no room for IPv6", "21 21 0023"],
    ["no room for a Unix socket's addresses", "21 31 00d7"],
  ] as const) {
    test(`is not of ${title}, which its first bytes tell`, () => {
      const bytes = hex(`${SIGNATURE} ${begun}`);
      fault(bytes);
      assert.equal(readProxyHeader(bytes.subarray(0, -1), "any"), "more");
    });
  }

  for (const [title, tlvs] of [
    ["that overruns the header", "04 0003 0000"],
    ["that is cut in its length", "04 00"],
    ["that is cut behind its type", "04"],
    ["of a TLS client that is too short", tlv("20", "01000000")],
    ["inside another that overruns it", tlv("20", "0100000000 21 0008 544c5376312e33")],
    ["of a server name that comes twice", tlv("02", "61") + tlv("02", "62")],
    ["of a server name that is not UTF-8", tlv("02", "ff")],
    ["of a server name with a control character", tlv("02", "610a62")],
    ["of a checksum with three bytes", tlv("03", "000000")],
    ["of a wrong checksum", tlv("03", "00000000")],
  ] as const) {
    test(`has no value ${title}`, () => {
      assert.notEqual(fault(v2("21", "11", IPV4 + tlvs)), "");
    });
  }

  test("has a checksum that holds for every bit of it, or none", () => {
    const bytes = hex(TLS_HEADER);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const corrupt = Buffer.from(bytes);
      corrupt[bit >> 3] = (corrupt[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const reading = readProxyHeader(corrupt, "any");
      // A type that is changed leaves no checksum, a length announces more than is there, a command is local.
      if (reading === "more" || "fault" in reading) continue;
      const checked = corrupt.subarray(36, 39).equals(hex("030004"));
      assert.ok(!checked || reading.local, `bit ${bit}`);
    }
  });

  test("tells a certificate's name only when the proxy has verified it", () => {
    const certificate = (client: string, verify: string) => {
      const value = `${client} ${verify} ${tlv("22", "416e6e")} ${tlv("21", "544c53")}`;
      return header(v2("21", "11", IPV4 + tlv("20", value))).tls;
    };
    const name = { version: "TLS", sni: undefined, clientCertificate: "Ann" };
    assert.deepEqual(certificate("03", "00000000"), name);
    assert.deepEqual(certificate("05", "00000000"), name);
    assert.deepEqual(certificate("03", "00000001"), { ...name, clientCertificate: undefined });
    assert.deepEqual(certificate("01", "00000000"), { ...name, clientCertificate: undefined });
    assert.equal(certificate("00", "00000001"), undefined);
  });

  test("may tell a server name and nothing else of TLS", () => {
    const { tls } = header(v2("21", "21", IPV6 + tlv("02", "612e62")));
    assert.deepEqual(tls, { version: undefined, sni: "a.b", clientCertificate: undefined });
  });
});

describe("whatever bytes come", () => {
  const check = (bytes: Buffer) => {
    for (const accepted of ["v1", "v2", "any"] as const) {
      const reading = readProxyHeader(bytes, accepted);
      if (reading === "more") assert.ok(bytes.length < MAX_PROXY_HEADER_BYTES);
      else if ("fault" in reading) assert.match(reading.fault, /^[ -~]+$/);
      else assert.ok(reading.headerBytes <= bytes.length);
      // What was refused stays refused, and what was read stays as it was.
      const more = readProxyHeader(Buffer.concat([bytes, game]), accepted);
      if (reading !== "more") assert.deepEqual(more, reading);
    }
  };
  const anything = fc.uint8Array({ maxLength: 200 }).map((values) => Buffer.from(values));

  test("nothing is thrown, and a verdict stays", () => {
    fc.assert(fc.property(anything, check), { seed: 7303, numRuns: 500 });
  });

  test("nothing is thrown behind a signature", () => {
    const begun = fc.constantFrom("2111", "2121", "2131", "2100", "2011", "2111 0050", "2121 0060");
    const build = (start: string, rest: Buffer) => Buffer.concat([hex(`${SIGNATURE}${start}`), rest]);
    fc.assert(
      fc.property(begun, anything, (start, rest) => check(build(start, rest))),
      { seed: 7304, numRuns: 500 },
    );
  });

  test("nothing is thrown for type-length-values of any kind", () => {
    const value = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.constant(hex("0100000000 220001 41")));
    const type = fc.constantFrom(0x02, 0x03, 0x04, 0x20, 0x21, 0xe0);
    const values = fc.array(fc.tuple(type, value, fc.integer({ min: -1, max: 1 }), fc.nat(9)), {
      maxLength: 5,
    });
    const build = (given: readonly [number, Uint8Array, number, number][]) => {
      const parts = given.map(([kind, bytes, off, lie]) => {
        const length = Math.max(0, bytes.length + (lie === 0 ? off : 0));
        return Buffer.concat([Buffer.of(kind, length >> 8, length & 0xff), bytes]);
      });
      return v2("21", "11", IPV4 + Buffer.concat(parts).toString("hex"));
    };
    fc.assert(
      fc.property(values, (given) => check(build(given))),
      { seed: 7305, numRuns: 500 },
    );
  });

  test("a good line with one byte changed is never read as another client without being valid", () => {
    const line = text("PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n");
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(line);
        changed[at] = byte;
        check(changed);
        const reading = readProxyHeader(changed, "v1");
        if (reading === "more" || "fault" in reading) return;
        assert.ok(changed.toString("latin1").startsWith(`PROXY TCP4 ${reading.address} `));
      }),
      { seed: 7306, numRuns: 500 },
    );
  });
});

describe("the checksum", () => {
  test("is CRC32C", () => {
    // The check value of the parameters' catalogue, and the vectors of RFC 7143, appendix A.4.
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.alloc(0)), 0);
  });

  test("goes on where it was", () => {
    const bytes = Buffer.from("123456789");
    assert.equal(crc32c(bytes.subarray(4), crc32c(bytes.subarray(0, 4))), 0xe3069283);
  });
});
