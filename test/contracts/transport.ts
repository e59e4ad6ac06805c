/** What every transport must do, on every read path: one suite, run on each. */

import assert from "node:assert/strict";
import { createHash, randomBytes, randomFillSync } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import type {
  Arrival,
  Connection,
  ConnectionSink,
  TransportFault,
} from "../../gateway/transports/connection.ts";
import type { AcceptSink, Listener } from "../../gateway/transports/listener.ts";
import type { AnyClient } from "../helpers/client.ts";
import { until } from "../helpers/wait.ts";

export interface TransportUnderTest {
  readonly name: string;
  /** Why it can't be tried here, if it can't. */
  readonly skip?: string | undefined;
  /** A listener on a free port of loopback, or on a free path. */
  listener(t: TestContext, accept: AcceptSink): Listener;
  /** A client that begins to connect. */
  connect(listener: Listener): AnyClient;
  /** What the transport has of these; where it has not, what it does instead is its own test's to say. */
  readonly has: {
    /** Clients have addresses, and listeners ports that can be closed. */
    readonly addresses: boolean;
    /**
     * What is told of a client that shuts down its sending side: that it has finished, that it has left, or that it is gone.
     * In the first two cases what was sent to it before still arrives.
     */
    readonly shutDown: "finished" | "left" | "closed";
    /** A client's reset is told as one. */
    readonly resets: boolean;
    /** And so is the gateway's, to the client. */
    readonly visibleResets: boolean;
    /** How much may have been sent, bytes, of what is told as unsent: a write that was taken in part counts whole. */
    readonly unsentWithin: number;
  };
}

const MIB = 1024 * 1024;
const FAREWELL = { reason: "dropped" };

/** Hears a client, and keeps what it heard. */
export class RecordingSink implements ConnectionSink {
  readonly parts: Buffer[] = [];
  connection: Connection | undefined;
  bytes = 0;
  controls = 0;
  readonly ends: ("finished" | "left")[] = [];
  closes = 0;
  readonly leavings: ("gone" | "finishing")[] = [];
  fault: TransportFault | undefined;
  failure: string | undefined;
  error: NodeJS.ErrnoException | undefined;
  readonly #pauses: boolean;

  /** @param pauses whether nothing is to be read of its client at first */
  constructor(pauses = false) {
    this.#pauses = pauses;
  }

  identified(): undefined {}

  presented(): undefined {}

  failed(refusal: string): void {
    this.failure = refusal;
  }

