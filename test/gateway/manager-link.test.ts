/** A gateway's link to its manager by itself, on a stream in memory. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManagerLink } from "../../gateway/links/manager-link.ts";
import { FromGateway, fromGatewayBounds } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { IDLE_HANDLER } from "../helpers/link-handler.ts";
import { FakeStream } from "../link/fake-stream.ts";

const JOIN = { addr: "192.0.2.1", port: 1, transport: "tcp", listener: "game", at: 0 };
const names = new Map<number, string>(Object.entries(FromGateway).map(([name, type]) => [type, name]));

describe("what a gateway says in one turn", () => {
  test("leaves as it was said where Listening is part of it", async () => {
    const stream = new FakeStream();
    const link: ManagerLink = new ManagerLink({
      dial: stream.open,
      identity: () => ({ name: "edge", pid: 1, endpoints: [] }),
      vitals: () => ({ sessions: 0, capacity: 1 }),
      handler: {
        ...IDLE_HANDLER,
        registered() {
          link.join(1, JOIN);
          link.listening([]);
          link.join(2, JOIN);
          link.draining({ reason: "SIGTERM", drainMs: 0 });
        },
      },
      limits: {
        registerTimeoutMs: 1000,
        linkBufferBytes: 65_536,
        retainBytes: 65_536,
        maxFrame: 65_536,
        maxCapacity: 10,
        reconnectMinMs: 1,
        reconnectMaxMs: 1,
      },
      clock: new FakeClock(),
      random: Math.random,
    });
    link.dial();
    stream.emit("connect");
    const batch = new FrameBatch();
    const registered = { id: 1, capacity: 1, epoch: Buffer.alloc(16), pingMs: 1000, maxFrame: 65_536 };
    toGateway.registered(batch, { ...registered, resumed: false, received: 0 });
    await turn();
    stream.feed(Buffer.concat(batch.take()));
    await turn();
    const heard: string[] = [];
    const reader = new FrameReader(fromGatewayBounds, 65_536, (type) => heard.push(names.get(type) ?? ""));
    reader.push(stream.written);
    assert.deepEqual(heard, ["Register", "CLJoin", "Listening", "CLJoin", "Draining"]);
    link.abort();
  });
});
