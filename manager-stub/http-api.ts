/**
 * The HTTP API of the stand-alone manager, for operators and scripts: who is there, and send, broadcast,
 * drop, shut down (docs/manager.md, "HTTP API"). It has no secrets of its own and listens on loopback.
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { z } from "zod";
import { createHttpServer } from "../process/sockets.ts";
import { MAX_BAN_MS, MAX_MANAGER_NAME_LENGTH } from "../proto/bodies.ts";
import { bareHost } from "../proto/link-url.ts";
import { MAX_NAME_BYTES } from "../proto/names.ts";
import { gatewayView, sessionView } from "./api-views.ts";
import { EventStreams } from "./event-streams.ts";
import { HandoffError } from "./handoff.ts";
import type { ManagerServer } from "./manager-server.ts";
import type { Gateway } from "./registered-gateway.ts";
import { RequestBody } from "./request-body.ts";
import type { Session } from "./session.ts";

/** A request that can't be done. Answered as `{code, message}`. */
class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface Call {
  /** The parts of the path that the route left open. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The JSON body; an empty one reads as `{}`. */
  readonly body: () => Promise<unknown>;
  readonly response: ServerResponse;
}

/** Gives what is answered as JSON, or nothing when it has answered by itself. */
type Handler = (call: Call) => unknown;

interface Route {
  readonly method: string;
  readonly pattern: RegExp;
  readonly handle: Handler;
}

/** The longest body that a request may have: a payload of `maxFrame` in base64, and room for the rest. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
const DEFAULT_PAGE = 100;
const MAX_PAGE = 10_000;

const reason = z
  .string("reason must be a string")
  .max(1024, "reason must have at most 1024 characters")
  .optional();

const dropBody = object({
  discard: z.boolean("discard must be true or false").optional(),
  reason,
  code: whole("code", 65_535),
  banMs: whole("banMs", MAX_BAN_MS),
});
const shutdownBody = object({ reason, drainMs: whole("drainMs", 86_400_000) });

/** A payload comes as text or as base64. */
const payload = {
  text: z.string("text must be a string").optional(),
  base64: z.base64("base64 must be a string in base64").optional(),
};
const EITHER = "the body must have either 'text' or 'base64'";
const sendBody = object(payload).refine(hasOnePayload, EITHER);
const widerBody = object({
  ...payload,
  gateway: z.union([z.string(), z.number()], "gateway must be an id or a name").optional(),
}).refine(hasOnePayload, EITHER);

const handoffBody = object({
  ...payload,
  manager: z
    .string("manager must be a name")
    .min(1, "manager must be a name")
    .max(MAX_MANAGER_NAME_LENGTH, `manager must have at most ${MAX_MANAGER_NAME_LENGTH} characters`),
}).refine(
  ({ text, base64 }) => text === undefined || base64 === undefined,
  "the body must not have both 'text' and 'base64'",
);

/** What is answered when a session is not handed over, by code. */
const handoffStatuses: Readonly<Record<string, number>> = {
  "unknown-manager": 404,
  "same-manager": 409,
  "not-admitted": 409,
  "under-way": 409,
  "session-ended": 409,
  "too-big": 413,
};
/** It may be done at another time: the other manager is away or full, or the gateway itself. */
const HANDOFF_NOT_NOW = 503;

interface PayloadBody {
  readonly text?: string | undefined;
  readonly base64?: string | undefined;
}

function hasOnePayload({ text, base64 }: PayloadBody): boolean {
  return (text === undefined) !== (base64 === undefined);
}

/** A body with these keys and no others. */
function object<S extends z.ZodRawShape>(shape: S) {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `the body has an unknown key '${issue.keys[0]}'; it may have ${known}`
        : "the body must be a JSON object",
  });
}

function whole(name: string, max: number) {
  const message = `${name} must be a whole number from 0 to ${max}`;
  return z.int(message).min(0, message).max(max, message).optional();
}

/**
 * Makes the HTTP server; who calls it makes it listen.
 *
 * @param manager what the API shows and drives
 * @param names the host names that it may be called by, beside `localhost` and IP addresses
 */
export function createApi(manager: ManagerServer, names: readonly string[] = []): Server {
  const routes = buildRoutes(manager, new EventStreams(manager));
  const hosts = ["localhost", ...names.map((name) => name.toLowerCase())];
  return createHttpServer(
    {},
    {
      request(request, response) {
        answer(routes, hosts, request, response).catch((error: unknown) => fail(response, error));
      },
    },
  );
}