  established(connection: Connection): void {
    assert.equal(this.connection, undefined, "it is established once");
    this.connection = connection;
    if (this.#pauses) connection.pause();
  }

  received(bytes: Buffer, start: number, end: number): void {
    this.parts.push(Buffer.from(bytes.subarray(start, end)));
    this.bytes += end - start;
  }

  control(): void {
    this.controls++;
  }

  faulted(fault: TransportFault): void {
    this.fault = fault;
  }

  leaving(gone: boolean): void {
    this.leavings.push(gone ? "gone" : "finishing");
  }

  finished(): void {
    this.ends.push("finished");
  }

  left(): void {
    this.ends.push("left");
  }

  closed(error: NodeJS.ErrnoException | undefined): void {
    this.closes++;
    this.error = error;
  }

  get finishes(): number {
    return this.ends.filter((end) => end === "finished").length;
  }

  get text(): string {
    return Buffer.concat(this.parts).toString();
  }
}

interface Pair {
  readonly client: AnyClient;
  readonly arrival: Arrival;
  readonly connection: Connection;
  readonly sink: RecordingSink;
  readonly listener: Listener;
}

async function openListener(
  t: TestContext,
  transport: TransportUnderTest,
  accept: AcceptSink,
): Promise<Listener> {
  const listener = transport.listener(t, accept);
  await listener.open();
  t.after(() => listener.close());
  return listener;
}

/** A client and the gateway's end of its connection, established. */
async function connectPair(
  t: TestContext,
  transport: TransportUnderTest,
  sink = new RecordingSink(),
): Promise<Pair> {
  const accepted: Arrival[] = [];
  const listener = await openListener(t, transport, (arrival) => accepted.push(arrival));
  const client = transport.connect(listener);
  await until(() => accepted.length === 1, "the client is accepted");
  const [arrival] = accepted;
  assert.ok(arrival !== undefined);
  arrival.open(sink);
  await until(() => sink.connection !== undefined && client.ready, "the connection is established");
  const { connection } = sink;
  assert.ok(connection !== undefined);
  t.after(async () => {
    client.close();
    connection.close();
    await until(() => sink.closes > 0, "the connection is gone");
  });
  return { client, arrival, connection, sink, listener };
}

/** Writes a message as the connection wants it. */
function write(connection: Connection, payload: Buffer): boolean {
  return connection.write(connection.encoder?.encode(payload) ?? payload);
}

/** Writes to a client that does not read until the kernel takes no more; gives the bytes that were written. */
function writeUntilStuck(connection: Connection): Buffer {
  const written: Buffer[] = [];
  // One buffer for all writes, all of it filled anew whenever the connection says that it may be.
  let memory = Buffer.alloc(64 * 1024);
  while (connection.queuedBytes < MIB) {
    randomFillSync(memory);
    written.push(Buffer.from(memory));
    if (!write(connection, memory)) memory = Buffer.alloc(64 * 1024);
  }
  return Buffer.concat(written);
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function describeTransport(transport: TransportUnderTest): void {
  const { has, name, skip } = transport;
  const streams = has.shutDown !== "closed";
  describe(name, { skip: skip ?? false }, () => {
    test("tells the port that was bound, and the client's address", async (t) => {
      const { client, arrival, listener } = await connectPair(t, transport);
      assert.equal(listener.endpoint.port !== 0, has.addresses);
      assert.equal(arrival.address, has.addresses ? "127.0.0.1" : "");
      assert.equal(arrival.port, has.addresses ? client.localPort : 0);
      assert.ok((arrival.descriptor ?? 0) > 2);
    });

    test("delivers what the client sends, whole and in order", async (t) => {
      const { client, sink } = await connectPair(t, transport);
      const sent = randomBytes(3 * MIB);
      client.send(sent);
      await until(() => sink.bytes >= sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("reads nothing where it was paused at once", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      connection.pause();
      client.send("early");
      await until(() => client.receivedBytes === 0 && !client.closed, "nothing is read");
      assert.equal(sink.text, "");
      connection.resume();
      await until(() => sink.text === "early", "what came early is read");
    });

    test("delivers what is sent to the client, whole and in order, however slowly it reads", async (t) => {
      const { client, connection } = await connectPair(t, transport);
      client.pause();
      const written = writeUntilStuck(connection);
      assert.ok(connection.queuedBytes >= MIB);
      client.resume();
      await until(() => client.receivedBytes >= written.length, "everything has arrived");
      assert.equal(digest(client.received), digest(written));
      await until(() => connection.queuedBytes === 0, "nothing is queued");
    });

    test("says when the client has shut down its sending side, and can still send to it", async (t) => {
      if (!streams) return;
      const { client, connection, sink } = await connectPair(t, transport);
      client.send("question");
      client.end();
      await until(() => sink.ends.length === 1, "its end is told");
      assert.deepEqual(sink.ends, [has.shutDown]);
      assert.equal(sink.text, "question");
      assert.equal(sink.closes, 0);
      write(connection, Buffer.from("answer"));
      await client.expect("answer");
      connection.finish(FAREWELL);
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(sink.error, undefined);
    });

    test("finishes only after what is queued was sent, and reads on until the client closes", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.pause();
      const written = writeUntilStuck(connection);
      connection.finish(FAREWELL);
      if (streams) {
        // More than the kernel takes of a client that is not read.
        client.send(Buffer.alloc(16 * MIB));
        await until(() => !client.stuck, "the client is still read");
        assert.equal(sink.bytes, 0, "and nothing of that is received");
      }
      client.resume();
      await until(() => client.ended, "the client sees the end");
      assert.equal(digest(client.received), digest(written));
      if (streams) assert.equal(sink.closes, 0);
      client.end();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.deepEqual([sink.error, client.errorCode, connection.unsentBytes], [undefined, undefined, 0]);
    });

    test("resets at once, and says what was never sent", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.pause();
      const written = writeUntilStuck(connection);
      const queued = connection.queuedBytes;
      connection.reset();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(connection.unsentBytes, queued);
      client.resume();
      await until(() => client.closed || client.ended, "the client sees the reset");
      if (has.visibleResets) assert.equal(client.errorCode, "ECONNRESET");
      assert.ok(client.receivedBytes <= written.length - connection.unsentBytes + has.unsentWithin);
    });

    test("resets also in the very moment in which it finishes", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      write(connection, Buffer.from("bye"));
      connection.finish(FAREWELL);
      connection.reset();
      await until(() => sink.closes === 1, "the connection is gone");
      await until(() => {
        if (!client.closed) client.send("am I still here?");
        return client.closed;
      }, "the client finds itself reset");
    });

    test("tells a client's reset once, as an error", async (t) => {
      if (!has.resets) return;
      const { client, sink } = await connectPair(t, transport);
      client.reset();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(sink.error?.code, "ECONNRESET");
      assert.deepEqual(sink.ends, []);
    });

    test("tells a vanished client that is being sent to", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      client.close();
      await until(() => {
        if (sink.closes === 0) write(connection, Buffer.from("are you there?"));
        return sink.closes === 1;
      }, "the connection is gone");
      // A WebSocket that ends without a close frame is given up at once, before a write could fail.
      const codes = streams ? ["ECONNRESET", "EPIPE"] : ["ECONNRESET", "EPIPE", undefined];
      assert.ok(codes.includes(sink.error?.code), String(sink.error));
    });

    test("reads nothing while paused, and everything after", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      connection.pause();
      const sent = randomBytes(8 * MIB);
      client.send(sent);
      await until(() => client.stuck, "the client is stuck");
      const before = sink.bytes;
      // Nobody takes it for gone, or for about to go.
      connection.lookForEnd();
      await until(() => client.stuck, "the client is still stuck");
      assert.deepEqual([sink.bytes, sink.leavings, sink.closes], [before, [], 0]);
      connection.resume();
      await until(() => sink.bytes === sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("reads nothing where it is read for the first time and paused again in one turn", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport, new RecordingSink(true));
      connection.resume();
      connection.pause();
      const sent = randomBytes(8 * MIB);
      client.send(sent);
      await until(() => client.stuck, "the client is stuck");
      // It has had every chance to be read once it has got something.
      write(connection, Buffer.from("hello"));
      await until(() => client.receivedBytes > 0, "the client has got something");
      assert.equal(sink.bytes, 0);
      connection.resume();
      await until(() => sink.bytes === sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("tells of a client's end also while it is paused, and then of what it said before", async (t) => {
      if (!streams) return;
      const { client, connection, sink } = await connectPair(t, transport);
      connection.pause(true);
      client.send("last words");
      client.end();
      await until(() => sink.leavings.includes("finishing"), "the end is told");
      assert.deepEqual([sink.text, sink.ends, sink.closes], ["", [], 0]);
      connection.resume();
      await until(() => sink.ends.length === 1, "the rest is told");
      assert.equal(sink.text, "last words");
    });

    test("tells that a paused client is gone, once it is looked for", async (t) => {
      if (!has.resets) return;
      const { client, connection, sink } = await connectPair(t, transport, new RecordingSink(true));
      client.send("last words");
      await until(() => !client.stuck, "the client has said it");
      client.reset();
      await until(() => {
        connection.lookForEnd();
        return sink.closes + sink.leavings.length > 0;
      }, "the end is told");
      connection.close();
      await until(() => sink.closes === 1, "the connection is gone");
      assert.equal(sink.error?.code, "ECONNRESET");
    });

    test("keeps little of a client that is paused and watched", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      connection.pause(true);
      const sent = randomBytes(8 * MIB);
      client.send(sent);
      await until(() => client.stuck, "the client is stuck");
      write(connection, Buffer.from("hello"));
      await until(() => client.receivedBytes > 0, "it has had every chance to be read");
      assert.ok(client.stuck);
      assert.equal(sink.bytes, 0);
      connection.resume();
      await until(() => sink.bytes === sent.length, "everything has arrived");
      assert.equal(digest(Buffer.concat(sink.parts)), digest(sent));
    });

    test("may be paused from within a read", async (t) => {
      const { client, connection, sink } = await connectPair(t, transport);
      const received = sink.received.bind(sink);
      sink.received = (bytes, start, end) => {
        received(bytes, start, end);
        connection.pause();
      };
      client.send("first");
      await until(() => sink.text === "first", "the first is read");
      client.send("second");
      connection.resume();
      await until(() => sink.text === "firstsecond", "the second is read");
    });

    test("keeps the clients apart while all read through the same path", async (t) => {
      const sinks: RecordingSink[] = [];
      const listener = await openListener(t, transport, (arrival) => {
        const sink = new RecordingSink();
        sinks.push(sink);
        arrival.open(sink);
      });
      const clients = Array.from({ length: 50 }, () => transport.connect(listener));
      t.after(() => {
        for (const client of clients) client.close();
      });
      const established = () => sinks.filter((sink) => sink.connection !== undefined).length === 50;
      await until(() => established() && clients.every((client) => client.ready), "all are there");
      for (let round = 0; round < 20; round++) {
        for (const [index, client] of clients.entries()) client.send(`${index};`);
      }
      const wanted = clients.map((_, index) => `${index};`.repeat(20)).sort();
      const whole = () => sinks.reduce((sum, sink) => sum + sink.bytes, 0) >= wanted.join("").length;
      await until(whole, "everything has arrived");
      assert.deepEqual(sinks.map((sink) => sink.text).sort(), wanted);
      for (const client of clients) client.close();
      for (const { connection } of sinks) connection?.close();
      await until(() => sinks.every((sink) => sink.closes === 1), "everybody has gone");
    });

    test("after its listener has closed accepts nobody, and lives on", async (t) => {
      const { client, connection, sink, listener } = await connectPair(t, transport);
      await listener.close();
      const late = transport.connect(listener);
      await until(() => late.closed, "a late client is refused");
      assert.ok(["ECONNREFUSED", "ENOENT"].includes(late.errorCode ?? ""), String(late.errorCode));
      client.send("still here");
      await until(() => sink.text === "still here", "the client is still read");
      write(connection, Buffer.from("so am I"));
      await client.expect("so am I");
    });

    test("takes in everybody who was waiting when its listener closes", async (t) => {
      let accepted = 0;
      const listener = await openListener(t, transport, (arrival) => {
        accepted++;
        arrival.close();
      });
      const clients = Array.from({ length: 200 }, () => transport.connect(listener));
      t.after(() => {
        for (const client of clients) client.close();
      });
      await until(() => accepted > 0, "the first is accepted");
      await listener.close();
      await until(
        () => clients.every((client) => client.closed || client.ended),
        "everybody is served or refused",
      );
      const refused = clients.filter((client) => ["ECONNREFUSED", "ENOENT"].includes(client.errorCode ?? ""));
      assert.equal(accepted + refused.length, clients.length, "somebody was connected and never accepted");
    });

    test("may be ended before it was opened, and in the middle of its handshake", async (t) => {
      const sinks: RecordingSink[] = [];
      let accepted = 0;
      const listener = await openListener(t, transport, (arrival) => {
        accepted++;
        if (accepted === 1) {
          arrival.close();
          return;
        }
        const sink = new RecordingSink();
        sinks.push(sink);
        arrival.open(sink);
        if (accepted === 2) arrival.close();
        else arrival.reset();
      });
      const clients = Array.from({ length: 3 }, () => transport.connect(listener));
      t.after(() => {
        for (const client of clients) client.close();
      });
      await until(() => sinks.length === 2 && sinks.every((sink) => sink.closes === 1), "all ends are told");
      await until(() => clients.every((client) => client.closed || client.ended), "all clients are ended");
    });
  });
}
