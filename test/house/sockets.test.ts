/** Whatever can emit an error has somebody who listens, from birth to death (process/sockets.ts). */

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { globSync, readFileSync } from "node:fs";
import type { Server as HttpServer } from "node:http";
import { connect, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { connect as tlsConnect } from "node:tls";
import {
  connectSocket,
  connectTls,
  createHttpServer,
  createSocketServer,
  createTlsServer,
  socketOver,
} from "../../process/sockets.ts";
import { withErrorListener } from "../../process/stream-errors.ts";
import { ROOT } from "../helpers/process.ts";
import { readTlsFile } from "../helpers/tls-files.ts";
import { next } from "../helpers/wait.ts";

/** Where sockets and servers are made. */
const MAKERS = "process/sockets.ts";

/** What may be had of Node's modules that make sockets and servers: nothing of it is one, or makes one. */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  "node:net": ["BlockList", "isIP", "isIPv4", "isIPv6"],
  "node:tls": ["createSecureContext", "getCACertificates"],
  "node:http": ["STATUS_CODES"],
  "node:https": [],
  "node:http2": [],
  "node:dgram": [],
  "node:child_process": [],
  "node:worker_threads": [],
  "node:stream": ["Writable"],
};

/** Streams that are no sockets, each made with its listener. */
const STREAM = /(withErrorListener\(\s*)?new (?:Readable|Writable|Duplex|Transform|PassThrough)\(/g;

const files = globSync("{proto,link,process,gateway,manager-stub}/**/*.ts", { cwd: ROOT }).filter(
  (file) => file !== MAKERS,
);

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** The values, types left out, that a file has of Node's modules, as `module name`. */
function valuesOf(text: string): string[] {
  const imports = text.matchAll(/^import\s+(type\s)?([^;]*?)\s+from\s+"(node:[^"]+)"/gm);
  return [...imports].flatMap(([, isType, names = "", module = ""]) => {
    if (isType !== undefined || HARMLESS[module] === undefined) return [];
    const named = /^\{([^}]*)\}$/.exec(names)?.[1];
    const values = named === undefined ? [names] : named.split(",").map((name) => name.trim());
    return values
      .filter((name) => name !== "" && !name.startsWith("type "))
      .map((name) => `${module} ${name.replace(/ as .*$/, "")}`);
  });
}

function isHarmless(value: string): boolean {
  const [module = "", name = ""] = value.split(" ");
  return HARMLESS[module]?.includes(name) === true;
}

describe("sockets, servers and streams", () => {
  test("are made in one place alone", () => {
    const made = files.flatMap((file) => valuesOf(read(file)).map((value) => ({ file, value })));
    assert.ok(made.length > 5, "imports are found");
    assert.deepEqual(
      made.filter(({ value }) => !isHarmless(value)),
      [],
    );
  });

  test("and those that are no sockets are made with their listener", () => {
    const found = files.flatMap((file) => [...read(file).matchAll(STREAM)].map((match) => ({ file, match })));
    assert.ok(found.length > 0, "streams are found");
    assert.deepEqual(
      found.filter(({ match }) => match[1] === undefined).map(({ file }) => file),
      [],
    );
  });

  test("keep it: no code takes off what it has not put on", () => {
    const takers = files.filter((file) => /removeAllListeners\(\s*(?:\)|"error"|[^"\s])/.test(read(file)));
    assert.deepEqual(takers, []);
  });

  test("are heard of by its handlers, where a server of HTTP hands them out", () => {
    const known = /\.(?:on|once|addListener|prependListener)\(\s*"(?:upgrade|connect)"/;
    assert.deepEqual(
      files.filter((file) => known.test(read(file))),
      [],
    );
  });
});

/** What each has: Node has listeners of its own on some, and takes them off when it likes. */
const [FOR_GOOD] = withErrorListener(new EventEmitter()).listeners("error");

/** Its error, of whatever sort, ends nobody. */
function assertHeard(emitter: EventEmitter): void {
  assert.ok(emitter.listeners("error").includes(FOR_GOOD as () => void));
  emitter.emit("error", new Error("it breaks"));
}

async function listening(t: TestContext, server: Server | HttpServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await next(server, "listening");
  return (server.address() as { port: number }).port;
}

/** A client that says something, and what it connects to may break. */
function client(t: TestContext, port: number, said = ""): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  socket.write(said);
  return socket;
}

describe("what sockets.ts makes has a listener for its errors", () => {
  test("a server, and each socket that it accepts", async (t) => {
    const server = createSocketServer();
    client(t, await listening(t, server));
    const [socket] = await next<[Socket]>(server, "connection");
    for (const one of [server, socket]) assertHeard(one);
    socket.destroy();
  });

  test("a server of TLS, the socket below and the one on top", async (t) => {
    const server = createTlsServer({ cert: readTlsFile("server.crt"), key: readTlsFile("server.key") });
    const port = await listening(t, server);
    const dialled = withErrorListener(tlsConnect({ port, host: "127.0.0.1", rejectUnauthorized: false }));
    t.after(() => dialled.destroy());
    const accepted = next<[Socket]>(server, "connection");
    const [secure] = await next<[Socket]>(server, "secureConnection");
    const [raw] = await accepted;
    for (const one of [server, raw, secure]) assertHeard(one);
    secure.destroy();
  });

  test("a socket of TLS whose handshake fails", async (t) => {
    const server = createTlsServer({ cert: readTlsFile("server.crt"), key: readTlsFile("server.key") });
    client(t, await listening(t, server), "no TLS at all");
    const [, socket] = await next<[Error, Socket]>(server, "tlsClientError");
    assertHeard(socket);
    socket.destroy();
  });

  const requests = {
    request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    upgrade: "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: b\r\nContent-Length: 5\r\n\r\n",
    connect: "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    checkExpectation: "GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
    clientError: "no HTTP at all\r\n\r\n",
  };
  for (const [event, request] of Object.entries(requests)) {
    test(`what a server of HTTP hands out by ${event}`, async (t) => {
      const told = Promise.withResolvers<EventEmitter>();
      const hears = (_first: unknown, second: EventEmitter) => told.resolve(second);
      const handlers = { request: hears, upgrade: hears, connect: hears, checkExpectation: hears };
      const server = createHttpServer({}, { ...handlers, clientError: hears });
      client(t, await listening(t, server), request);
      const [socket] = await next<[Duplex]>(server, "connection");
      for (const one of [server, socket, await told.promise]) assertHeard(one);
      socket.destroy();
    });
  }

  test("a socket that dials, over TLS or not, or lies over something", () => {
    const sockets = [connectSocket({ port: 1 }), connectTls({ port: 1 }), socketOver({})];
    for (const one of sockets) {
      assertHeard(one);
      one.destroy();
    }
  });

  test("which is one, however often it is asked for", () => {
    const emitter = withErrorListener(withErrorListener(new EventEmitter()));
    assert.equal(emitter.listenerCount("error"), 1);
  });
});
