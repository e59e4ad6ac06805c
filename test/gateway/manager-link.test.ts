/** A gateway's link to its manager by itself, on a stream in memory. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManagerLink } from "../../gateway/links/manager-link.ts";
import { checkHeader, FromGateway, fromGatewayBounds, HEADER_BYTES } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { IDLE_HANDLER } from "../helpers/link-handler.ts";
import { FakeStream } from "../link/fake-stream.ts";

const JOIN = { addr: "192.0.2.1", port: 1, transport: "tcp", listener: "game", at: 0 };
const names = new Map<number, string>(Object.entries(FromGateway).map(([name, type]) => [type, name]));

/** A link whose manager has taken the gateway on; `registered` is what it does then. */
async function start(maxFrame: number, registered: (link: ManagerLink) => void = () => {}) {
  const stream = new FakeStream();
  const link: ManagerLink = new ManagerLink({
    dial: stream.open,
    identity: () => ({ name: "edge", pid: 1, endpoints: [] }),
    vitals: () => ({ sessions: 0, capacity: 1 }),
    handler: { ...IDLE_HANDLER, registered: () => registered(link) },
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
  const answer = { id: 1, capacity: 1, epoch: Buffer.alloc(16), pingMs: 1000, maxFrame };
  toGateway.registered(batch, { ...answer, resumed: false, received: 0 });
  await turn();
  stream.feed(Buffer.concat(batch.take()));
  await turn();
  return { link, stream };
}

describe("what a manager can be told of a session", () => {
  // A map has at most 65,536 bytes, and the session stands before it.
  for (const [maxFrame, longest] of [
    [65_536, 65_536],
    [65_537, 65_537],
    [65_540, 65_540],
    [65_541, 65_540],
    [2 ** 20, 65_540],
  ] as const) {
    test(`takes ${longest} bytes at most where it accepts frames of ${maxFrame}`, async () => {
      const { link, stream } = await start(maxFrame);
      const withData = (length: number) => ({ ...JOIN, from: "login", data: Buffer.alloc(length) });
      const told = (length: number) => {
        const batch = new FrameBatch();
        toManager.join(batch, 1, withData(length));
        return Buffer.concat(batch.take()).length - HEADER_BYTES;
      };
      const length = 65_000 + longest - told(65_000);
      assert.equal(told(length), longest);
      assert.equal(link.canTell(withData(length)), true);
      assert.equal(link.canTell(withData(length + 1)), false);
      link.join(1, withData(length));
      await turn();
      const reader = new FrameReader(fromGatewayBounds, maxFrame, () => {});
      reader.push(stream.written);
      assert.throws(() => checkHeader(fromGatewayBounds, FromGateway.CLJoin, longest + 1, maxFrame));
      link.abort();
    });
  }
});

describe("what a gateway says in one turn", () => {
  test("leaves as it was said where Listening is part of it", async () => {
    const { link, stream } = await start(65_536, (link) => {
      link.join(1, JOIN);
      link.listening([]);
      link.join(2, JOIN);
      link.draining({ reason: "SIGTERM", drainMs: 0 });
    });
    const heard: string[] = [];
    const reader = new FrameReader(fromGatewayBounds, 65_536, (type) => heard.push(names.get(type) ?? ""));
    reader.push(stream.written);
    assert.deepEqual(heard, ["Register", "CLJoin", "Listening", "CLJoin", "Draining"]);
    link.abort();
  });
});
