/** Clients that say more than they may, over real sockets and on every read path. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "../helpers/fake-clock.ts";
import { readPaths } from "../helpers/poller.ts";
import { until } from "../helpers/wait.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "./raw-web.ts";
import { startFront } from "./support.ts";

const LINES = "tcp://127.0.0.1:0?framing=line&name=lines";
const RATE = { messageRate: 10, messageBurst: 5 } as const;

for (const { readPath, skip } of readPaths) {
  describe(`a client whose rate is limited, read by way of ${readPath}`, { skip }, () => {
    test("delivers nothing beyond it, however often it comes again", async (t) => {
      const clock = new FakeClock();
      const front = await startFront(t, [LINES], { clock, settings: { ...RATE, readPath } });
      for (let visit = 1; visit <= 4; visit++) {
        const client = await front.dial("lines");
        await front.joined(visit);
        client.send("\n".repeat(2000));
        if (visit === 1) await front.heard(RATE.messageBurst);
        await until(() => front.gateway.counters.rateLimited === visit, "it may say nothing more");
        client.reset();
        await until(() => front.gateway.sessions.connectedCount === 0, "it is gone");
      }
      assert.equal(front.messages.length, RATE.messageBurst);
      clock.advance(300);
      await front.dial("lines").then((client) => client.send("\n".repeat(2000)));
      await front.heard(RATE.messageBurst + 3);
      await until(() => front.gateway.counters.rateLimited === 5, "it has said what it may");
      assert.equal(front.messages.length, RATE.messageBurst + 3);
    });

    test("is exact over WebSocket too, plain, in pieces and with pings", async (t) => {
      const clock = new FakeClock();
      const settings = { messageRate: 1, messageBurst: 6, readPath };
      const front = await startFront(t, ["ws://127.0.0.1:0?name=web"], { clock, settings });
      const plain = clientFrame(Opcode.binary, "plain");
      const pieces = Buffer.concat([
        clientFrame(Opcode.text, "in ", { fin: false }),
        clientFrame(Opcode.ping, ""),
        clientFrame(0, "pieces"),
      ]);
      const web = await RawWeb.open(t, front.port, upgradeRequest());
      await front.joined();
      web.client.send(Buffer.concat(Array.from({ length: 50 }, () => Buffer.concat([plain, pieces]))));
      await until(() => front.gateway.counters.rateLimited === 1, "it may say nothing more");
      await front.heard(4);
      assert.deepEqual(
        front.messages.map(({ text }) => text),
        ["plain", "in pieces", "plain", "in pieces"],
      );
    });

    for (const end of ["reset", "end"] as const) {
      test(`leaves its slot soon after its ${end}, whatever it had still to say`, async (t) => {
        const clock = new FakeClock();
        const settings = { ...RATE, readPath, halfCloseMs: 1000 };
        const front = await startFront(t, [LINES], { clock, settings, manager: { capacity: 10 } });
        const clients = await Promise.all(Array.from({ length: 10 }, () => front.dial("lines")));
        await front.joined(10);
        for (const client of clients) {
          client.send("\n".repeat(50_000));
          client[end]();
        }
        await until(() => {
          // The clock moves on only as far as somebody who is not held would be given.
          if (front.gateway.sessions.connectedCount > 0 && clock.now() < 3000) clock.advance(50);
          return front.gateway.sessions.connectedCount === 0;
        }, "all slots are free");
        assert.ok(clock.now() <= 3000, `${clock.now()} ms`);
        assert.ok(front.messages.length < 10 * (5 + 3 * 10 + 1), `${front.messages.length} messages`);
      });
    }
  });
}
