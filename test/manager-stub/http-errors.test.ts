import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { startApi } from "./api.ts";
import { JOIN, RawGateway, session } from "./raw-gateway.ts";

const here = session(0);
const dropped = session(1);
const SEND = `/api/sessions/1/${here}/send`;
const DROP = `/api/sessions/1/${here}/drop`;
const HANDOFF = `/api/sessions/1/${here}/handoff`;
const BROADCAST = "/api/broadcast";
const SHUTDOWN = "/api/gateways/1/shutdown";
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** A manager whose gateway 1 has two sessions, of which it has dropped one. */
async function setUp(t: TestContext, names: readonly string[] = []) {
  const { manager, link } = await startManager(t);
  const gateway = await RawGateway.registered(t, link, { name: "edge", maxFrame: 65_536 });
  gateway.join(here, dropped);
  await gateway.sync();
  manager.drop({ gateway: 1, id: dropped });
  await gateway.sync();
  const api = await startApi(t, manager, names);
  /** That nothing of what was asked has reached the gateway. */
  const untouched = async () => assert.deepEqual(await gateway.sync(), []);
  return { manager, link, gateway, api, untouched };
}

interface BadBody {
  readonly path: string;
  readonly body: unknown;
  readonly code?: string;
  readonly message: string | RegExp;
}

