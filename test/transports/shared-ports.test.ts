import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import { settlePorts } from "../../gateway/transports/shared-ports.ts";
import { startFront } from "../front/support.ts";
import { freePort } from "../helpers/pm2.ts";
import { readPaths } from "../helpers/poller.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((one) =>
  one?.some(({ address }) => address === "::1"),
);

function settle(...urls: string[]) {
  return settlePorts(urls.map((url) => parseListenAddress(url)));
}

describe("listeners on every address", () => {
  for (const { readPath, skip } of readPaths) {
    test(`of both families share a port: ${readPath}`, { skip: hasIpv6 ? skip : "no IPv6" }, async (t) => {
      const port = await freePort();
      const urls = [`tcp://[::]:${port}`, `tcp://0.0.0.0:${port}`];
      const front = await startFront(t, urls, { settings: { readPath } });
      await front.dial(`tcp-${port}`, "127.0.0.1");
      const four = await front.joined(1);
      await front.dial(`tcp-${port}`, "::1");
      const six = await front.joined(2);
      assert.deepEqual([four.listener, four.addr], [`tcp-${port}`, "127.0.0.1"]);
      assert.deepEqual([six.listener, six.addr], [`tcp-${port}-ipv6`, "::1"]);
    });
  }

  test("of IPv6 takes IPv4 too where nobody else has it", { skip: !hasIpv6 && "no IPv6" }, async (t) => {
    const front = await startFront(t, "tcp://[::]:0?name=both");
    await front.dial("both", "127.0.0.1");
    assert.equal((await front.joined(1)).addr, "127.0.0.1");
    await front.dial("both", "::1");
    assert.equal((await front.joined(2)).addr, "::1");
  });

  test("leave IPv4 to each other only on one and the same port, and keep the names that they were given", () => {
    const settled = settle(
      "tcp://0.0.0.0:1?name=four",
      "ws://[0:0::0]:1",
      "tcp://[::]:2",
      "tcp://0.0.0.0:0?name=a",
      "tcp://[::]:0?name=b",
      "tcp://0.0.0.0:3?name=c",
      "tcp://[::]:3?name=d",
    );
    const shown = settled.map(({ name, ipv6Only }) => (ipv6Only ? `${name}!` : name));
    assert.deepEqual(shown, ["four", "ws-1!", "tcp-2", "a", "b", "c", "d!"]);
  });
});

describe("two listeners of one gateway", () => {
  const SHARED = "?reusePort=true";

  for (const [one, other] of [
    ["tcp://127.0.0.1:7300", "ws://127.0.0.1:7300"],
    ["tcp://127.0.0.1:7300", "ws://0.0.0.0:7300"],
    ["tcp://[::]:7300", "ws://127.0.0.1:7300"],
    ["tcp://[::]:7300", "ws://[0::1]:7300"],
    ["tcp://[::1]:7300", "ws://[0::1]:7300"],
    ["tcp://[::]:7300", "ws://[::0]:7300"],
    ["tcp://localhost:7300", "ws://LOCALHOST:7300"],
    [`tcp://127.0.0.1:7300${SHARED}`, "ws://127.0.0.1:7300"],
    ["unix:/run/game.sock", "unix:/run/../run/game.sock?name=b"],
  ] as const) {
    test(`can't be ${one} and ${other}, and are named`, () => {
      const message = /^'.*' \((tcp|unix):.*\) and '.*' \((ws|unix):.*\) are in each other's way: give one/;
      assert.throws(() => settle(one, other), { message });
      const turned = /^'.*' \((ws|unix):.*\) and '.*' \((tcp|unix):.*\) are in each other's way: give one/;
      assert.throws(() => settle(other, "tcp://127.0.0.1:1", one), { message: turned });
    });
  }

  test("are each a place of its own where neither takes what the other wants", () => {
    const urls = [
      "tcp://127.0.0.1:7300",
      "tcp://127.0.0.2:7300",
      "tcp://[::1]:7300",
      "tcp://0.0.0.0:7301",
      "tcp://[::1]:7301",
      "tcp://localhost:7302",
      "tcp://0.0.0.0:7302",
      "tcp://127.0.0.1:0",
      "tcp://127.0.0.1:0",
      "unix:/run/0",
      "unix:/run/1",
    ];
    assert.equal(settle(...urls).length, urls.length);
    assert.equal(settle(`tcp://0.0.0.0:7300${SHARED}`, `ws://0.0.0.0:7300${SHARED}`).length, 2);
  });
});
