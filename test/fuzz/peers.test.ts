/**
 * Whoever connects to a manager, over the link or its HTTP API, and whoever answers a gateway that dials: what they say is cut or
 * spoiled at any byte and ended in any way, and neither process ends by it, or holds a file of theirs.
 */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { DEFAULT_MAX_FRAME } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { TestProcess } from "../helpers/process.ts";
import { startManager, temporaryDirectory } from "../helpers/rig.ts";
import { readTlsFile, tlsFile } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";
import { startProcess } from "../manager-stub/manager-process.ts";
import { ENDPOINTS, JOIN, RawGateway, REGISTER, session } from "../manager-stub/raw-gateway.ts";
import { carryOut, type Manner, type Place } from "./handshakes/attempt.ts";
import { mutated } from "./handshakes/mutations.ts";
import { type Ending, endings } from "./handshakes/plan.ts";
import { fuzzSeed, Random } from "./random.ts";

/** Of each target, beside those that are cut at each byte. */
const DRAWN = 300;
const AT_ONCE = 200;

const moments = ["at-once", "written", "answered", 0, 1, 2] as const;

/** Where something is said, and what would be right. */
interface Target {
  readonly place: Place;
  readonly isSecure: boolean;
  readonly said: Buffer;
}

function batchOf(append: (batch: FrameBatch) => void): Buffer {
  const batch = new FrameBatch();
  append(batch);
  return Buffer.concat(batch.take());
}

/** What a gateway says: all that it needs, and a session that talks. */
const gatewaySays = batchOf((batch) => {
  toManager.register(batch, REGISTER);
  toManager.listening(batch, ENDPOINTS);
  toManager.join(batch, session(0), JOIN);
  toManager.message(batch, session(0), Buffer.from("hello"), 0, 5);
});

/** What a manager says. */
const managerSays = batchOf((batch) => {
  const epoch = Buffer.alloc(16, 7);
  const answer = { id: 1, capacity: 10, epoch, pingMs: 100, maxFrame: DEFAULT_MAX_FRAME };
  toGateway.registered(batch, { ...answer, resumed: false, received: 0 });
  toGateway.message(batch, session(0), Buffer.from("hello"));
  toGateway.messageAll(batch, Buffer.from("hello"));
  toGateway.drop(batch, session(0));
});

const BODY = '{"text":"hello"}';

/** What operators ask for. */
const requests: readonly string[] = [
  "GET /api/gateways HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
  "GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
  "GET /api/sessions?limit=5 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(2),
  `POST /api/broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  `POST /api/broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n${BODY}\r\n0\r\n\r\n`,
  "GET /api/gateways HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n",
  "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
  "POST /api/broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
];

/** The manner of a connection: cut at each byte first, each time ended in the next way; then drawn. */
function mannerOf({ said, isSecure }: Target, number: number): Manner {
  const random = new Random(fuzzSeed + number);
  const isCut = number <= said.length;
  const spoiled = random.chance(0.3) ? said : mutated(random, said);
  const bytes = isCut ? said.subarray(0, number) : spoiled;
  const end = isCut || random.chance(0.5) ? bytes.length : random.below(bytes.length + 1);
  const parts = [bytes.subarray(0, end)];
  return {
    listener: { wantsCertificate: false },
    from: "127.0.0.1",
    open: isSecure ? [] : parts,
    inside: isSecure ? parts : undefined,
    cipherFault:
      isSecure && !isCut && random.chance(0.4)
        ? { cutAt: random.below(2000), spoiltAt: undefined }
        : undefined,
    gapTurns: 0,
    ending: isCut ? (endings[number % endings.length] ?? "reset") : random.pick(endings),
    moment: random.pick(moments),
    mustBeEnded: false,
  };
}

/** Says everything that is to be said to a target, many at a time. */
async function attack(target: Target, isOver: () => boolean): Promise<void> {
  const count = target.said.length + 1 + DRAWN;
  let begun = 0;
  const one = async () => {
    while (begun < count && !isOver()) await carryOut(mannerOf(target, begun++), target.place);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

function openFiles({ child }: TestProcess): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}

/** It lives, and has said nothing but its log. */
function assertWell(running: TestProcess): void {
  assert.deepEqual([running.child.exitCode, running.child.signalCode, running.stderr], [null, null, ""]);
}

function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1]);
}

const seeded = `FUZZ_SEED=${fuzzSeed}`;

describe(`a manager, ${seeded}`, () => {
  for (const scheme of ["tcp", "tls", "unix"]) {
    test(`outlives whoever dials it over ${scheme}, and registers a gateway`, async (t) => {
      const url =
        scheme === "unix" ? `unix:${join(temporaryDirectory(t), "link.sock")}` : `${scheme}://127.0.0.1:0`;
      const tls = ["--tls-cert", tlsFile("server.crt"), "--tls-key", tlsFile("server.key")];
      const { running, link } = await startProcess(t, url, ...(scheme === "tls" ? tls : []));
      const before = openFiles(running);
      const place = scheme === "unix" ? link.slice("unix:".length) : portOf(link);
      await attack(
        { place, isSecure: scheme === "tls", said: gatewaySays },
        () => running.child.exitCode !== null,
      );
      assertWell(running);
      const honest = await RawGateway.registered(t, link, { name: "honest" }, { ca: readTlsFile("ca.crt") });
      honest.close();
      await until(() => openFiles(running) <= before, "it has closed what was dialled");
    });
  }

  test("outlives whoever asks something of its HTTP API, and answers", async (t) => {
    const url = `unix:${join(temporaryDirectory(t), "link.sock")}`;
    const { running, http } = await startProcess(t, url);
    const before = openFiles(running);
    for (const request of requests) {
      const target = { place: portOf(http), isSecure: false, said: Buffer.from(request) };
      await attack(target, () => running.child.exitCode !== null);
      assertWell(running);
    }
    const answer = await fetch(`http://${http}/api/gateways`, { headers: { connection: "close" } });
    assert.deepEqual(await answer.json(), { gateways: [] });
    await until(() => openFiles(running) <= before, "it has closed what was opened");
  });
});

