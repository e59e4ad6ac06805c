/** What every transport must do, on every read path: one suite, run on each. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import type { Connection, ConnectionSink } from "../../gateway/transports/connection.ts";
import type { AcceptSink, Listener } from "../../gateway/transports/listener.ts";
import { TestClient } from "../helpers/client.ts";
import { until } from "../helpers/wait.ts";

export interface TransportUnderTest {
  readonly name: string;
  /** A listener on a free port of loopback. */
  listener(accept: AcceptSink): Listener;
}

const MIB = 1024 * 1024;

/** Hears a connection, and keeps what it heard. */
class RecordingSink implements ConnectionSink {
  readonly parts: Buffer[] = [];
  bytes = 0;
  finishes = 0;
  closes = 0;
  error: NodeJS.ErrnoException | undefined;

  received(bytes: Buffer, length: number): void {
    this.parts.push(Buffer.from(bytes.subarray(0, length)));
    this.bytes += length;
  }

  finished(): void {
    this.finishes++;
  }

  closed(error: NodeJS.ErrnoException | undefined): void {
    this.closes++;
    this.error = error;
  }

  get text(): string {
    return Buffer.concat(this.parts).toString();
  }
}

interface Pair {
  readonly client: TestClient;
  readonly connection: Connection;
  readonly sink: RecordingSink;
  readonly listener: Listener;
}

async function openListener(
  t: TestContext,
  transport: TransportUnderTest,
  accept: AcceptSink,
): Promise<Listener> {
  const listener = transport.listener(accept);
  await listener.open();
  t.after(() => listener.close());
  return listener;
}

/** A client and the gateway's end of its connection, opened. */
async function connectPair(t: TestContext, transport: TransportUnderTest): Promise<Pair> {
  const accepted: Connection[] = [];
  const listener = await openListener(t, transport, (connection) => accepted.push(connection));
  const client = await TestClient.connect(listener.endpoint.port);
  await until(() => accepted.length === 1, "the connection is accepted");
  const [connection] = accepted;
  assert.ok(connection !== undefined);
  const sink = new RecordingSink();
  connection.open(sink);
  t.after(async () => {
    client.close();
    connection.close();
    await until(() => sink.closes > 0, "the connection is gone");
  });
  return { client, connection, sink, listener };
}

