/** A pause takes hold also between the many small messages of one read. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import type { Poller } from "../../gateway/transports/poller.ts";
import { sharedReadPath } from "../../gateway/transports/read-path.ts";
import { RecordingSink } from "../contracts/transport.ts";
import { TestClient } from "../helpers/client.ts";
import { movers } from "../helpers/poller.ts";
import { until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";

const MESSAGES = 2000;

/** Pauses at each message, and is read on by the test. */
class PausingSink extends RecordingSink {
  paused = 0;

  override received(bytes: Buffer, start: number, end: number): void {
    super.received(bytes, start, end);
    this.connection?.pause();
    this.paused++;
  }
}

async function pausing(
  t: TestContext,
  url: string,
  poller?: Poller,
): Promise<{ sink: PausingSink; port: number }> {
  const sink = new PausingSink();
  const context = { readPath: sharedReadPath(), poller, maxMessageBytes: () => 1024 };
  const listener = createListener(parseListenAddress(url), context, (arrival) => arrival.open(sink));
  await listener.open();
  t.after(async () => {
    sink.connection?.close();
    await listener.close();
  });
  return { sink, port: listener.endpoint.port };
}

/** Reads on until all has come; gives the most messages that came before a pause took hold. */
async function readOn(sink: PausingSink): Promise<number> {
  let most = 0;
  let before = 0;
  await until(() => {
    most = Math.max(most, sink.parts.length - before);
    before = sink.parts.length;
    sink.connection?.resume();
    return sink.parts.length >= MESSAGES;
  }, "all messages have come");
  return most;
}

const texts = Array.from({ length: MESSAGES }, (_, number) => String(number));

describe("a client that says very much at once, and is paused at its first message", () => {
  for (const { by, poller, skip } of movers) {
    test(`with length-prefixed messages is heard one at a time, whole and in order, read by ${by}`, {
      skip,
    }, async (t) => {
      const { sink, port } = await pausing(t, "tcp://127.0.0.1:0?framing=u16be", poller);
      const client = await TestClient.connect(port);
      t.after(() => client.close());
      const frames = texts.map((text) => Buffer.from(`\0${String.fromCharCode(text.length)}${text}`));
      client.send(Buffer.concat(frames));
      assert.equal(await readOn(sink), 1);
      assert.deepEqual(sink.parts.map(String), texts);
      assert.ok(sink.paused >= MESSAGES);
    });
  }

  test("over WebSocket too", async (t) => {
    const { sink, port } = await pausing(t, "ws://127.0.0.1:0");
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`);
    t.after(() => client.close());
    for (const text of texts) client.send(text);
    assert.equal(await readOn(sink), 1);
    assert.deepEqual(sink.parts.map(String), texts);
  });
});