/** A server that answers gateways, and ends each link in a manner of its own. */
class LinkTrap {
  readonly server: Server;
  readonly #random: Random;
  readonly #nth: number;
  links = 0;

  /** @param nth of those that go through all that is valid together */
  constructor(isSecure: boolean, nth: number) {
    this.#nth = nth;
    this.#random = new Random(fuzzSeed + nth);
    const identity = { cert: readTlsFile("server.crt"), key: readTlsFile("server.key") };
    this.server = isSecure ? createTlsServer(identity) : createServer({ allowHalfOpen: true });
    this.server.on("connection", (raw: Socket) => {
      raw.on("error", () => {});
      // Some end before they have shaken hands.
      if (isSecure && this.#random.chance(0.3))
        setImmediate(() => this.#end(raw, raw, this.#random.pick(endings)));
      if (!isSecure) this.#answer(raw, raw);
      else raws.push(raw);
    });
    const raws: Socket[] = [];
    this.server.on("secureConnection", (secure: Socket) => {
      secure.on("error", () => {});
      const raw = raws.find(({ remotePort }) => remotePort === secure.remotePort);
      if (raw !== undefined) this.#answer(secure, raw);
    });
  }

  /** Says something, once it was spoken to or before. */
  #answer(stream: Socket, raw: Socket): void {
    const random = this.#random;
    const number = this.#nth + MANAGERS * this.links++;
    const cut = managerSays.subarray(0, number % (managerSays.length + 1));
    const said = number <= managerSays.length ? cut : mutated(random, managerSays);
    const ending = number < managerSays.length ? "reset" : random.pick(endings);
    const speak = () => {
      stream.write(said);
      if (random.chance(0.3)) this.#end(stream, raw, ending);
      else setImmediate(() => this.#end(stream, raw, ending));
    };
    if (random.chance(0.8)) stream.once("data", speak);
    else speak();
    stream.resume();
  }

  #end(stream: Socket, raw: Socket, ending: Ending): void {
    if (ending === "fin") stream.destroySoon();
    else if (ending === "half-close") stream.end();
    else if (ending === "fin-reset") raw.end(() => raw.resetAndDestroy());
    else if (ending === "reset") raw.resetAndDestroy();
  }
}

async function startTrap(
  t: TestContext,
  isSecure: boolean,
  nth: number,
): Promise<{ trap: LinkTrap; port: number }> {
  const trap = new LinkTrap(isSecure, nth);
  const open = new Set<Socket>();
  trap.server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  t.after(() => {
    trap.server.close();
    for (const socket of open) socket.destroy();
  });
  trap.server.listen(0, "127.0.0.1");
  await next(trap.server, "listening");
  return { trap, port: (trap.server.address() as { port: number }).port };
}

/** Links that a gateway dials before it is looked at, to so many managers at once. */
const LINKS = 1000;
const MANAGERS = 10;

describe(`a gateway, ${seeded}`, () => {
  for (const scheme of ["tcp", "tls"]) {
    test(`outlives whoever answers it over ${scheme}, and goes on with its other manager`, async (t) => {
      const traps = await Promise.all(
        Array.from({ length: MANAGERS }, (_, nth) => startTrap(t, scheme === "tls", nth)),
      );
      const links = () => traps.reduce((sum, { trap }) => sum + trap.links, 0);
      const { manager, link } = await startManager(t);
      const joined = next(manager, "gatewayUp");
      const flags = [
        ...traps.flatMap(({ port }, nth) => ["--manager", `trap-${nth}=${scheme}://127.0.0.1:${port}`]),
        ...["--manager", `good=${link}`],
        ...["--manager-ca", tlsFile("ca.crt"), "--listen", "tcp://127.0.0.1:0", "--log-level", "fatal"],
        ...["--reconnect-min-ms", "1", "--reconnect-max-ms", "1", "--register-timeout-ms", "100"],
      ];
      const gateway = new TestProcess(t, "gateway/main.ts", scheme === "tls" ? flags : flags.filter(isNotCa));
      await joined;
      await until(() => links() >= LINKS || gateway.child.exitCode !== null, `${LINKS} links were ended`);
      assertWell(gateway);
      assert.equal(manager.gateways[0]?.health, "up");
    });
  }
});

function isNotCa(flag: string): boolean {
  return flag !== "--manager-ca" && flag !== tlsFile("ca.crt");
}