function buildRoutes(manager: ManagerServer, events: EventStreams): readonly Route[] {
  const gatewayOf = ({ params }: Call) => findGateway(manager, params.gateway ?? "");
  const namedOf = async ({ params, body }: Call, kind: "group" | "user") => {
    const { gateway: key, ...payload } = parse(widerBody, await body());
    const name = params[kind] ?? "";
    // Nobody can have a longer one.
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw nobody(kind, name);
    const gateway = key === undefined ? undefined : findGateway(manager, String(key));
    return { name, bytes: toBytes(payload), gateway };
  };
  const sessionOf = (call: Call) => findSession(manager, gatewayOf(call), call.params.session ?? "");
  return [
    route("GET", "/api/gateways", () => ({ gateways: manager.gateways.map(gatewayView) })),
    route("GET", "/api/sessions", ({ query }) => listSessions(manager, query)),
    route("GET", "/api/events", ({ response }) => events.open(response)),
    route("POST", "/api/broadcast", async ({ body }) => {
      const { gateway, ...payload } = parse(widerBody, await body());
      const bytes = toBytes(payload);
      const targets = gateway === undefined ? manager.gateways : [findGateway(manager, String(gateway))];
      fitting(() => manager.broadcast(bytes, gateway === undefined ? undefined : targets[0]?.id));
      return { gateways: targets.length, sessions: targets.reduce((sum, one) => sum + one.sessionCount, 0) };
    }),
    route("POST", "/api/groups/:group/send", async (call) => {
      const { name, bytes, gateway } = await namedOf(call, "group");
      const sessions = fitting(() => manager.sendToGroup(name, bytes, gateway?.id));
      if (sessions === 0) throw nobody("group", name);
      return { sessions };
    }),
    route("POST", "/api/users/:user/send", async (call) => {
      const { name, bytes, gateway } = await namedOf(call, "user");
      const sessions = fitting(() => manager.sendToUser(name, bytes, gateway?.id));
      if (sessions === 0) throw nobody("user", name);
      return { sessions };
    }),
    route("POST", "/api/sessions/:gateway/:session/send", async (call) => {
      const payload = toBytes(parse(sendBody, await call.body()));
      const session = sessionOf(call);
      if (!fitting(() => manager.send(session, payload))) throw gone();
      return { sent: payload.length };
    }),
    route("POST", "/api/sessions/:gateway/:session/drop", async (call) => {
      const options = parse(dropBody, await call.body());
      if (!manager.drop(sessionOf(call), options)) throw gone();
      return { dropped: true };
    }),
    route("POST", "/api/sessions/:gateway/:session/handoff", async (call) => {
      const { manager: name, text, base64 } = parse(handoffBody, await call.body());
      const data = text === undefined && base64 === undefined ? undefined : toBytes({ text, base64 });
      await handingOver(() => manager.handoff(sessionOf(call), name, data));
      return { handedOver: true };
    }),
    route("POST", "/api/gateways/:gateway/shutdown", async (call) => {
      const options = parse(shutdownBody, await call.body());
      manager.shutdown(gatewayOf(call).id, options);
      return { shutdown: true };
    }),
  ];
}

/** `:name` in a path stands for one part of it. */
function route(method: string, path: string, handle: Handler): Route {
  return { method, pattern: new RegExp(`^${path.replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}$`), handle };
}

async function answer(
  routes: readonly Route[],
  hosts: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = request.url ?? "";
  const url = URL.parse(target.startsWith("/") ? `http://localhost${target}` : target);
  if (url === null) throw new ApiError(400, "bad-path", `'${target}' is not a path`);
  checkOrigin(request, hosts);
  const there = routes.filter((candidate) => candidate.pattern.test(url.pathname));
  const found = there.find((candidate) => candidate.method === request.method);
  if (found === undefined) {
    if (there.length === 0)
      throw new ApiError(404, "no-such-path", `there is no ${url.pathname}; see docs/manager.md`);
    const methods = there.map((candidate) => candidate.method).join(", ");
    response.setHeader("allow", methods);
    throw new ApiError(405, "wrong-method", `${url.pathname} takes ${methods}`);
  }
  const groups = found.pattern.exec(url.pathname)?.groups ?? {};
  const params = Object.fromEntries(Object.entries(groups).map(([key, value]) => [key, decode(value)]));
  const result = await found.handle({
    params,
    query: url.searchParams,
    body: () => readJson(request),
    response,
  });
  if (result !== undefined) sendJson(response, 200, result);
}

/**
 * A page of some other site, open in a browser on this machine, must not drive the manager: not from its own
 * origin, and not under a name of its own that it makes to point here (DNS rebinding).
 */