/** Writes to a client that does not read until the kernel takes no more; gives the bytes that were written. */
function writeUntilStuck(connection: Connection): Buffer {
  const written: Buffer[] = [];
  // One buffer for all writes, filled anew whenever the connection says that it may be.
  let memory = Buffer.alloc(64 * 1024);
  for (let round = 0; connection.queuedBytes < MIB; round++) {
    randomBytes(64).copy(memory, (round * 64) % memory.length);
    written.push(Buffer.from(memory));
    if (!connection.write(memory)) memory = Buffer.alloc(64 * 1024);
  }
  return Buffer.concat(written);
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function describeTransport(transport: TransportUnderTest): void {
  describe(transport.name, () => {
    test("tells the port that was bound, and the client's address", async (t) => {
      const { client, connection, listener } = await connectPair(t, transport);
      assert.notEqual(listener.endpoint.port, 0);
      assert.equal(connection.address, "127.0.0.1");
      assert.equal(connection.port, client.socket.localPort);
    });

    test("delivers what the client sends, whole and in order", async (t) => {
      const { client, sink } = await connectPair(t, transport);
      const sent = randomBytes(3 * MIB);
      client.send(sent);
      await until(() => sink.bytes >= sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("reads nothing before it is opened", async (t) => {
      const accepted: Connection[] = [];
      const listener = await openListener(t, transport, (connection) => accepted.push(connection));
      const client = await TestClient.connect(listener.endpoint.port);
      t.after(() => client.close());
      client.send("early");
      await until(() => accepted.length === 1, "the connection is accepted");
      const sink = new RecordingSink();
      accepted[0]?.open(sink);
      await until(() => sink.text === "early", "what came early is read");
      accepted[0]?.close();
      await until(() => sink.closes === 1, "the connection is gone");
    });

    test("delivers what is sent to the client, whole and in order, however slowly it reads", async (t) => {
      const { client, connection } = await connectPair(t, transport);
      client.socket.pause();
      const written = writeUntilStuck(connection);
      assert.ok(connection.queuedBytes >= MIB);
      client.socket.resume();
      await until(() => client.receivedBytes >= written.length, "everything has arrived");
      assert.equal(digest(client.received), digest(written));
      await until(() => connection.queuedBytes === 0, "nothing is queued");
    });

    test("says when the client has shut down its sending side, and still sends to it", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.socket.end("question");
      await until(() => sink.finishes === 1, "the half-close is told");
      assert.equal(sink.text, "question");
      assert.equal(sink.closes, 0);
      connection.write(Buffer.from("answer"));
      await client.expect("answer");
      connection.finish();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(sink.error, undefined);
    });

    test("finishes only after what is queued was sent, and reads on until the client closes", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.socket.pause();
      const written = writeUntilStuck(connection);
      connection.finish();
      client.send("meanwhile");
      await until(() => sink.text === "meanwhile", "the client is still read");
      client.socket.resume();
      await until(() => client.ended, "the client sees the end");
      assert.equal(digest(client.received), digest(written));
      assert.equal(sink.closes, 0);
      client.socket.end();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.deepEqual([sink.error, client.errorCode, connection.unsentBytes], [undefined, undefined, 0]);
    });

    test("resets at once, and says what was never sent", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.socket.pause();
      const written = writeUntilStuck(connection);
      const queued = connection.queuedBytes;
      connection.reset();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(connection.unsentBytes, queued);
      client.socket.resume();
      await until(() => client.closed, "the client sees the reset");
      assert.equal(client.errorCode, "ECONNRESET");
      assert.ok(client.receivedBytes <= written.length - connection.unsentBytes + 64 * 1024);
    });

    test("resets also in the very moment in which it finishes", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      connection.write(Buffer.from("bye"));
      connection.finish();
      connection.reset();
      await until(() => sink.closes === 1, "the connection is gone");
      await until(() => {
        if (!client.closed) client.send("am I still here?");
        return client.closed;
      }, "the client finds itself reset");
    });

    test("tells a client's reset once, as an error", async (t) => {
      const { client, sink } = await connectPair(t, transport);
      client.socket.resetAndDestroy();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(sink.error?.code, "ECONNRESET");
      assert.equal(sink.finishes, 0);
    });

    test("tells a vanished client that is being sent to", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.close();
      await until(() => {
        if (sink.closes === 0) connection.write(Buffer.from("are you there?"));
        return sink.closes === 1;
      }, "the connection is gone");
      assert.ok(sink.error?.code === "ECONNRESET" || sink.error?.code === "EPIPE", String(sink.error));
    });

    test("reads nothing while paused, and everything after", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      connection.pause();
      const sent = randomBytes(8 * MIB);
      client.send(sent);
      await until(
        () => client.socket.writableLength > 0 && client.socket.bytesWritten > 0,
        "the client is stuck",
      );
      const before = sink.bytes;
      await until(() => client.socket.writableLength > 0, "the client is still stuck");
      assert.equal(sink.bytes, before);
      connection.resume();
      await until(() => sink.bytes === sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("may be paused from within a read", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      const received = sink.received.bind(sink);
      sink.received = (bytes, length) => {
        received(bytes, length);
        connection.pause();
      };
      client.send("first");
      await until(() => sink.text === "first", "the first is read");
      client.send("second");
      connection.resume();
      await until(() => sink.text === "firstsecond", "the second is read");
    });

    test("keeps the clients apart while all read through the same path", async (t) => {
      const sinks: { sink: RecordingSink; connection: Connection }[] = [];
      const listener = await openListener(t, transport, (connection) => {
        const sink = new RecordingSink();
        sinks.push({ sink, connection });
        connection.open(sink);
      });
      const clients = await Promise.all(
        Array.from({ length: 50 }, () => TestClient.connect(listener.endpoint.port)),
      );
      for (let round = 0; round < 20; round++) {
        for (const client of clients) client.send(`${client.socket.localPort};`);
      }
      const whole = () =>
        sinks.every(({ sink, connection }) => sink.text === `${connection.port};`.repeat(20));
      await until(() => sinks.length === clients.length && whole(), "everybody's own has arrived");
      for (const client of clients) client.close();
      for (const { connection } of sinks) connection.close();
      await until(() => sinks.every(({ sink }) => sink.closes === 1), "everybody has gone");
    });

    test("after its listener has closed accepts nobody, and lives on", async (t) => {
      const { client, connection, sink, listener } = await connectPair(t, transport);
      const { port } = listener.endpoint;
      await listener.close();
      const late = new TestClient(port);
      await until(() => late.closed, "a late client is refused");
      assert.equal(late.errorCode, "ECONNREFUSED");
      client.send("still here");
      await until(() => sink.text === "still here", "the client is still read");
      connection.write(Buffer.from("so am I"));
      await client.expect("so am I");
    });

    test("takes in everybody who was waiting when its listener closes", async (t) => {
      let accepted = 0;
      const listener = await openListener(t, transport, (connection) => {
        accepted++;
        connection.open(new RecordingSink());
        connection.close();
      });
      const clients = Array.from({ length: 200 }, () => new TestClient(listener.endpoint.port));
      t.after(() => {
        for (const client of clients) client.close();
      });
      await until(() => accepted > 0, "the first is accepted");
      await listener.close();
      await until(
        () => clients.every((client) => client.closed || client.ended),
        "everybody is served or refused",
      );
      const reset = clients.filter((client) => client.errorCode === "ECONNRESET");
      assert.equal(
        reset.length,
        0,
        `${reset.length} clients were connected and then reset by the listener's end`,
      );
    });
  });
}
