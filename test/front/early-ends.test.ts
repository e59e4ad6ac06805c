/** Clients that are gone before anything came of them: each is counted, by what it did. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Server, type Socket } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { readPaths } from "../helpers/poller.ts";
import { ROOT } from "../helpers/process.ts";
import { socketPath } from "../helpers/rig.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { until } from "../helpers/wait.ts";
import { type Front, startFront } from "./support.ts";

const RESETTING_CLIENTS = join(ROOT, "test/fixtures/resetting-clients.ts");
const FLOOD = 200;

const BEHIND = "proxy=any&trusted=127.0.0.1";
const HEADER = "PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n";

const listeners = {
  tcp: "tcp://127.0.0.1:0",
  "tcp behind a proxy": `tcp://127.0.0.1:0?${BEHIND}`,
  tls: `tls://127.0.0.1:0?${TLS_PARAMETERS}`,
  "tls behind a proxy": `tls://127.0.0.1:0?${TLS_PARAMETERS}&${BEHIND}`,
  ws: "ws://127.0.0.1:0",
  "ws behind a proxy": `ws://127.0.0.1:0?${BEHIND}`,
  wss: `wss://127.0.0.1:0?${TLS_PARAMETERS}`,
} as const;

/** Nobody holds a slot, and who comes now is served. */
async function assertServes({ gateway }: Front): Promise<void> {
  await until(() => gateway.sessions.connectedCount === 0, "nobody is there any more");
  assert.equal(gateway.sessions.table.usedCount, 0);
}

/** A client that connects, says `bytes`, and closes in good order. */
async function comeAndGo(t: TestContext, front: Front, bytes: string): Promise<void> {
  const client = await TestClient.connect(front.port);
  t.after(() => client.close());
  client.send(bytes);
  client.end();
  await until(() => client.closed || client.ended, "it is let go");
}

for (const { readPath, skip } of readPaths) {
  describe(`a client that is gone early, read by way of ${readPath}`, { skip }, () => {
    for (const [what, listen] of Object.entries(listeners)) {
      test(`is counted when it was reset before it was accepted: ${what}`, async (t) => {
        const front = await startFront(t, listen, { settings: { readPath } });
        // Nobody is accepted in this process while it waits for the other.
        execFileSync(process.execPath, [RESETTING_CLIENTS, String(front.port), String(FLOOD)]);
        await front.untilRefused({ "reset-early": FLOOD });
        await assertServes(front);
        assert.equal(front.joins.length, 0);
      });
    }

    for (const [what, listen] of Object.entries({ ...listeners, unix: undefined })) {
      // The poller has no sockets of Node's.
      if (readPath === "polled" && what === "tcp") continue;
      test(`is counted when its socket was closed before it was handed over: ${what}`, async (t) => {
        const path = socketPath(t);
        const front = await startFront(t, listen ?? `unix:${path}`, { settings: { readPath } });
        const { emit } = Server.prototype;
        const closing = t.mock.method(Server.prototype, "emit", function (this: Server, ...args: unknown[]) {
          if (args[0] === "connection") (args[1] as Socket).destroy();
          return Reflect.apply(emit, this, args);
        });
        const client = await TestClient.connect(listen === undefined ? path : front.port);
        t.after(() => client.close());
        await front.untilRefused({ "reset-early": 1 });
        closing.mock.restore();
        await assertServes(front);
      });
    }
  });
}

describe("a client that connects and closes again", () => {
  for (const [what, listen, said] of [
    ["to a proxy's listener", listeners["tcp behind a proxy"], ""],
    ["to TLS", listeners.tls, ""],
    ["to TLS behind a proxy, before the header", listeners["tls behind a proxy"], ""],
    ["to TLS behind a proxy, after the header", listeners["tls behind a proxy"], HEADER],
    ["to a WebSocket", listeners.ws, ""],
    ["to a WebSocket behind a proxy, before the header", listeners["ws behind a proxy"], ""],
    ["to a WebSocket behind a proxy, after the header", listeners["ws behind a proxy"], HEADER],
    ["to a WebSocket over TLS", listeners.wss, ""],
  ] as const) {
    test(`has left early, and sent nothing wrong: ${what}`, async (t) => {
      const front = await startFront(t, listen);
      await comeAndGo(t, front, said);
      await front.untilRefused({ "left-early": 1 });
      await assertServes(front);
    });
  }

  for (const [what, listen, said, refusal] of [
    ["in a proxy's header", listeners["tcp behind a proxy"], HEADER.slice(0, 9), "bad-proxy-header"],
    ["in a TLS handshake", listeners.tls, "\x16\x03\x01", "tls-handshake"],
    [
      "in a TLS handshake behind a header",
      listeners["tls behind a proxy"],
      `${HEADER}\x16\x03`,
      "tls-handshake",
    ],
  ] as const) {
    test(`has sent something wrong when it stopped ${what}`, async (t) => {
      const front = await startFront(t, listen);
      await comeAndGo(t, front, said);
      await front.untilRefused({ [refusal]: 1 });
      await assertServes(front);
    });
  }
});