function checkOrigin({ headers }: IncomingMessage, hosts: readonly string[]): void {
  const { origin, host } = headers;
  if (origin !== undefined && origin !== `http://${host}`)
    throw new ApiError(403, "foreign-origin", `requests from ${origin} are not taken`);
  if (host === undefined) return;
  const name = bareHost(host.toLowerCase().replace(/:\d*$/, ""));
  if (isIP(name) === 0 && !hosts.includes(name))
    throw new ApiError(403, "foreign-host", `'${name}' is not a name of this manager; use its IP address`);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ApiError(400, "bad-path", `'${part}' is not a part of a path`);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = new RequestBody(MAX_BODY_BYTES);
  // What is too much is read all the same, and not kept: who is still sending would not see an answer.
  for await (const part of request as AsyncIterable<Buffer>) body.append(part);
  if (body.isTooLong) throw new ApiError(413, "too-big", `a body may have ${MAX_BODY_BYTES} bytes`);
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new ApiError(400, "bad-json", `the body is not JSON: ${(error as Error).message}`);
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ApiError(400, "bad-body", parsed.error.issues[0]?.message ?? "the body is wrong");
}

function toBytes({ text, base64 }: PayloadBody): Buffer {
  return text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text);
}

/** Sends a payload; that it is too long for where it goes is the fault of who asks. */
function fitting<T>(send: () => T): T {
  try {
    return send();
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError(413, "too-big", error.message);
    throw error;
  }
}

async function handingOver(handOff: () => Promise<void>): Promise<void> {
  try {
    await handOff();
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError(413, "too-big", error.message);
    if (!(error instanceof HandoffError)) throw error;
    const { code, message } = error;
    if (code === "no-session") throw gone();
    throw new ApiError(handoffStatuses[code] ?? HANDOFF_NOT_NOW, code, message);
  }
}

/** A gateway by its id, or by its name: two share one while the older of them drains. */
function findGateway(manager: ManagerServer, key: string): Gateway {
  const { gateways } = manager;
  const found =
    gateways.find(({ id }) => String(id) === key) ?? gateways.findLast(({ name }) => name === key);
  if (found === undefined) throw new ApiError(404, "no-such-gateway", `there is no gateway '${key}'`);
  return found;
}

function findSession(manager: ManagerServer, gateway: Gateway, key: string): Session {
  if (!/^\d{1,10}$/.test(key)) throw new ApiError(400, "bad-session", `'${key}' is not a session's number`);
  const found = manager.session({ gateway: gateway.id, id: Number(key) });
  if (found === undefined) throw gone();
  return found;
}

function nobody(kind: "group" | "user", name: string): ApiError {
  return kind === "group"
    ? new ApiError(404, "no-such-group", `nobody is in a group '${name}'`)
    : new ApiError(404, "no-such-user", `nobody is '${name}'`);
}

function gone(): ApiError {
  return new ApiError(404, "no-such-session", "the session is gone");
}

/** A page of sessions in the order in which they joined; `after` is the `next` of the page before. */
function listSessions(manager: ManagerServer, query: URLSearchParams): unknown {
  const unknown = [...query.keys()].find((key) => !["gateway", "limit", "after"].includes(key));
  if (unknown !== undefined) throw new ApiError(400, "bad-query", `unknown option '${unknown}'`);
  const limit = wholeQuery(query, "limit", DEFAULT_PAGE, 1, MAX_PAGE);
  const after = wholeQuery(query, "after", 0, 0, Number.MAX_SAFE_INTEGER);
  const key = query.get("gateway");
  const gateways = key === null ? manager.gateways : [findGateway(manager, key)];
  const firsts = gateways.flatMap(({ id }) =>
    manager
      .sessions(id)
      .filter((one) => one.serial > after)
      .take(limit + 1)
      .toArray(),
  );
  const sorted = firsts.sort((a, b) => a.serial - b.serial);
  const page = sorted.slice(0, limit);
  const next = sorted.length > limit ? (page.at(-1)?.serial ?? null) : null;
  return { sessions: page.map(sessionView), next };
}

function wholeQuery(query: URLSearchParams, key: string, fallback: number, min: number, max: number): number {
  const value = query.get(key);
  if (value === null) return fallback;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= min && number <= max) return number;
  throw new ApiError(400, "bad-query", `${key} must be a whole number from ${min} to ${max}, not '${value}'`);
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(value)}\n`);
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error instanceof ApiError)
    sendJson(response, error.status, { code: error.code, message: error.message });
  else sendJson(response, 500, { code: "fault", message: (error as Error).message });
}
