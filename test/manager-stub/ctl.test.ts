import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import type { GatewayView, SessionView } from "../../manager-stub/api-views.ts";
import { CtlError } from "../../manager-stub/ctl.ts";
import { TestClient } from "../helpers/client.ts";
import { socketPath, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { end, prints, run, start, startProcess } from "./manager-process.ts";
import { RawGateway } from "./raw-gateway.ts";
import { ctl, ctlPrinting } from "./run-ctl.ts";

/** A table with one space between its cells. */
function squeezed(text: string): string {
  return text.replaceAll(/ +/g, " ");
}

/** An HTTP server that answers each request as it is told to. */
async function answering(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await next(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

describe("ctl beside a manager, a gateway and its clients", () => {
  test("lists, sends, drops, shuts down, and watches all of it", async (t) => {
    const manager = await startProcess(t, `unix:${socketPath(t)}`, "--behaviour", "silent");
    const watches = [
      start(t, "ctl", "--http", manager.http, "watch"),
      start(t, "ctl", "watch", "--json", "--http", manager.http),
    ] as const;
    const unread = start(t, "ctl", "--http", manager.http, "watch");
    const seen = (text: string) => Promise.all(watches.map((watch) => prints(watch, text)));
    // A watch does not say when it begins: something happens until all of them have told it.
    while ([...watches, unread].some(({ stdout }) => stdout === "")) {
      const refused = await RawGateway.connect(t, manager.link);
      refused.socket.end();
      await refused.untilClosed();
    }
    unread.child.stdout?.destroy();

    await startTestGateway(t, manager.link, {
      name: "edge",
      halfCloseMs: 0,
      listen: ["tcp://127.0.0.1:0?name=game"],
    });
    await seen("gatewayUp");
    const { exit, stderr } = await end(unread);
    assert.deepEqual([exit, stderr], [0, ""], "behind `head` it ends without a word");
    const apiPort = Number(manager.http.split(":")[1]);
    const { gateways } = JSON.parse(await ctl(apiPort, "--json", "gateways"));
    const { port } = gateways[0].endpoints[0];
    const clients = [await TestClient.connect(port), await TestClient.connect(port)] as const;
    t.after(() => {
      for (const client of clients) client.close();
    });
    const ports = clients.map(({ socket }) => socket.localPort);
    for (const client of ports) {
      await prints(watches[0], `from 127.0.0.1:${client} `);
      await prints(watches[1], `"port":${client},`);
    }

    const table = await manager.ctl("gateways");
    assert.equal(table.exit, 0);
    assert.equal(
      squeezed(table.stdout),
      "ID NAME HEALTH SESSIONS LISTENS RTT RSS LOOP P99 LOOP MAX PID\n" +
        `1 edge up 2/10000 tcp://127.0.0.1:${port} - - - - ${process.pid}\n`,
    );
    const all = await ctl(apiPort, "sessions");
    const [first = "", second = ""] = all.split("\n").slice(1);
    const [one = "", other = ""] = [first, second].map((line) => line.split(/ +/)[1]);
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    assert.match(
      squeezed(all),
      new RegExp(
        "^GATEWAY SESSION CLIENT USER TRANSPORT LISTENER JOINED\n" +
          `1 \\d+ 127\\.0\\.0\\.1:${ports[0]} - tcp game ${time}\n` +
          `1 \\d+ 127\\.0\\.0\\.1:${ports[1]} - tcp game ${time}\n$`,
      ),
    );
    const page = await ctl(apiPort, "sessions", "--limit", "1");
    assert.deepEqual(page.split("\n").slice(1), [first, "more: --after 1", ""]);
    const rest = await ctl(apiPort, "sessions", "--json", "--gateway", "edge", "--after", "1");
    const { sessions, next: after } = JSON.parse(rest);
    assert.deepEqual([sessions.map(({ session }: SessionView) => `${session}`), after], [[other], null]);
    const none = await ctl(apiPort, "sessions", "--after", "2");
    assert.equal(squeezed(none), "GATEWAY SESSION CLIENT USER TRANSPORT LISTENER JOINED\n");

    assert.equal(await ctl(apiPort, "send", "edge", one, "good morning"), "sent 13 bytes\n");
    const bytes = await ctl(apiPort, "send", "1", other, "--base64", "Z29vZCBuaWdodAo=", "--json");
    assert.equal(bytes, '{"sent":11}\n');
    const told = await ctl(apiPort, "broadcast", "--gateway", "edge", "--", "-all-");
    assert.equal(told, "sent to 2 sessions on 1 gateway\n");
    await clients[0].expect("good morning\n-all-\n");
    await clients[1].expect("good night\n-all-\n");
    clients[0].send("hi\u2028\u001b[31m\n");
    await seen("[31m");

    assert.equal(await ctl(apiPort, "drop", "edge", one, "--reason", "kicked"), "dropped\n");
    assert.equal(await ctl(apiPort, "drop", "edge", other, "--discard", "--json"), '{"dropped":true}\n');
    await clients[0].untilEnded();
    await until(() => clients[1].closed, "the other is reset");
    assert.equal(clients[1].errorCode, "ECONNRESET");
    clients[0].close();
    await seen("dropped");
    await seen("drop-discarded");

    const gone = await manager.ctl("send", "edge", other, "too late");
    assert.deepEqual(
      [gone.exit, gone.stdout, gone.stderr],
      [1, "", "sidegate-manager: the session is gone (no-such-session)\n"],
    );
    const unknown = "there is no gateway 'nobody' (no-such-gateway)";
    await assert.rejects(ctl(apiPort, "shutdown", "nobody", "--json"), {
      name: "CtlError",
      message: unknown,
    });

    const shutdown = await ctl(apiPort, "shutdown", "edge", "--drain-ms", "0", "--reason", "update");
    assert.equal(shutdown, "shutting down\n");
    await seen("gatewayDown");
    manager.running.child.kill("SIGTERM");
    for (const { exit, stderr } of await Promise.all(watches.map(end))) {
      assert.deepEqual(
        [exit, stderr],
        [1, "sidegate-manager: the manager has ended, or has cut this watch off\n"],
      );
    }

    const lines = watches[0].stdout
      .trimEnd()
      .split("\n")
      .map((line) => squeezed(line));
    const events = lines.filter((line) => !line.includes("refused")).map((line) => line.slice(25));
    const leave = (id: string, why: string) =>
      new RegExp(`^leave 1/${id} ${why} \\(by manager\\) after \\d+ ms$`);
    const left = events.splice(4, 2).sort((a, b) => a.length - b.length);
    assert.match(left[0] ?? "", leave(one, "dropped"));
    assert.match(left[1] ?? "", leave(other, "drop-discarded"));
    assert.deepEqual(events, [
      "gatewayUp 1 edge",
      `join 1/${one} from 127.0.0.1:${ports[0]} through game`,
      `join 1/${other} from 127.0.0.1:${ports[1]} through game`,
      `message 1/${one} "hi\\u2028\\u001b[31m\\n"`,
      "gatewayDraining 1 edge",
      "gatewayDown 1 edge link-closed: the gateway closed the link",
    ]);
    assert.ok(lines.every((line) => new RegExp(`^${time} `).test(line)));
    const [, ...parsed] = watches[1].stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      parsed.filter(({ event }) => event === "message"),
      [{ event: "message", gateway: 1, session: Number(one), text: "hi\u2028\u001b[31m\n" }],
    );
  });
});

/** What `ctl watch` prints, line by line, until the stream of events ends. */
async function watched(port: number, ...args: readonly string[]): Promise<string[]> {
  let printed = "";
  const take = (text: string) => {
    printed += text;
  };
  await assert.rejects(ctlPrinting(port, take, "watch", ...args), { name: "CtlError" });
  return printed.trimEnd().split("\n");
}

describe("what others say, in what ctl prints", () => {
  // A C1 control sequence, an escape sequence, DEL, a line end, a return to the line's beginning, an override of
  // direction, a line separator, an isolate, an invisible space, a tag, half a character, and text that is to stay.
  const hostile =
    "\u009b31m\u001b]0;x\u0007\u007f\n2026 leave\r\t\u202e\u2028\u2066\u200b\u{e0041}\ud800 zoë 東京 👾";
  const shown = "�31m�]0;x���2026 leave�������� zoë 東京 👾";
  /** For what is no text, or stands in a line of its own, as a manager has it. */
  const oneLine = hostile.replaceAll("\n", "");
  const gateway = {
    id: 1,
    name: hostile,
    pid: 1,
    health: hostile,
    draining: false,
    sessions: 0,
    capacity: 5,
    endpoints: [{ transport: hostile, host: hostile, port: 7300, name: hostile }],
    vitals: null,
  };
  const session = {
    gateway: 1,
    session: 7,
    addr: hostile,
    port: 50_514,
    transport: hostile,
    listener: hostile,
    user: hostile,
    from: { manager: hostile, session: 9 },
    joinedAt: hostile,
  };
  const events: Readonly<Record<string, object>> = {
    gatewayUp: gateway,
    gatewayLost: { ...gateway, code: hostile, message: hostile },
    refused: { code: hostile, message: hostile },
    join: session,
    message: { gateway: 1, session: 7, text: hostile },
    leave: { ...session, end: { reason: hostile, by: hostile, ms: 1 } },
    [oneLine]: gateway,
  };
  const answers: Readonly<Record<string, unknown>> = {
    "/api/gateways": { gateways: [gateway] },
    "/api/sessions?": { sessions: [session], next: oneLine },
    "/api/broadcast": { gateways: oneLine, sessions: oneLine },
  };

  const hostileApi = (t: TestContext) =>
    answering(t, (request, response) => {
      if (request.url === "/api/events") {
        for (const [event, data] of Object.entries(events))
          response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
        response.end();
        return;
      }
      const answer = answers[request.url ?? ""];
      if (answer === undefined) response.writeHead(404);
      response.end(JSON.stringify(answer ?? { code: hostile, message: hostile }));
    });

  /** Everything but line ends that a terminal obeys, or does not show. */
  const obeyed = /[^\P{C}\n]|[\u2028\u2029]/u;

  test("does a terminal no harm, and is on the line that it belongs to", async (t) => {
    const port = await hostileApi(t);
    for (const [lines, ...command] of [
      [2, "gateways"],
      [3, "sessions"],
      [1, "broadcast", "x"],
    ] as const) {
      const text = await ctl(port, ...command);
      assert.doesNotMatch(text, obeyed);
      assert.equal(text.trimEnd().split("\n").length, lines, text);
      assert.ok(text.includes("東京"), text);
    }
    const printed = await watched(port);
    assert.equal(printed.length, Object.keys(events).length);
    for (const line of printed) assert.doesNotMatch(line, obeyed);
    assert.ok(printed.filter((line) => line.includes(shown)).length >= printed.length - 1);
    await assert.rejects(ctl(port, "drop", "1", "7"), { message: `${shown} (${shown})` });
  });

  test("is exact in JSON", async (t) => {
    const port = await hostileApi(t);
    for (const [path, command] of [
      ["/api/gateways", ["gateways"]],
      ["/api/sessions?", ["sessions"]],
      ["/api/broadcast", ["broadcast", "x"]],
    ] as const) {
      assert.equal(await ctl(port, ...command, "--json"), `${JSON.stringify(answers[path])}\n`);
    }
    const printed = await watched(port, "--json");
    const wanted = Object.entries(events).map(([event, data]) => ({ event: event.toWellFormed(), ...data }));
    assert.deepEqual(
      printed.map((line) => JSON.parse(line)),
      wanted,
    );
  });
});

describe("ctl's tables", () => {
  const endpoints = [
    { transport: "tcp", host: "0.0.0.0", port: 7300, name: "game" },
    { transport: "wss", host: "::", port: 7301, name: "web", framing: "websocket" },
    { transport: "unix", host: "/run/game.sock", port: 0, name: "local" },
  ];
  const quiet: GatewayView = {
    id: 1,
    name: "gateway-1",
    pid: 100,
    health: "suspect",
    draining: true,
    sessions: 0,
    capacity: 5,
    endpoints: [],
    registeredAt: "2026-01-01T00:00:00.000Z",
    vitals: null,
  };
  const vitals = {
    seq: 1,
    at: 1,
    sessions: 12,
    capacity: 10_000,
    rttMs: 0.1234,
    rssBytes: 61_000_000,
    loopP99Ms: 1.25,
    loopMaxMs: 14,
  };
  const busy: GatewayView = {
    ...quiet,
    id: 12,
    name: "g2",
    health: "up",
    draining: false,
    sessions: 12,
    capacity: 10_000,
    endpoints,
    vitals,
  };

  test("show gateways with where they listen and how they are", async (t) => {
    const port = await answering(t, (_request, response) => {
      response.end(JSON.stringify({ gateways: [quiet, busy] }));
    });
    const rows = [
      "ID  NAME       HEALTH             SESSIONS  LISTENS                                                 RTT      RSS     LOOP P99  LOOP MAX  PID",
      "1   gateway-1  suspect, draining  0/5                                                               -        -       -         -         100",
      "12  g2         up                 12/10000  tcp://0.0.0.0:7300 wss://[::]:7301 unix:/run/game.sock  0.12 ms  58 MiB  1.3 ms    14.0 ms   100",
    ];
    assert.equal(await ctl(port, "gateways"), `${rows.join("\n")}\n`);
  });

  test("show sessions with who they are and how they came", async (t) => {
    const one: SessionView = {
      gateway: 1,
      session: 1_048_576,
      addr: "203.0.113.9",
      port: 50_514,
      transport: "tcp",
      listener: "game",
      user: null,
      from: null,
      joinedAt: "2026-01-01T12:00:00.000Z",
    };
    const sessions: readonly SessionView[] = [
      one,
      { ...one, gateway: 12, addr: "2001:db8::7", transport: "wss", listener: "web", user: "anna" },
      { ...one, addr: "198.51.100.1", port: 0, transport: "ws", user: "\u001b[31mred\n\u2028" },
      { ...one, addr: "", port: 0, transport: "unix", listener: "local" },
    ];
    const port = await answering(t, (_request, response) => {
      response.end(JSON.stringify({ sessions, next: null }));
    });
    const rows = [
      "GATEWAY  SESSION  CLIENT               USER        TRANSPORT  LISTENER  JOINED",
      "1        1048576  203.0.113.9:50514    -           tcp        game      2026-01-01T12:00:00.000Z",
      "12       1048576  [2001:db8::7]:50514  anna        wss        web       2026-01-01T12:00:00.000Z",
      "1        1048576  198.51.100.1         \ufffd[31mred\ufffd\ufffd  ws         game      2026-01-01T12:00:00.000Z",
      "1        1048576  -                    -           unix       local     2026-01-01T12:00:00.000Z",
    ];
    assert.equal(await ctl(port, "sessions"), `${rows.join("\n")}\n`);
  });
});

describe("ctl watch", () => {
  test("shows which payloads are text and which are bytes, and all of either", async (t) => {
    const payloads = [
      { text: "AP8=" },
      { base64: "AP8=" },
      { text: '"\u0085\u202e\\\u{e0041}\n' },
      { text: "" },
    ];
    const port = await answering(t, (_request, response) => {
      for (const payload of payloads)
        response.write(`event: message\ndata: ${JSON.stringify({ gateway: 1, session: 7, ...payload })}\n\n`);
      response.end();
    });
    const printed = await watched(port);
    assert.deepEqual(
      printed.map((line) => line.slice(line.indexOf("1/7"))),
      ['1/7 "AP8="', "1/7 base64:AP8=", String.raw`1/7 "\"\u0085\u202e\\\udb40\udc41\n"`, '1/7 ""'],
    );
  });

  test("tells which manager had a client before", async (t) => {
    const joined = {
      gateway: 1,
      session: 7,
      addr: "203.0.113.9",
      port: 50_514,
      listener: "game",
      user: null,
    };
    const from = { manager: "login\u2028", session: 2_097_159 };
    const port = await answering(t, (_request, response) => {
      response.end(`event: join\ndata: ${JSON.stringify({ ...joined, from })}\n\n`);
    });
    const printed = await watched(port);
    const line =
      "join             1/7 from 203.0.113.9:50514 through game, from manager login\ufffd (2097159)";
    assert.deepEqual(
      printed.map((one) => one.slice(one.indexOf("  ") + 2)),
      [line],
    );
  });
});

describe("ctl drop", () => {
  test("asks for all that it was given, and for nothing else", async (t) => {
    const asked: string[] = [];
    const port = await answering(t, async (request, response) => {
      asked.push(`${request.method} ${request.url} ${await text(request)}`);
      response.end("{}");
    });
    await ctl(port, "drop", "edge", "7");
    await ctl(port, "drop", "edge", "7", "--discard", "--reason", "cheating", "--ban-ms", "3600000");
    assert.deepEqual(asked, [
      "POST /api/sessions/edge/7/drop {}",
      'POST /api/sessions/edge/7/drop {"discard":true,"reason":"cheating","banMs":3600000}',
    ]);
  });
});

describe("a ctl command that is wrong", () => {
  const wrong: readonly (readonly [line: string, message: string])[] = [
    ["gatways", "error: unknown command 'gatways'\n(Did you mean gateways?)"],
    ["gateways --jsno", "error: unknown option '--jsno'\n(Did you mean --json?)"],
    ["gateways now", "error: too many arguments for 'gateways'. Expected 0 arguments but got 1: now."],
    ["send 1 2", "error: missing required argument 'text'"],
    ["drop 1", "error: missing required argument 'session'"],
    ["broadcast a b", "error: too many arguments for 'broadcast'. Expected 1 argument but got 2: a, b."],
    [
      "sessions --limit few",
      "error: option '--limit <n>' argument 'few' is invalid. It must be a whole number.",
    ],
    [
      "sessions --after -1",
      "error: option '--after <n>' argument '-1' is invalid. It must be a whole number.",
    ],
    [
      "drop 1 2 --ban-ms 1h",
      "error: option '--ban-ms <ms>' argument '1h' is invalid. It must be a whole number.",
    ],
    [
      "shutdown 1 --drain-ms 1.5",
      "error: option '--drain-ms <ms>' argument '1.5' is invalid. It must be a whole number.",
    ],
  ];
  for (const [line, message] of wrong) {
    test(`is refused: ${line}`, async () => {
      await assert.rejects(ctl(1, ...line.split(" ")), { name: "CommanderError", message });
    });
  }
});

describe("ctl where no manager answers", () => {
  test("says where it looked", async (t) => {
    const { exit, stdout, stderr } = await run(t, "ctl", "--http", "127.0.0.1:1", "gateways");
    assert.deepEqual([exit, stdout], [1, ""]);
    assert.match(
      stderr,
      /^sidegate-manager: no manager answers at http:\/\/127\.0\.0\.1:1 \(.+\); is it running\?\n$/,
    );
  });

  for (const status of [200, 404]) {
    test(`but something else does, with ${status}, says so`, async (t) => {
      const port = await answering(t, (_request, response) => {
        response.writeHead(status).end("<html>");
      });
      await assert.rejects(ctl(port, "gateways"), (error: Error) => {
        assert.ok(error instanceof CtlError, `${error.stack}`);
        assert.match(
          error.message,
          /^what answers at http:\/\/127\.0\.0\.1:\d+ is not a manager's HTTP API, or broke off; see --http$/,
        );
        return true;
      });
    });
  }

  test("and the answer breaks off, says so", async (t) => {
    const port = await answering(t, (request, response) => {
      response.write('{"gate');
      setImmediate(() => request.socket.destroy());
    });
    await assert.rejects(ctl(port, "gateways"), CtlError);
  });
});
