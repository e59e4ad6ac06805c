/** The operator's command line over the HTTP API: tables for people, JSON for scripts. */

import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { harmless, harmlessLines, quoted } from "../process/harmless-text.ts";
import { bracketed } from "../proto/link-url.ts";
import type { ApiEvents, GatewayView, SessionView } from "./api-views.ts";
import { formatTable } from "./table.ts";

/** A command could not be carried out. Its message is for the operator, on a terminal. */
export class CtlError extends Error {
  override readonly name = "CtlError";

  constructor(message: string) {
    super(harmless(message));
  }
}

interface Context {
  readonly base: string;
  readonly json: boolean;
  readonly print: (text: string) => void;
}

/** Where an HTTP API is. */
export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

interface GatewayList {
  readonly gateways: readonly GatewayView[];
}

interface SessionPage {
  readonly sessions: readonly SessionView[];
  readonly next: number | null;
}

/**
 * The `ctl` command and its subcommands.
 *
 * @param print takes what is printed, line ends included
 */
export function ctlCommand(print: (text: string) => void): Command {
  const ctl = new Command("ctl")
    .exitOverride()
    .description("drive a running manager over its HTTP API")
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      "\nWith --http HOST:PORT the manager is looked for elsewhere than at 127.0.0.1:7380.",
    );
  const run = (action: (context: Context, args: readonly string[], options: CtlOptions) => Promise<void>) => {
    return (...given: unknown[]) => {
      const command = given.pop() as Command;
      const options = command.optsWithGlobals<CtlOptions>();
      const base = baseUrl(options.http);
      return action({ base, json: options.json === true, print }, command.args, options);
    };
  };
  const add = (usage: string, description: string) => ctl.command(usage).description(description);

  add("gateways", "the gateways and how they are").action(run(gateways));
  add("sessions", "the clients' sessions")
    .option("--gateway <id|name>", "only of this gateway")
    .option("--limit <n>", "at most so many", wholeNumber)
    .option("--after <n>", "behind this one: the 'next' of the page before", wholeNumber)
    .action(run(sessions));
  add("send <gateway> <session> <text>", "send text to one client")
    .option("--base64", "the text is base64, for bytes that are not text")
    .action(run(send));
  add("broadcast <text>", "send text to every client")
    .option("--gateway <id|name>", "only of this gateway")
    .option("--base64", "the text is base64, for bytes that are not text")
    .action(run(broadcast));
  add("send-group <group> <text>", "send text to every client of a group")
    .option("--gateway <id|name>", "only on this gateway")
    .option("--base64", "the text is base64, for bytes that are not text")
    .action(run((context, [group, text], options) => sendTo(context, "groups", group, text, options)));
  add("send-user <user> <text>", "send text to every client of a user")
    .option("--gateway <id|name>", "only on this gateway")
    .option("--base64", "the text is base64, for bytes that are not text")
    .action(run((context, [user, text], options) => sendTo(context, "users", user, text, options)));
  add("drop <gateway> <session>", "end one client's session; what was sent to it before still arrives")
    .option("--discard", "reset it at once instead, and discard what is queued for it")
    .option("--reason <text>", "for the gateway's log, and for a WebSocket's close frame")
    .option("--ban-ms <ms>", "do not let the client's address in again for so long", wholeNumber)
    .action(run(drop));
  add("handoff <gateway> <session> <manager>", "give one client's session to another manager of its gateway")
    .addOption(new Option("--data <text>", "what that manager is told with it").conflicts("dataFile"))
    .option("--data-file <file>", "the same, as the bytes of a file")
    .action(run(handoff));
  add("shutdown <gateway>", "end a gateway in good order; it stays down")
    .option("--drain-ms <ms>", "how long its sessions may go on", wholeNumber)
    .option("--reason <text>", "for the gateway's log")
    .action(run(shutdown));
  add("watch", "print what happens, as it happens, until Ctrl-C").action(run(watch));
  return ctl;
}

interface CtlOptions {
  /** The program's own flag, which holds for its commands too. */
  readonly http: HttpAddress;
  readonly json?: boolean;
  readonly gateway?: string;
  readonly limit?: number;
  readonly after?: number;
  readonly base64?: boolean;
  readonly discard?: boolean;
  readonly reason?: string;
  readonly banMs?: number;
  readonly drainMs?: number;
  readonly data?: string;
  readonly dataFile?: string;
}

