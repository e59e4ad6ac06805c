/** Ways to spoil what a client says, drawn from a seed. */

import { clientFrame, Opcode } from "../../front/raw-web.ts";
import type { Random } from "../random.ts";

const NOTHING = Buffer.alloc(0);

/** Spoils bytes in one to three ways. */
export function mutated(random: Random, bytes: Buffer): Buffer {
  let result = bytes;
  for (let left = random.between(1, 3); left > 0; left--) result = random.pick(byteMutations)(random, result);
  return result;
}

type Mutation = (random: Random, bytes: Buffer) => Buffer;

const byteMutations: readonly Mutation[] = [
  flipBit,
  flipBit,
  setByte,
  insert,
  remove,
  duplicate,
  swap,
  hugeLength,
];

function flipBit(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const spoiled = Buffer.from(bytes);
  const at = random.below(bytes.length);
  spoiled[at] = (spoiled[at] ?? 0) ^ (1 << random.below(8));
  return spoiled;
}

function setByte(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const spoiled = Buffer.from(bytes);
  spoiled[random.below(bytes.length)] = random.pick([0, 10, 13, 32, 58, 127, 128, 255]);
  return spoiled;
}

function insert(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const more = random.bytes(random.pick([1, 2, 5, 40]));
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
}

function remove(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const count = random.pick([1, 1, 3, 20]);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]);
}

function duplicate(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const twice = bytes.subarray(at, at + random.pick([1, 4, 30, 300]));
  return Buffer.concat([bytes.subarray(0, at), twice, bytes.subarray(at)]);
}

function swap(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
}

/** Where a length may stand, as large as can be. */
function hugeLength(random: Random, bytes: Buffer): Buffer {
  const spoiled = Buffer.from(bytes);
  const at = random.chance(0.5) ? 0 : random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.pick([1, 2, 4, 8]));
  spoiled.fill(random.pick([0x7f, 0xff]), at, end);
  return spoiled;
}

/** Headers that a request for a WebSocket should not have, or not so, or not twice. */
const oddHeaders: readonly string[] = [
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: 4294967297",
  "Content-Length: -1",
  "Content-Length: 5\r\nContent-Length: 6",
  "Content-Length: 5\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: identity",
  "Expect: 100-continue",
  "Expect: anything",
  "Connection: close",
  "Connection: keep-alive, Upgrade, Upgrade",
  "Upgrade: websocket",
  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Key: short",
  "Sec-WebSocket-Version: 8",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=16",
  "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8; client_max_window_bits",
  "Sec-WebSocket-Extensions: ,,;=",
  "Sec-WebSocket-Extensions:",
  "Sec-WebSocket-Protocol: a, a",
  "Sec-WebSocket-Protocol:",
  "X-Forwarded-For: 203.0.113.9, unknown, ::1",
  "X-Forwarded-For: ,",
  "Origin: null",
  "Host: twice",
  "Trailer: x",
  "Keep-Alive: timeout=0",
  " folded",
  "no colon",
  ": no name",
  "Null: \0",
  `Long: ${"x".repeat(9000)}`,
  `Cookie: ${"a=b; ".repeat(300)}`,
  "Many: 1\r\n".repeat(200).trimEnd(),
];

const oddMethods: readonly string[] = [
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "CONNECT",
  "TRACE",
  "PRI",
  "get",
  "",
];
const oddTargets: readonly string[] = [
  "*",
  "http://game.example/",
  "game.example:443",
  "/?ticket=",
  "/?ticket=%zz&ticket=b",
  `/${"x".repeat(3000)}`,
  "//\\..",
  "/\u00e9",
];
const oddVersions: readonly string[] = ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "HTTP/9.9", "ICY"];

/** A request for a WebSocket that has something odd: a line more, less or twice, another method, target or version. */
export function oddRequest(random: Random, request: string): string {
  const [first = "", ...rest] = request.slice(0, -4).split("\r\n");
  let [method, target, version] = first.split(" ");
  const lines = [...rest];
  for (let left = random.between(1, 3); left > 0; left--) {
    const kind = random.below(10);
    const at = random.below(lines.length + 1);
    if (kind < 5) lines.splice(at, 0, random.pick(oddHeaders));
    else if (kind < 6) lines.splice(at, 1);
    else if (kind < 7) lines.splice(at, 0, lines[at] ?? "");
    else if (kind < 8) method = random.pick(oddMethods);
    else if (kind < 9) target = random.pick(oddTargets);
    else version = random.pick(oddVersions);
  }
  const end = random.chance(0.05) ? "\n\n" : "\r\n\r\n";
  return `${method} ${target} ${version}\r\n${lines.join("\r\n")}${end}`;
}

/** What may follow a request for a WebSocket before that is answered. */
export function earlyBytes(random: Random, request: string): Buffer {
  const kind = random.below(14);
  const payload = random.bytes(random.pick([0, 1, 5, 125, 126, 2000]));
  switch (kind) {
    case 0:
      return Buffer.from(request);
    case 1:
      return Buffer.from("5\r\nhello\r\n0\r\n\r\n");
    case 2:
      return Buffer.from("hello");
    case 3:
      return clientFrame(Opcode.ping, payload.subarray(0, 125));
    case 4:
      return clientFrame(
        Opcode.close,
        random.pick([NOTHING, Buffer.from([3, 232]), Buffer.from([0]), payload]),
      );
    case 5:
      return clientFrame(Opcode.text, payload);
    case 6:
      return clientFrame(Opcode.binary, payload, { fin: false });
    case 7:
      return clientFrame(Opcode.continuation, payload);
    case 8:
      return clientFrame(Opcode.binary, payload, { masked: false });
    case 9:
      return clientFrame(Opcode.binary, payload, { compressed: true });
    case 10:
      return clientFrame(random.below(16), payload, { fin: random.chance(0.5) });
    case 11:
      return Buffer.concat(
        Array.from({ length: random.between(2, 300) }, () => clientFrame(Opcode.ping, "")),
      );
    case 12:
      return Buffer.from([0x82, 0xff, ...random.bytes(8), 1, 2, 3, 4, 5]);
    default:
      return random.bytes(random.below(70_000));
  }
}
