/** Clients that reset their connection in the moment in which a socket of theirs changes hands. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readPaths } from "../helpers/poller.ts";
import { next, until } from "../helpers/wait.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "./raw-web.ts";
import { type Front, startFront } from "./support.ts";

const PLAIN = "ws://127.0.0.1:0";
const BODIES = {
  "of a length": { "Content-Length": "5" },
  "in chunks": { "Transfer-Encoding": "chunked" },
} as const;

/** The gateway serves who comes now, and everybody before has left it. */
async function assertServes(front: Front): Promise<void> {
  await until(() => front.gateway.sessions.connectedCount === 0, "nobody is there any more");
  const client = await front.dialWeb();
  client.socket.send("still there?");
  await until(() => front.messages.some(({ text }) => text === "still there?"), "the gateway serves others");
  client.close();
}

for (const { readPath, skip } of readPaths) {
  describe(`a reset, read by way of ${readPath}`, { skip }, () => {
    for (const [what, headers] of Object.entries(BODIES)) {
      test(`behind an upgrade request that announces a body ${what} ends that client alone`, async (t) => {
        const front = await startFront(t, PLAIN, { settings: { readPath } });
        for (const answered of [true, false]) {
          for (let nth = 0; nth < 5; nth++) {
            const { client } = RawWeb.start(t, front.port, upgradeRequest("/", headers));
            if (answered) await until(() => client.receivedBytes > 0, "the client has its answer");
            else await next(client.socket, "connect");
            client.reset();
          }
        }
        await assertServes(front);
        assert.equal(front.joins.length, 1);
      });
    }

    test("behind a good upgrade, and what was said in the same moment, ends that client alone", async (t) => {
      const front = await startFront(t, PLAIN, { settings: { readPath } });
      const attempts = 300;
      const clients = Array.from({ length: attempts }, (_, nth) => {
        const frame = nth % 2 === 0 ? Buffer.alloc(0) : clientFrame(Opcode.ping, "");
        const { client } = RawWeb.start(t, front.port, Buffer.concat([Buffer.from(upgradeRequest()), frame]));
        client.socket.once("connect", () => setImmediate(() => client.reset()));
        return client;
      });
      await until(() => clients.every(({ closed }) => closed), "every client has gone");
      await assertServes(front);
    });
  });
}