async function gateways(context: Context): Promise<void> {
  const answer = await request<GatewayList>(context, "GET", "/api/gateways");
  show(context, answer, () => {
    const rows = answer.gateways.map((one) => [
      String(one.id),
      one.name,
      one.draining ? `${one.health}, draining` : one.health,
      `${one.sessions}/${one.capacity}`,
      one.endpoints.map(listens).join(" "),
      one.vitals?.rttMs === undefined ? "-" : `${one.vitals.rttMs.toFixed(2)} ms`,
      one.vitals?.rssBytes === undefined ? "-" : `${Math.round(one.vitals.rssBytes / 2 ** 20)} MiB`,
      one.vitals?.loopP99Ms === undefined ? "-" : `${one.vitals.loopP99Ms.toFixed(1)} ms`,
      one.vitals?.loopMaxMs === undefined ? "-" : `${one.vitals.loopMaxMs.toFixed(1)} ms`,
      String(one.pid),
    ]);
    return formatTable(
      ["ID", "NAME", "HEALTH", "SESSIONS", "LISTENS", "RTT", "RSS", "LOOP P99", "LOOP MAX", "PID"],
      rows,
    );
  });
}

async function sessions(context: Context, _args: readonly string[], options: CtlOptions): Promise<void> {
  const query = new URLSearchParams();
  for (const key of ["gateway", "limit", "after"] as const) {
    if (options[key] !== undefined) query.set(key, String(options[key]));
  }
  const answer = await request<SessionPage>(context, "GET", `/api/sessions?${query}`);
  show(context, answer, () => {
    const rows = answer.sessions.map((one) => [
      String(one.gateway),
      String(one.session),
      client(one),
      one.user ?? "-",
      one.transport,
      one.listener,
      one.joinedAt,
    ]);
    const more = answer.next === null ? "" : `more: --after ${answer.next}\n`;
    const head = ["GATEWAY", "SESSION", "CLIENT", "USER", "TRANSPORT", "LISTENER", "JOINED"];
    return formatTable(head, rows) + more;
  });
}

async function send(
  context: Context,
  [gateway, session, text]: readonly string[],
  options: CtlOptions,
): Promise<void> {
  const body = payloadOf(text, options);
  const answer = await request<{ sent: number }>(
    context,
    "POST",
    sessionPath(gateway, session, "send"),
    body,
  );
  show(context, answer, () => `sent ${counted(answer.sent, "byte")}\n`);
}

async function broadcast(context: Context, [text]: readonly string[], options: CtlOptions): Promise<void> {
  const body = { ...payloadOf(text, options), gateway: options.gateway };
  const answer = await request<{ gateways: number; sessions: number }>(
    context,
    "POST",
    "/api/broadcast",
    body,
  );
  const { sessions, gateways } = answer;
  show(context, answer, () => `sent to ${counted(sessions, "session")} on ${counted(gateways, "gateway")}\n`);
}

/** Sends to those who have a name. */
async function sendTo(
  context: Context,
  kind: "groups" | "users",
  name: string | undefined,
  text: string | undefined,
  options: CtlOptions,
): Promise<void> {
  const body = { ...payloadOf(text, options), gateway: options.gateway };
  const path = `/api/${kind}/${encodeURIComponent(name ?? "")}/send`;
  const answer = await request<{ sessions: number }>(context, "POST", path, body);
  show(context, answer, () => `sent to ${counted(answer.sessions, "session")}\n`);
}

async function drop(
  context: Context,
  [gateway, session]: readonly string[],
  options: CtlOptions,
): Promise<void> {
  const body = { discard: options.discard, reason: options.reason, banMs: options.banMs };
  const answer = await request(context, "POST", sessionPath(gateway, session, "drop"), body);
  show(context, answer, () => "dropped\n");
}

async function handoff(
  context: Context,
  [gateway, session, manager]: readonly string[],
  { data, dataFile }: CtlOptions,
): Promise<void> {
  const body = { manager, text: data, ...(dataFile !== undefined && { base64: await readBase64(dataFile) }) };
  const answer = await request(context, "POST", sessionPath(gateway, session, "handoff"), body);
  show(context, answer, () => "handed over\n");
}

async function readBase64(path: string): Promise<string> {
  try {
    return await readFile(path, "base64");
  } catch (error) {
    throw new CtlError(`cannot read '${path}': ${(error as Error).message}`);
  }
}

async function shutdown(context: Context, [gateway]: readonly string[], options: CtlOptions): Promise<void> {
  const path = `/api/gateways/${encodeURIComponent(gateway ?? "")}/shutdown`;
  const body = { reason: options.reason, drainMs: options.drainMs };
  const answer = await request(context, "POST", path, body);
  show(context, answer, () => "shutting down\n");
}

