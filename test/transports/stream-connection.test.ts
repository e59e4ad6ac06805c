/** What a connection does with what was read and can't be received yet, and with the end that stands behind that. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { framing } from "../../gateway/framing/framing.ts";
import type { Channel, ChannelSink } from "../../gateway/transports/channel.ts";
import { framedBy, MAX_WATCHED_BYTES, StreamConnection } from "../../gateway/transports/stream-connection.ts";
import { RecordingSink } from "../contracts/transport.ts";

/** A channel without a socket: a test says what comes of it. */
class FakeChannel implements Channel {
  sink: ChannelSink | undefined;
  readonly descriptor = 20;
  readonly halfCloses = true;
  queuedBytes = 0;
  readonly tellsOfEnds: boolean;
  reads = false;
  looks = 0;
  written = "";

  constructor(tellsOfEnds: boolean) {
    this.tellsOfEnds = tellsOfEnds;
  }

  write(bytes: Buffer): boolean {
    this.written += bytes.toString();
    return true;
  }

  pause(): void {
    this.reads = false;
  }

  resume(): void {
    this.reads = true;
  }

  lookForEnd(): void {
    this.looks++;
  }

  finish(): void {}

  reset(): void {}

  close(): void {}

  /** Text was read; the memory is used again at once. */
  says(text: string): void {
    const bytes = Buffer.from(`..${text}`);
    this.sink?.received(bytes, 2, bytes.length);
    bytes.fill("!");
  }
}

/** Lets nothing be received behind a message that says so. */
class HoldingSink extends RecordingSink {
  override received(bytes: Buffer, start: number, end: number): void {
    super.received(bytes, start, end);
    const text = bytes.toString("utf8", start, end);
    if (text === "hold") this.connection?.pause();
    if (text === "blink") {
      this.connection?.pause();
      this.connection?.resume();
    }
    if (text === "end") this.connection?.finish({ reason: "dropped" });
  }

  get texts(): string[] {
    return this.parts.map(String);
  }
}

/** Has to work off what it has received, for as long as a test wants. */
class BusyConnection extends StreamConnection {
  isBusy(is: boolean): void {
    if (is) this.block();
    else this.unblock();
  }
}

/** A connection whose messages are lines, or whose bytes are none. */
function start({ tellsOfEnds = false, lines = true, early = "", pauses = false } = {}) {
  const channel = new FakeChannel(tellsOfEnds);
  const framed = lines ? framedBy(framing("line"), 100) : undefined;
  const client = { address: "192.0.2.1", port: 1, early: Buffer.from(early) };
  const connection = new BusyConnection(channel, client, framed);
  const sink = new HoldingSink(pauses);
  connection.open(sink);
  return { channel, connection, sink };
}

describe("a connection that is paused", () => {
  test("receives none of what was read behind that before it is resumed, and then all, in order", () => {
    const { channel, connection, sink } = start();
    channel.says("a\nhold\nb\nhold\nc\n");
    channel.says("d\ne");
    assert.deepEqual([sink.texts, channel.reads], [["a", "hold"], false]);
    connection.resume();
    assert.deepEqual([sink.texts.slice(2), channel.reads], [["b", "hold"], false]);
    channel.says("f\n");
    connection.resume();
    assert.deepEqual([sink.texts.slice(4), channel.reads], [["c", "d", "ef"], true]);
    channel.says("g\n");
    assert.deepEqual(sink.texts.slice(7), ["g"]);
  });

  test("goes on with the same read when it is resumed by what it says", () => {
    const { channel, sink } = start();
    channel.says("a\nblink\nb\nblink\nc\n");
    assert.deepEqual([sink.texts, channel.reads], [["a", "blink", "b", "blink", "c"], true]);
  });

  test("goes on likewise with what was kept", () => {
    const { channel, connection, sink } = start();
    channel.says("hold\na\nblink\nb\n");
    connection.resume();
    assert.deepEqual([sink.texts, channel.reads], [["hold", "a", "blink", "b"], true]);
  });

  test("receives what was read behind its handshake first, once it is resumed", () => {
    const { channel, connection, sink } = start({ early: "a\nb", pauses: true });
    assert.deepEqual([sink.texts, channel.reads], [[], false]);
    channel.says("c\n");
    connection.resume();
    assert.deepEqual(sink.texts, ["a", "bc"]);
  });

  test("receives nothing any more once it has ended, but is read to its end", () => {
    const { channel, connection, sink } = start();
    channel.says("hold\na\n");
    connection.finish({ reason: "dropped" });
    connection.resume();
    channel.says("b\n");
    channel.says("x".repeat(2 * MAX_WATCHED_BYTES));
    assert.deepEqual([sink.texts, channel.reads], [["hold"], true]);
    channel.sink?.peerFinishing();
    assert.deepEqual(sink.leavings, []);
    channel.sink?.peerFinished();
    assert.deepEqual(sink.ends, ["finished"]);
  });

  test("receives nothing behind the message that ends it, whatever is wrong with that", () => {
    const { channel, sink } = start();
    channel.says(`end\na\n${"x".repeat(200)}`);
    channel.says("b\n");
    assert.deepEqual([sink.texts, sink.fault], [["end"], undefined]);
  });

  test("is not read for its end where the channel tells of that by itself", () => {
    const { channel, connection, sink } = start({ tellsOfEnds: true });
    connection.pause(true);
    assert.equal(channel.reads, false);
    channel.sink?.peerFinishing();
    assert.deepEqual(sink.leavings, ["finishing"]);
  });

  test("is read for its end where only that shows it, until enough is kept of it", () => {
    const { channel, connection, sink } = start({ lines: false });
    connection.pause(true);
    assert.equal(channel.reads, true);
    const half = "x".repeat(MAX_WATCHED_BYTES / 2);
    channel.says(half);
    assert.equal(channel.reads, true);
    channel.says(half);
    assert.equal(channel.reads, false);
    connection.pause(true);
    assert.equal(channel.reads, false, "also when it is watched once more");
    connection.resume();
    assert.deepEqual([sink.bytes, channel.reads], [MAX_WATCHED_BYTES, true]);
  });

  test("is looked for, and who is read, or known to be gone, is not", () => {
    const { channel, connection } = start();
    connection.lookForEnd();
    assert.equal(channel.looks, 0);
    channel.says("hold\na\n");
    connection.lookForEnd();
    assert.equal(channel.looks, 1);
    channel.sink?.gone(undefined);
    connection.lookForEnd();
    assert.equal(channel.looks, 1);
  });
});

