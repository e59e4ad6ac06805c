/** What the poller does beyond what every transport does, on every read path (contract.test.ts). */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import type { AcceptSink } from "../../gateway/transports/listener.ts";
import type { PolledChannel } from "../../gateway/transports/polled-channel.ts";
import { PolledListener } from "../../gateway/transports/polled-listener.ts";
import type { Poller } from "../../gateway/transports/poller.ts";
import { descriptorOf } from "../../gateway/transports/socket-channel.ts";
import { StreamConnection } from "../../gateway/transports/stream-connection.ts";
import { RecordingSink } from "../contracts/transport.ts";
import { TestClient } from "../helpers/client.ts";
import { poller, whyNoPoller } from "../helpers/poller.ts";
import { ROOT } from "../helpers/process.ts";
import { next, until } from "../helpers/wait.ts";

const MAX_FILES = 64;
const POLLER = join(ROOT, "gateway/transports/poller.ts");

/** Has each pause the other when it is heard: who is heard second in a read has been read already. */
function pauseEachOther(one: RecordingSink, other: RecordingSink): void {
  for (const [mine, its] of [
    [one, other],
    [other, one],
  ] as const) {
    const received = mine.received.bind(mine);
    mine.received = (bytes, start, end) => {
      received(bytes, start, end);
      its.connection?.pause();
    };
  }
}