async function watch(context: Context): Promise<void> {
  const response = await call(context, "/api/events");
  if (response.body === null) return;
  let text = "";
  try {
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) showEvent(context, event);
    }
  } catch (error) {
    if (!isBroken(error)) throw error;
  }
  throw new CtlError("the manager has ended, or has cut this watch off");
}

/** Whether a stream broke off, which fetch tells as a TypeError with a cause. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError && error.cause !== undefined;
}

function showEvent({ json, print }: Context, block: string): void {
  const [, event, data] = /^event: ([^\n]*)\ndata: ([^\n]*)$/.exec(block) ?? [];
  if (event === undefined || data === undefined) return;
  if (json) {
    print(`${JSON.stringify({ event, ...JSON.parse(data) })}\n`);
    return;
  }
  const what = describe(event as keyof ApiEvents, JSON.parse(data));
  print(`${harmless(`${new Date().toISOString()}  ${event.padEnd(15)}  ${what}`)}\n`);
}

/** One event for people. */
function describe<K extends keyof ApiEvents>(event: K, data: ApiEvents[K]): string {
  const one = data as Partial<
    GatewayView & SessionView & { end: ApiEvents["leave"]["end"]; text: string; base64: string }
  >;
  const { code, message } = data as Partial<ApiEvents["refused"]>;
  switch (event) {
    case "join":
      return `${one.gateway}/${one.session}${named(one)} from ${client(one)} through ${one.listener}${before(one)}`;
    case "leave":
      return `${one.gateway}/${one.session} ${one.end?.reason} (by ${one.end?.by}) after ${one.end?.ms} ms`;
    case "message":
      return `${one.gateway}/${one.session} ${payload(one)}`;
    case "refused":
      return `${code}: ${message}`;
    default:
      return `${one.id} ${one.name}${code === undefined ? "" : ` ${code}: ${message}`}`;
  }
}

/** Text in quotes, with escapes as in JSON; bytes without, so that the two can't be taken for each other. */
function payload({ text, base64 }: { text?: string; base64?: string }): string {
  return text === undefined ? `base64:${base64}` : quoted(text);
}

function listens({ transport, host, port }: GatewayView["endpoints"][number]): string {
  return transport === "unix" ? `unix:${host}` : `${transport}://${hostAndPort(host, port)}`;
}

/** Where a client comes from; not every one has a port, or even an address. */
function client({ addr = "", port = 0 }: Partial<SessionView>): string {
  if (addr === "") return "-";
  return port === 0 ? addr : hostAndPort(addr, port);
}

function hostAndPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

function named({ user = null }: Partial<SessionView>): string {
  return user === null ? "" : ` as ${user}`;
}

/** Whose it was before. */
function before({ from = null }: Partial<SessionView>): string {
  return from === null ? "" : `, from manager ${from.manager} (${from.session})`;
}

/** @param text what people are shown instead */
function show({ json, print }: Context, answer: unknown, text: () => string): void {
  print(json ? `${JSON.stringify(answer)}\n` : harmlessLines(text()));
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function sessionPath(gateway: string | undefined, session: string | undefined, verb: string): string {
  return `/api/sessions/${encodeURIComponent(gateway ?? "")}/${encodeURIComponent(session ?? "")}/${verb}`;
}

/** The payload of a command; a line of text ends with a line end, as a client in a terminal wants it. */
function payloadOf(text: string | undefined, { base64 }: CtlOptions): { base64: string } | { text: string } {
  return base64 === true ? { base64: text ?? "" } : { text: `${text ?? ""}\n` };
}

async function request<T>(context: Context, method: string, path: string, body?: unknown): Promise<T> {
  const response = await call(context, path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return (await readJson(context, response)) as T;
}

async function call(context: Context, path: string, init: RequestInit = {}): Promise<Response> {
  const { base } = context;
  let response: Response;
  try {
    response = await fetch(base + path, init);
  } catch (error) {
    const { message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
    const why = cause?.code ?? cause?.message ?? message;
    throw new CtlError(`no manager answers at ${base} (${why}); is it running?`);
  }
  if (response.ok) return response;
  const { code, message } = (await readJson(context, response)) as { code: string; message: string };
  throw new CtlError(`${message} (${code})`);
}

async function readJson({ base }: Context, response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw new CtlError(`what answers at ${base} is not a manager's HTTP API, or broke off; see --http`);
  }
}

function baseUrl({ host, port }: HttpAddress): string {
  return `http://${hostAndPort(host, port)}`;
}

function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(value);
}
