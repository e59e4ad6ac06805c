import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  bareHost,
  formatLinkUrl,
  type LinkAddress,
  MAX_UNIX_PATH_BYTES,
  parseLinkUrl,
} from "../../proto/link-url.ts";

const addresses: readonly [string, LinkAddress][] = [
  ["unix:/run/manager.sock", { kind: "unix", path: "/run/manager.sock" }],
  ["unix:run/manager.sock", { kind: "unix", path: "run/manager.sock" }],
  ["unix:./a b#c?d.sock", { kind: "unix", path: "./a b#c?d.sock" }],
  ["tcp://127.0.0.1:7380", { kind: "tcp", host: "127.0.0.1", port: 7380 }],
  ["tcp://manager.example:1", { kind: "tcp", host: "manager.example", port: 1 }],
  ["tcp://127.0.0.1:0", { kind: "tcp", host: "127.0.0.1", port: 0 }],
  ["tls://manager.example:7390", { kind: "tls", host: "manager.example", port: 7390 }],
  ["tls://[::1]:7390", { kind: "tls", host: "::1", port: 7390 }],
  ["tcp://[::1]:65535", { kind: "tcp", host: "::1", port: 65_535 }],
];

describe("addresses of links", () => {
  for (const [url, address] of addresses) {
    test(`${url} is read, and written as it was`, () => {
      assert.deepEqual(parseLinkUrl(url), address);
      assert.equal(formatLinkUrl(address), url);
    });
  }

  test("unix:///path is the same as unix:/path", () => {
    assert.deepEqual(parseLinkUrl("unix:///run/m.sock"), { kind: "unix", path: "/run/m.sock" });
  });

  test("a slash behind the port says nothing", () => {
    assert.deepEqual(parseLinkUrl("tcp://127.0.0.1:7380/"), { kind: "tcp", host: "127.0.0.1", port: 7380 });
    assert.deepEqual(parseLinkUrl("tls://127.0.0.1:7380/"), { kind: "tls", host: "127.0.0.1", port: 7380 });
  });

  test("a path may have as many bytes as a socket's address takes, and no more", () => {
    const longest = `/${"p".repeat(MAX_UNIX_PATH_BYTES - 1)}`;
    assert.deepEqual(parseLinkUrl(`unix:${longest}`), { kind: "unix", path: longest });
    assert.throws(() => parseLinkUrl(`unix:${longest}p`), /is longer than the 107 bytes/);
    assert.throws(() => parseLinkUrl(`unix:/${"é".repeat(54)}`), /is longer than the 107 bytes/);
  });

  test("an address without a path is refused, and told what is wanted", () => {
    assert.throws(() => parseLinkUrl("unix:"), /'unix:' names no path; use unix:\/path\/to.sock/);
  });

  for (const url of [
    "",
    "manager",
    "/run/manager.sock",
    "127.0.0.1:7380",
    "localhost:7380",
    "tcp:",
    "tcp://",
    "tcp://127.0.0.1",
    "tcp://:7380",
    "tcp://127.0.0.1:",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:seven",
    "tcp://::1:7380",
    "tcp://user@127.0.0.1:7380",
    "tcp://127.0.0.1:7380/path",
    "tcp://127.0.0.1:7380?name=a",
    "tcp://127.0.0.1:7380#a",
    "tls://127.0.0.1",
    "tls://:7390",
    "tls://user@127.0.0.1:7390",
    "tls://127.0.0.1:7390?name=a",
    "tlsx://127.0.0.1:7390",
    "http://127.0.0.1:7380",
    "UNIX:/run/m.sock",
  ]) {
    test(`'${url}' is refused, and told what is wanted`, () => {
      const message = `'${url}' is not a link address; use unix:/path, tcp://host:port or tls://host:port`;
      assert.throws(() => parseLinkUrl(url), { message });
    });
  }

  test("only brackets are taken off a host", () => {
    assert.deepEqual(["[::1]", "::1", "host"].map(bareHost), ["::1", "::1", "host"]);
  });
});