describe("the poller", { skip: whyNoPoller ?? false }, () => {
  async function open(t: TestContext, accept: AcceptSink): Promise<PolledListener> {
    const arrive = (channel: PolledChannel, peer: { address: string; port: number }) =>
      new StreamConnection(channel, peer);
    const listener = new PolledListener(
      parseListenAddress("tcp://127.0.0.1:0"),
      poller as Poller,
      arrive,
      accept,
    );
    await listener.open();
    t.after(() => listener.close());
    return listener;
  }

  /** A listener of the poller's own, and `connect`, which has a client wait there before this turn is over. */
  async function listenRaw(t: TestContext, arrived: (descriptor: number, stop: () => void) => void) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const own = (poller as Poller).listen(descriptorOf(server) ?? -1, 60, (descriptor) =>
      arrived(descriptor, stop),
    );
    const stop = () => poller?.stop(own);
    server.close();
    const dial = () => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      t.after(() => socket.destroy());
      return socket;
    };
    return { stop, dial };
  }

  test("tells of a client that waits for a listener when that is stopped", async (t) => {
    let arrivals = 0;
    const { stop, dial } = await listenRaw(t, (descriptor) => {
      arrivals++;
      poller?.discard(descriptor);
    });
    const client = dial();
    const gone = Promise.race([once(client, "end"), once(client, "close")]);
    // It connects behind this, and nothing is polled before the turn is over.
    await new Promise(process.nextTick);
    assert.equal(arrivals, 0);
    stop();
    assert.equal(arrivals, 1);
    client.resume();
    await gone;
  });

  test("closes a client that arrives with the one at which its listener is stopped", async (t) => {
    let arrivals = 0;
    const { dial } = await listenRaw(t, (descriptor, stop) => {
      arrivals++;
      stop();
      poller?.discard(descriptor);
    });
    const clients = [dial(), dial()];
    const gone = clients.map((client) => Promise.race([once(client.resume(), "end"), once(client, "close")]));
    await Promise.all(gone);
    assert.equal(arrivals, 1);
  });

  test("touches no descriptor that is not its own", () => {
    const foreign = openSync("/dev/null", "r");
    const { send, peer } = { send: poller?.send(foreign, Buffer.from("x")), peer: poller?.peer(foreign) };
    poller?.pause(foreign);
    poller?.resume(foreign);
    poller?.shutDown(foreign);
    poller?.discard(foreign);
    assert.ok((send ?? 0) < 0);
    assert.equal(peer, undefined);
    fstatSync(foreign);
    closeSync(foreign);
    for (const none of [-1, 2 ** 20, 2 ** 31 - 1]) assert.ok((poller?.send(none, Buffer.from("x")) ?? 0) < 0);
  });

  test("tells nothing of a client that was given up by one before it in the same read", async (t) => {
    const sinks: RecordingSink[] = [];
    const listener = await open(t, (arrival) => {
      const sink = new RecordingSink();
      sinks.push(sink);
      arrival.open(sink);
    });
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => TestClient.connect(listener.endpoint.port)),
    );
    t.after(() => {
      for (const client of clients) client.close();
    });
    await until(() => sinks.length === clients.length, "all are there");
    // Whoever is heard first ends all others.
    for (const sink of sinks) {
      const received = sink.received.bind(sink);
      sink.received = (bytes, start, end) => {
        received(bytes, start, end);
        for (const other of sinks) if (other !== sink) other.connection?.close();
      };
    }
    for (const client of clients) client.send("me");
    await until(() => sinks.filter(({ closes }) => closes === 1).length === 7, "the others have ended");
    assert.equal(sinks.filter(({ text }) => text === "me").length, 1);
    sinks.find(({ closes }) => closes === 0)?.connection?.close();
  });

  test("keeps clients apart that have had the same descriptor one after the other", async (t) => {
    const sinks: RecordingSink[] = [];
    const descriptors: (number | undefined)[] = [];
    const listener = await open(t, (arrival) => {
      const sink = new RecordingSink();
      sinks.push(sink);
      descriptors.push(arrival.descriptor);
      arrival.open(sink);
    });
    for (let visit = 0; visit < 50; visit++) {
      const client = await TestClient.connect(listener.endpoint.port);
      client.send(`I am ${visit}`);
      await until(() => sinks[visit]?.text === `I am ${visit}`, "it is heard");
      // What it still says is on its way when its descriptor is free again.
      client.send("and still here");
      sinks[visit]?.connection?.close();
      await until(() => client.closed || client.ended, "it has gone");
      client.close();
    }
    assert.ok(new Set(descriptors).size < descriptors.length, "no descriptor was used twice");
    await until(() => sinks.every(({ closes }) => closes === 1), "each end is told, once");
    for (const [visit, sink] of sinks.entries()) {
      assert.ok([`I am ${visit}`, `I am ${visit}and still here`].includes(sink.text), sink.text);
    }
  });

  test("hears the end that came while it did not read, behind what came before it", async (t) => {
    const sink = new RecordingSink(true);
    const other = new RecordingSink();
    const listener = await open(t, (arrival) => arrival.open(sink.connection === undefined ? sink : other));
    const client = await TestClient.connect(listener.endpoint.port);
    await until(() => sink.connection !== undefined, "it is there");
    client.send("last words");
    client.end();
    // It has had every chance to be read once another client, who came later, was.
    const later = await TestClient.connect(listener.endpoint.port);
    t.after(() => {
      for (const one of [client, later]) one.close();
      for (const { connection } of [sink, other]) connection?.close();
    });
    later.send("hello");
    await until(() => other.text === "hello", "the other is heard");
    assert.deepEqual([sink.text, sink.finishes], ["", 0]);
    sink.connection?.resume();
    await until(() => sink.finishes === 1, "its end is told");
    assert.equal(sink.text, "last words");
  });

  test("keeps an end for later where its client was paused by what came before it", async (t) => {
    const sink = new RecordingSink();
    const other = new RecordingSink();
    const listener = await open(t, (arrival) => arrival.open(sink.connection === undefined ? sink : other));
    const client = await TestClient.connect(listener.endpoint.port);
    await until(() => sink.connection !== undefined, "the first is there");
    const rival = await TestClient.connect(listener.endpoint.port);
    await until(() => other.connection !== undefined, "the second is there");
    t.after(() => {
      for (const one of [client, rival]) one.close();
      for (const { connection } of [sink, other]) connection?.close();
    });
    pauseEachOther(sink, other);
    client.send("one");
    client.end();
    rival.send("two");
    rival.end();
    await until(() => sink.text !== "" || other.text !== "", "one is heard");
    for (const one of [sink, other]) {
      if (one.text === "") assert.equal(one.finishes, 0);
    }
    await until(() => {
      for (const { connection } of [sink, other]) connection?.resume();
      return sink.finishes === 1 && other.finishes === 1;
    }, "both ends are told");
    assert.deepEqual([sink.text, other.text], ["one", "two"]);
  });

  for (const queued of [false, true]) {
    const state = queued ? "while it was sent to" : "and nothing is sent to it";
    test(`hears what a client said right before it reset, ${state}`, async (t) => {
      const sink = new RecordingSink();
      const listener = await open(t, (arrival) => arrival.open(sink));
      const client = await TestClient.connect(listener.endpoint.port);
      t.after(() => client.close());
      await until(() => sink.connection !== undefined, "it is there");
      client.pause();
      while (queued && sink.connection?.queuedBytes === 0) sink.connection.write(Buffer.alloc(64 * 1024));
      client.send("last words");
      client.reset();
      await until(() => sink.closes === 1, "it is gone");
      assert.deepEqual([sink.text, sink.error?.code], ["last words", "ECONNRESET"]);
    });
  }

  test("hears what a client said right before it reset, also where it was paused in that moment", async (t) => {
    const sinks = [new RecordingSink(), new RecordingSink()] as const;
    const [sink, other] = sinks;
    const listener = await open(t, (arrival) => arrival.open(sink.connection === undefined ? sink : other));
    const clients = [new TestClient(listener.endpoint.port), new TestClient(listener.endpoint.port)];
    await until(() => sinks.every(({ connection }) => connection !== undefined), "both are there");
    pauseEachOther(sink, other);
    for (const client of clients) {
      client.send("last words");
      client.reset();
    }
    await until(() => {
      for (const { connection } of sinks) connection?.resume();
      return sinks.every(({ closes }) => closes === 1);
    }, "both are gone");
    assert.deepEqual([sink.text, other.text], ["last words", "last words"]);
  });

  test("hears what lies behind urgent data, at which a read stops", {
    skip: spawnSync("python3", ["--version"]).status === 0 ? false : "python3 is not there",
  }, async (t) => {
    const sink = new RecordingSink();
    const listener = await open(t, (arrival) => arrival.open(sink));
    const speak = [
      "import socket, sys",
      "client = socket.create_connection(('127.0.0.1', int(sys.argv[1])))",
      "client.send(b'before, ')",
      "client.send(b'!', socket.MSG_OOB)",
      "client.send(b'behind')",
      "sys.stdin.read()",
    ];
    const child = spawn("python3", ["-c", speak.join("\n"), String(listener.endpoint.port)], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    const exited = once(child, "exit");
    t.after(async () => {
      child.stdin.end();
      await exited;
    });
    await until(() => sink.text === "before, behind", "all of it is heard");
    sink.connection?.close();
  });

  test("lets a worker thread come and go", async () => {
    const code = `import(${JSON.stringify(POLLER)}).then(({ Poller }) => Poller.load().peer(1))`;
    const [exitCode] = await next<[number]>(new Worker(code, { eval: true }), "exit");
    assert.equal(exitCode, 0);
  });

  test("tells of a client that broke off before it was accepted", async (t) => {
    const gone: (string | undefined)[] = [];
    let told: (descriptor: number) => void = () => {};
    const listen = (_descriptor: number, _seconds: number, arrived: typeof told) => {
      told = arrived;
      return 0;
    };
    const listener = new PolledListener(
      parseListenAddress("tcp://127.0.0.1:0"),
      { listen, stop() {} } as unknown as Poller,
      () => assert.fail("there is nobody to take in"),
      ({ goneAs }) => gone.push(goneAs),
    );
    await listener.open();
    t.after(() => listener.close());
    for (const code of ["ECONNABORTED", "EMFILE", "ENOMEM"] as const) told(-constants.errno[code]);
    assert.deepEqual(gone, ["reset-early", "descriptors", "descriptors"]);
  });

  test("sends clients away while there is no descriptor left, and takes them in again after", async (t) => {
    const told: { port?: number; accepted?: number; goneAs?: string; free?: boolean }[] = [];
    const args = [join(ROOT, "test/fixtures/full-poller.ts")];
    const shell = ["-c", `ulimit -n ${MAX_FILES} && exec "$@"`, "sh", process.execPath, ...args];
    const child = spawn("sh", shell, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const exited = once(child, "exit");
    t.after(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    child.on("message", (message) => told.push(message as (typeof told)[number]));
    await until(() => told.length > 0, "it listens");
    const port = told[0]?.port ?? 0;
    const clients = Array.from({ length: 20 }, () => new TestClient(port));
    await until(() => clients.every((client) => client.closed || client.ended), "all are sent away");
    for (const client of clients) client.close();
    await until(() => told.length > clients.length, "each is told of");
    assert.deepEqual(
      told.slice(1),
      clients.map(() => ({ goneAs: "descriptors" })),
    );
    child.send("go on");
    await until(() => told.some(({ free }) => free === true), "there are descriptors again");
    const late = await TestClient.connect(port);
    t.after(() => late.close());
    await until(() => told.some(({ accepted }) => accepted === late.localPort), "a late client is let in");
  });
});