const badBodies: readonly BadBody[] = [
  { path: SEND, body: "{", code: "bad-json", message: /^the body is not JSON: / },
  { path: SEND, body: "\xff", code: "bad-json", message: /^the body is not JSON: / },
  { path: SEND, body: "[]", message: "the body must be a JSON object" },
  { path: SEND, body: "null", message: "the body must be a JSON object" },
  { path: SEND, body: '"text"', message: "the body must be a JSON object" },
  {
    path: SEND,
    body: `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
    message: "the body must be a JSON object",
  },
  { path: SEND, body: undefined, message: "the body must have either 'text' or 'base64'" },
  { path: SEND, body: {}, message: "the body must have either 'text' or 'base64'" },
  {
    path: SEND,
    body: { text: "a", base64: "YQ==" },
    message: "the body must have either 'text' or 'base64'",
  },
  { path: SEND, body: { text: 1 }, message: "text must be a string" },
  { path: SEND, body: { text: null }, message: "text must be a string" },
  { path: SEND, body: { base64: 1 }, message: "base64 must be a string in base64" },
  { path: SEND, body: { base64: "YQ" }, message: "base64 must be a string in base64" },
  { path: SEND, body: { base64: "Y*==" }, message: "base64 must be a string in base64" },
  {
    path: SEND,
    body: { text: "a", gateway: 1 },
    message: "the body has an unknown key 'gateway'; it may have text, base64",
  },
  { path: SEND, body: '{"text":"a","__proto__":1}', message: /^the body has an unknown key '__proto__'/ },
  { path: BROADCAST, body: {}, message: "the body must have either 'text' or 'base64'" },
  { path: BROADCAST, body: { text: "a", gateway: true }, message: "gateway must be an id or a name" },
  {
    path: BROADCAST,
    body: { text: "a", gatway: 1 },
    message: "the body has an unknown key 'gatway'; it may have text, base64, gateway",
  },
  { path: DROP, body: { discard: "yes" }, message: "discard must be true or false" },
  { path: DROP, body: { reason: 5 }, message: "reason must be a string" },
  { path: DROP, body: { reason: "x".repeat(1025) }, message: "reason must have at most 1024 characters" },
  { path: DROP, body: { code: 65_536 }, message: "code must be a whole number from 0 to 65535" },
  { path: DROP, body: { code: -1 }, message: "code must be a whole number from 0 to 65535" },
  { path: DROP, body: { code: "1" }, message: "code must be a whole number from 0 to 65535" },
  { path: DROP, body: { banMs: -1 }, message: "banMs must be a whole number from 0 to 31536000000" },
  {
    path: DROP,
    body: { banMs: 31_536_000_001 },
    message: "banMs must be a whole number from 0 to 31536000000",
  },
  {
    path: DROP,
    body: { text: "a" },
    message: "the body has an unknown key 'text'; it may have discard, reason, code, banMs",
  },
  { path: HANDOFF, body: {}, message: "manager must be a name" },
  { path: HANDOFF, body: { manager: "" }, message: "manager must be a name" },
  {
    path: HANDOFF,
    body: { manager: "x".repeat(65) },
    message: "manager must have at most 64 characters",
  },
  {
    path: HANDOFF,
    body: { manager: "battle", text: "a", base64: "YQ==" },
    message: "the body must not have both 'text' and 'base64'",
  },
  {
    path: HANDOFF,
    body: { manager: "battle", data: "a" },
    message: "the body has an unknown key 'data'; it may have text, base64, manager",
  },
  { path: SHUTDOWN, body: { drainMs: 1.5 }, message: "drainMs must be a whole number from 0 to 86400000" },
  {
    path: SHUTDOWN,
    body: { drainMs: 86_400_001 },
    message: "drainMs must be a whole number from 0 to 86400000",
  },
  { path: SHUTDOWN, body: { reason: {} }, message: "reason must be a string" },
  {
    path: SHUTDOWN,
    body: { drain: 1 },
    message: "the body has an unknown key 'drain'; it may have reason, drainMs",
  },
];

interface BadRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const gone = { status: 404, code: "no-such-session", message: "the session is gone" };
const noGateway = (key: string) => ({
  status: 404,
  code: "no-such-gateway",
  message: `there is no gateway '${key}'`,
});
const noPath = (path: string) => ({
  status: 404,
  code: "no-such-path",
  message: `there is no ${path}; see docs/manager.md`,
});
const badQuery = (message: string) => ({ status: 400, code: "bad-query", message });
const wrongMethod = (path: string, allow: string) => ({
  status: 405,
  code: "wrong-method",
  message: `${path} takes ${allow}`,
});

const badRequests: readonly BadRequest[] = [
  { method: "GET", path: "/", ...noPath("/") },
  { method: "GET", path: "//", ...noPath("//") },
  { method: "GET", path: "/api", ...noPath("/api") },
  { method: "GET", path: "/api/gateways/", ...noPath("/api/gateways/") },
  { method: "GET", path: "/api/gateways/1", ...noPath("/api/gateways/1") },
  { method: "POST", path: `${SEND}/now`, ...noPath(`${SEND}/now`) },
  { method: "GET", path: "http://[", status: 400, code: "bad-path", message: "'http://[' is not a path" },
  { method: "POST", path: "/api/gateways", ...wrongMethod("/api/gateways", "GET") },
  { method: "DELETE", path: "/api/sessions", ...wrongMethod("/api/sessions", "GET") },
  { method: "GET", path: BROADCAST, ...wrongMethod(BROADCAST, "POST") },
  { method: "PUT", path: SEND, ...wrongMethod(SEND, "POST") },
  { method: "GET", path: "/api/sessions?gateway=2", ...noGateway("2") },
  { method: "GET", path: "/api/sessions?gateway=", ...noGateway("") },
  { method: "POST", path: "/api/gateways/nobody/shutdown", ...noGateway("nobody") },
  { method: "POST", path: `/api/sessions/2/${here}/send`, ...noGateway("2") },
  { method: "POST", path: `/api/sessions/2/${here}/drop`, ...noGateway("2") },
  { method: "POST", path: `/api/sessions/1/${dropped}/send`, ...gone },
  { method: "POST", path: `/api/sessions/1/${dropped}/drop`, ...gone },
  { method: "POST", path: `/api/sessions/1/${dropped}/handoff`, ...gone },
  { method: "POST", path: `/api/sessions/1/${session(2)}/send`, ...gone },
  { method: "POST", path: `/api/sessions/1/${session(2)}/handoff`, ...gone },
  { method: "POST", path: "/api/sessions/1/0/drop", ...gone },
  { method: "POST", path: "/api/sessions/1/9999999999/drop", ...gone },
  {
    method: "POST",
    path: "/api/sessions/1/x/send",
    status: 400,
    code: "bad-session",
    message: "'x' is not a session's number",
  },
  {
    method: "POST",
    path: "/api/sessions/1/-1/send",
    status: 400,
    code: "bad-session",
    message: "'-1' is not a session's number",
  },
  {
    method: "POST",
    path: "/api/gateways/%ff/shutdown",
    status: 400,
    code: "bad-path",
    message: "'%ff' is not a part of a path",
  },
  {
    method: "GET",
    path: "/api/sessions?limit=0",
    ...badQuery("limit must be a whole number from 1 to 10000, not '0'"),
  },
  {
    method: "GET",
    path: "/api/sessions?limit=10001",
    ...badQuery("limit must be a whole number from 1 to 10000, not '10001'"),
  },
  {
    method: "GET",
    path: "/api/sessions?limit=many",
    ...badQuery("limit must be a whole number from 1 to 10000, not 'many'"),
  },
  {
    method: "GET",
    path: "/api/sessions?limit=",
    ...badQuery("limit must be a whole number from 1 to 10000, not ''"),
  },
  {
    method: "GET",
    path: "/api/sessions?after=-1",
    ...badQuery("after must be a whole number from 0 to 9007199254740991, not '-1'"),
  },
  { method: "GET", path: "/api/sessions?page=2", ...badQuery("unknown option 'page'") },
];

/** What a right request has, by the end of its path. */
const bodies: Readonly<Record<string, object>> = { send: { text: "a" }, handoff: { manager: "battle" } };

describe("a request that is wrong", () => {
  test("in its body is answered with what is wrong with it", async (t) => {
    const { api, untouched } = await setUp(t);
    for (const { path, body: sent, code = "bad-body", message } of badBodies) {
      const { status, headers, body } = await api.post(path, sent);
      const what = `${path} ${String(JSON.stringify(sent)).slice(0, 60)}`;
      assert.deepEqual([status, body.code], [400, code], `${what}: ${JSON.stringify(body)}`);
      assert.equal(headers["content-type"], "application/json");
      if (typeof message === "string") assert.equal(body.message, message, what);
      else assert.match(body.message, message);
    }
    await untouched();
  });

  test("in its method, path or query is answered with what is wrong with it", async (t) => {
    const { api, untouched } = await setUp(t);
    for (const { method, path, status, code, message } of badRequests) {
      const body = bodies[path.split("/").at(-1) ?? ""];
      const answer = await api.call(method, path, { body });
      assert.deepEqual([answer.status, answer.body], [status, { code, message }], `${method} ${path}`);
    }
    await untouched();
  });

  test("in how much it wants to say at once is answered with how much it may", async (t) => {
    const { gateway, api, untouched } = await setUp(t);
    const web = { transport: "ws", host: "127.0.0.1", port: 7301, name: "web", framing: "websocket" };
    gateway.send((batch) => {
      toManager.listening(batch, [web]);
      toManager.join(batch, session(2), { ...JOIN, framing: web.framing });
    });
    await gateway.sync();
    for (const path of [`/api/sessions/1/${session(2)}/send`, BROADCAST]) {
      const { status, body } = await api.post(path, { text: "x".repeat(65_537) });
      assert.deepEqual([status, body.code], [413, "too-big"]);
      assert.match(body.message, /^a message of 65537 bytes is over the 6553[26] that gateway 'edge' takes/);
    }
    await untouched();
  });

  test("in its method is told which there are", async (t) => {
    const { api } = await setUp(t);
    for (const [method, path, allow] of [
      ["POST", "/api/events", "GET"],
      ["GET", SHUTDOWN, "POST"],
    ] as const) {
      const { status, headers } = await api.call(method, path);
      assert.deepEqual([status, headers.allow], [405, allow]);
    }
  });

  test("whatever its body is, is never a fault of the manager", async (t) => {
    const { api } = await setUp(t);
    const path = fc.constantFrom(SEND, DROP, HANDOFF, BROADCAST);
    const key = fc.constantFrom(
      "text",
      "base64",
      "gateway",
      "manager",
      "discard",
      "reason",
      "code",
      "__proto__",
      "x",
    );
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc.dictionary(key, fc.jsonValue()).map((one) => JSON.stringify(one)),
    );
    await fc.assert(
      fc.asyncProperty(path, body, async (to, sent) => {
        const { status } = await api.post(to, sent);
        assert.ok([200, 400, 404, 413].includes(status), `${status}`);
      }),
      { numRuns: 200 },
    );
  });

  test("whatever its path is, is never a fault of the manager", async (t) => {
    const { api } = await setUp(t);
    const part = fc.oneof(
      fc.constantFrom(
        "api",
        "gateways",
        "sessions",
        "send",
        "drop",
        "shutdown",
        "1",
        "edge",
        "..",
        "%",
        "",
        "?",
      ),
      fc.string({ unit: "grapheme-ascii", maxLength: 5 }).map((text) => text.replaceAll(" ", "")),
    );
    const path = fc.array(part, { maxLength: 6 }).map((parts) => `/${parts.join("/")}`);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("GET", "POST"), path, async (method, to) => {
        const { status } = await api.call(method, to);
        assert.ok([200, 400, 404, 405].includes(status), `${status}`);
      }),
      { numRuns: 200 },
    );
  });
});

describe("a request that is too big", () => {
  test("in its body is answered, and the rest of it is thrown away", async (t) => {
    const { api, untouched } = await setUp(t);
    const { status, body } = await api.post(SEND, "x".repeat(4 * MAX_BODY_BYTES));
    assert.deepEqual([status, body], [413, { code: "too-big", message: "a body may have 2097152 bytes" }]);
    await untouched();
  });

  test("is not one whose payload is merely more than the gateway takes in one frame", async (t) => {
    const { api, gateway } = await setUp(t);
    const text = "x".repeat(MAX_BODY_BYTES - 100);
    const { status, body } = await api.post(BROADCAST, { text });
    assert.deepEqual([status, body], [200, { gateways: 1, sessions: 2 }]);
    const told = await gateway.sync();
    assert.equal(told.map(([, part]) => part).join(""), text);
  });
});

describe("a request from a page of another site", () => {
  const ask = async (t: TestContext, headers: Record<string, string>, names?: readonly string[]) => {
    const { api, untouched } = await setUp(t, names);
    const { status, body } = await api.call("POST", BROADCAST, { body: { text: "owned" }, headers });
    if (status !== 200) await untouched();
    return { status, code: body.code, message: body.message };
  };

  for (const origin of ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"]) {
    test(`(${origin}) is refused`, async (t) => {
      const message = `requests from ${origin} are not taken`;
      assert.deepEqual(await ask(t, { origin }), { status: 403, code: "foreign-origin", message });
    });
  }

  test("that has made its own name point here is refused", async (t) => {
    const headers = { host: "evil.example:7380", origin: "http://evil.example:7380" };
    const message = "'evil.example' is not a name of this manager; use its IP address";
    assert.deepEqual(await ask(t, headers), { status: 403, code: "foreign-host", message });
  });

  test("is refused also where it only reads", async (t) => {
    const { api } = await setUp(t);
    for (const path of ["/api/gateways", "/api/sessions", "/api/events"]) {
      const { status } = await api.call("GET", path, { headers: { host: "evil.example" } });
      assert.equal(status, 403);
    }
  });

  test("is not one from the manager's own, by an address or a name that it has", async (t) => {
    for (const host of [
      "127.0.0.1:7380",
      "[::1]:7380",
      "localhost:7380",
      "LOCALHOST",
      "manager.internal:80",
    ]) {
      const headers = { host, origin: `http://${host}` };
      assert.equal((await ask(t, headers, ["manager.internal"])).status, 200, host);
    }
  });
});

