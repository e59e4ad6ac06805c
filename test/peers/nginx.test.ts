/** Behind nginx: the manager sees who the client is. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { behaviours } from "../../manager-stub/behaviours.ts";
import type { Session } from "../../manager-stub/index.ts";
import { TestClient } from "../helpers/client.ts";
import { startRig } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";
import { skipWithoutNginx, skipWithoutNginxStream, startNginx } from "./nginx.ts";

/** Where the clients come from: an address of this machine that is not the proxy's. */
const CLIENT = "127.0.0.2";

async function startEcho(t: TestContext, listen: string) {
  const rig = await startRig(t, { settings: { listen: [listen] } });
  behaviours.echo(rig.manager);
  return { ...rig, joined: next<[Session]>(rig.manager, "join") };
}

test("behind nginx's proxy_protocol a client has its own address", {
  skip: skipWithoutNginxStream,
}, async (t) => {
  const { port, joined } = await startEcho(t, "tcp://127.0.0.1:0?proxy=v1&trusted=127.0.0.1");
  const lines = [`proxy_pass 127.0.0.1:${port}; proxy_protocol on;`];
  const nginx = await startNginx(t, { mode: "stream", lines });
  const client = new TestClient(connect({ port: nginx, host: "127.0.0.1", localAddress: CLIENT }));
  t.after(() => client.close());
  client.send("hello");
  await client.expect("hello");
  const [{ addr, port: from, proxy }] = await joined;
  assert.deepEqual([addr, from, proxy], [CLIENT, client.localPort, "127.0.0.1"]);
});

test("behind nginx's proxy_pass a WebSocket's client has the address that nginx adds to X-Forwarded-For", {
  skip: skipWithoutNginx,
}, async (t) => {
  const { port, joined } = await startEcho(
    t,
    "ws://127.0.0.1:0?forwarded=x-forwarded-for&trusted=127.0.0.1&path=/game",
  );
  const nginx = await startNginx(t, {
    mode: "http",
    lines: [
      `location / { proxy_pass http://127.0.0.1:${port};`,
      "proxy_http_version 1.1;",
      "proxy_set_header Upgrade $http_upgrade;",
      "proxy_set_header Connection upgrade;",
      "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }",
    ],
  });
  const client = await WebSocketClient.connect(`ws://127.0.0.1:${nginx}/game`, "chat", {
    createConnection: () => connect({ port: nginx, host: "127.0.0.1", localAddress: CLIENT }),
    headers: { "X-Forwarded-For": "203.0.113.9" },
  });
  t.after(() => client.close());
  client.send("hello");
  await client.expect("hello");
  const [{ addr, proxy, path, subprotocol }] = await joined;
  assert.deepEqual([addr, proxy, path, subprotocol], [CLIENT, "127.0.0.1", "/game", "chat"]);
});