describe("an end behind what was not received yet", () => {
  test("of the sending side is told, and comes behind that, once", () => {
    const { channel, connection, sink } = start();
    channel.says("hold\na\n");
    channel.sink?.peerFinished();
    assert.deepEqual([sink.leavings, sink.ends], [["finishing"], []]);
    connection.resume();
    connection.resume();
    assert.deepEqual([sink.texts, sink.ends], [["hold", "a"], ["finished"]]);
  });

  test("of the whole connection is told, and comes behind that, once, with its reason", async () => {
    const { channel, connection, sink } = start();
    channel.says("hold\na\nhold\nb\n");
    channel.sink?.gone(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    assert.deepEqual([sink.leavings, sink.closes], [["gone"], 0]);
    connection.resume();
    await turn();
    assert.deepEqual([sink.texts, sink.closes], [["hold", "a", "hold"], 0]);
    connection.resume();
    connection.resume();
    await turn();
    assert.deepEqual([sink.texts.at(-1), sink.closes, sink.error?.code], ["b", 1, "ECONNRESET"]);
  });

  test("comes at once for who is ended before it has received that", async () => {
    const { channel, connection, sink } = start();
    channel.says("hold\na\n");
    channel.sink?.gone(undefined);
    connection.close();
    await turn();
    connection.resume();
    assert.deepEqual([sink.texts, sink.closes], [["hold"], 1]);
  });

  test("leaves nobody to be written to, and what is written then counts as unsent", () => {
    const { channel, connection } = start();
    channel.says("hold\na\n");
    connection.write(Buffer.from("before"));
    channel.sink?.gone(undefined);
    connection.write(Buffer.from("behind"));
    assert.deepEqual([channel.written, connection.unsentBytes], ["before", 6]);
  });

  test("comes at once where all was received", () => {
    const { channel, connection, sink } = start();
    channel.says("hold\n");
    channel.sink?.peerFinished();
    assert.deepEqual([sink.leavings, sink.ends], [[], ["finished"]]);
    channel.sink?.gone(undefined);
    connection.close();
    assert.equal(sink.closes, 1);
  });
});

describe("a connection whose client breaks the rules of its framing", () => {
  test("says so once, and receives nothing any more", () => {
    const { channel, connection, sink } = start();
    channel.says(`a\n${"x".repeat(200)}\nb\n`);
    assert.deepEqual([sink.texts, sink.fault], [["a"], "too-big"]);
    sink.fault = undefined;
    channel.says(`c\n${"x".repeat(200)}\n`);
    connection.resume();
    assert.deepEqual([sink.texts, sink.fault], [["a"], undefined]);
  });
});

describe("a connection that has to work off what it has received", () => {
  test("is not read meanwhile, whatever its owner wants, and then goes on", () => {
    const { channel, connection, sink } = start();
    connection.isBusy(true);
    assert.equal(channel.reads, false);
    channel.says("a\n");
    connection.resume();
    assert.deepEqual([sink.texts, channel.reads], [[], false]);
    connection.pause(true);
    assert.equal(channel.reads, false);
    connection.resume();
    connection.isBusy(false);
    assert.deepEqual([sink.texts, channel.reads], [["a"], true]);
  });

  test("stays paused behind that where it was paused meanwhile", () => {
    const { channel, connection, sink } = start();
    connection.isBusy(true);
    channel.says("a\n");
    connection.pause();
    connection.isBusy(false);
    assert.deepEqual([sink.texts, channel.reads], [[], false]);
  });

  test("is watched behind that where it was to be watched meanwhile", () => {
    const { channel, connection } = start();
    connection.isBusy(true);
    connection.pause(true);
    assert.equal(channel.reads, false);
    connection.isBusy(false);
    assert.equal(channel.reads, true);
  });

  test("ends behind it", () => {
    const { channel, connection, sink } = start();
    connection.isBusy(true);
    channel.sink?.peerFinished();
    assert.deepEqual([sink.leavings, sink.ends], [["finishing"], []]);
    connection.isBusy(false);
    assert.deepEqual(sink.ends, ["finished"]);
  });

  test("is read to its end at once when it is ended", () => {
    const { channel, connection, sink } = start();
    connection.isBusy(true);
    connection.finish({ reason: "dropped" });
    connection.resume();
    assert.equal(channel.reads, true);
    channel.sink?.peerFinished();
    assert.deepEqual([sink.leavings, sink.ends], [[], ["finished"]]);
  });
});