describe("a gateway's id and name", () => {
  test("are told apart when a name looks like an id", async (t) => {
    const { api, link } = await setUp(t);
    const [second, third] = [
      await RawGateway.registered(t, link, { name: "3" }),
      await RawGateway.registered(t, link, { name: "other" }),
    ];
    assert.equal((await api.post(BROADCAST, { text: "a", gateway: "3" })).status, 200);
    assert.equal((await api.post(BROADCAST, { text: "b", gateway: 3 })).status, 200);
    assert.deepEqual(await second.sync(), []);
    assert.deepEqual(await third.sync(), [
      ["MsgAll", "a"],
      ["MsgAll", "b"],
    ]);
  });

  test("mean the one that stays when another of the name is draining", async (t) => {
    const { api, link, gateway } = await setUp(t);
    gateway.send((batch) => toManager.draining(batch, { reason: "update", drainMs: 1000 }));
    await gateway.sync();
    const successor = await RawGateway.registered(t, link, { name: "edge" });
    assert.equal((await api.post("/api/gateways/edge/shutdown")).status, 200);
    assert.deepEqual(await successor.sync(), [["Shutdown"]]);
    assert.deepEqual(await gateway.sync(), []);
  });
});

describe("a client that goes away in the middle of its request", () => {
  test("harms nobody", async (t) => {
    const { api, untouched } = await setUp(t);
    const asked = api.open("POST", SEND, { "content-length": 100 });
    asked.on("error", () => {});
    asked.write('{"text":"half');
    await next(asked, "socket");
    asked.destroy();
    const { status } = await api.get("/api/gateways");
    assert.equal(status, 200);
    await untouched();
  });
});
