/** docs/manager.md says what the manager does: all of it, and nothing else. */

import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { behaviourNames } from "../../manager-stub/behaviours.ts";
import { ctlCommand } from "../../manager-stub/ctl.ts";
import { ManagerServer, type ManagerServerOptions } from "../../manager-stub/index.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { ROOT, TestProcess } from "../helpers/process.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { end, prints } from "./manager-process.ts";
import { JOIN, RawGateway, session } from "./raw-gateway.ts";

const page = readFileSync(join(ROOT, "docs/manager.md"), "utf8");
const sources = new Map(
  globSync("manager-stub/*.ts", { cwd: ROOT }).map((path) => [path, readFileSync(join(ROOT, path), "utf8")]),
);

function source(name: string): string {
  return sources.get(`manager-stub/${name}.ts`) ?? "";
}

/** What stands in the first cells of the rows of a section, without the backquotes. */
function firstCells(heading: string): string[] {
  const [, section = ""] = page.split(`\n## ${heading}\n`);
  const rows = (section.split("\n## ")[0] ?? "").matchAll(/^\| (`.*?) \|/gm);
  return [...rows].flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = ""]) => found);
}

/** The body of an interface. */
function interfaceBody(name: string): string {
  return new RegExp(`interface ${name} \\{\\n(.*?)\\n\\}`, "s").exec(source("manager-server"))?.[1] ?? "";
}

describe("docs/manager.md", () => {
  test("lists every option and every event of a ManagerServer", () => {
    const options = matches(interfaceBody("ManagerServerOptions"), /^ {2}readonly (\w+)\?:/gm);
    const events = matches(interfaceBody("ManagerServerEvents"), /^ {2}(\w+):/gm);
    assert.deepEqual([options.length, events.length], [10, 10]);
    const listed = firstCells("ManagerServer");
    for (const name of [...options, ...events]) assert.ok(listed.includes(name), name);
  });

  test("lists every public method of a ManagerServer", () => {
    const [, body = ""] = source("manager-server").split("export class ManagerServer");
    const methods = matches(body, /^ {2}(?:async |get |\*)?([a-z]\w*)\(/gm).filter(
      (one) => one !== "constructor",
    );
    assert.ok(methods.length >= 9);
    const listed = firstCells("ManagerServer").map((cell) => cell.replace(/\(.*/, ""));
    for (const name of methods) assert.ok(listed.includes(name), name);
  });

  test("names everything that is known of a session", () => {
    const [, body = ""] = source("session").split("export interface Session {");
    const keys = matches(body, /^ {2}readonly (\w+)\??:/gm);
    assert.ok(keys.length >= 20);
    const [, told = ""] = /^A session is the same object(.*?)They\s+mean/ms.exec(page) ?? [];
    assert.deepEqual(matches(told, /`(\w+)`/g).sort(), keys.sort());
  });

  test("lists every flag and every behaviour", () => {
    const flags = matches(source("main"), /"(--[\w-]+) </g);
    const listed = firstCells("The stand-alone manager").map((cell) => cell.split(" ")[0] ?? "");
    assert.deepEqual(
      listed.filter((cell) => cell.startsWith("--")),
      flags,
    );
    for (const name of behaviourNames) assert.ok(page.includes(`\`${name}\`: `), name);
  });

  test("lists every route, every code and every event of the HTTP API", () => {
    const routes = [...source("http-api").matchAll(/route\("(\w+)", "([^"]+)"/g)].map(
      ([, method, path]) => `${method} ${path}`,
    );
    const listed = firstCells("HTTP API").filter((cell) => cell.includes(" /"));
    assert.deepEqual(listed.sort(), routes.sort());
    const codes = [...source("http-api").matchAll(/ApiError\(\s*(\d+),\s*"([\w-]+)"/g)];
    assert.ok(codes.length >= 11);
    for (const [, status, code] of codes)
      assert.match(page, new RegExp(`^\\| ${status} \\|[^|]*\`${code}\``, "m"));
    const [, events = ""] = /The events are (.*?)\. /s.exec(page) ?? [];
    assert.deepEqual(
      matches(events, /`(\w+)`/g).sort(),
      matches(source("event-streams"), /#tell\("(\w+)"/g).sort(),
    );
  });

  test("lists every command of ctl, with its options", () => {
    const rows = matches(page, /^\| `ctl (.*?)` \|/gm);
    const commands = ctlCommand(() => {}).commands;
    assert.equal(rows.length, commands.length);
    for (const command of commands) {
      const row = rows.find((one) => one.split(" ")[0] === command.name()) ?? "";
      const [, ...words] = row
        .replaceAll(/\[.*?\]/g, "")
        .trim()
        .split(/ +/);
      assert.deepEqual(
        words.map((word) => word.toLowerCase()),
        command.registeredArguments.map((argument) => argument.name()),
      );
      const flags = command.options.map(({ long }) => `${long}`);
      assert.deepEqual(matches(row, /\[(--[\w-]+)/g).sort(), flags.sort(), row);
    }
  });

  test("has an example of letting clients in that works", async (t) => {
    const [, example = ""] = matches(page, /```ts\n(.*?)```/gs);
    const listen = `unix:${temporaryDirectory(t)}/manager.sock`;
    const isWelcome = async (user: string | undefined) => user === "anna";
    const make = (options: ManagerServerOptions) => new ManagerServer({ ...options, listen });
    const body = example.replace("new ManagerServer", "make");
    const manager: ManagerServer = new Function("make", "isWelcome", `${body}\nreturn server;`)(
      make,
      isWelcome,
    );
    await manager.listen();
    t.after(() => manager.close());
    const gateway = await RawGateway.registered(t, listen);
    const [anna, other] = [session(0), session(1)];
    gateway.send((batch) => {
      toManager.join(batch, anna, { ...JOIN, user: "anna" });
      toManager.join(batch, other, JOIN);
    });
    assert.deepEqual(await gateway.sync(), [
      ["Admit", anna],
      ["Drop", other, { reason: "not today", code: 4003, banMs: 60_000 }],
    ]);
  });

  test("has an example of users and groups that works", async (t) => {
    const [, , example = ""] = matches(page, /```ts\n(.*?)```/gs);
    const listen = `unix:${temporaryDirectory(t)}/manager.sock`;
    const logIn = async (payload: Buffer) => payload.toString();
    const make = () => new ManagerServer({ listen });
    const body = example.replace("new ManagerServer", "make");
    const manager: ManagerServer = new Function("make", "logIn", `${body}\nreturn server;`)(make, logIn);
    await manager.listen();
    t.after(() => manager.close());
    const gateway = await RawGateway.registered(t, listen);
    const [first, second] = [session(0), session(1)];
    gateway.join(first, second);
    for (const id of [first, second]) gateway.message(id, "anna");
    assert.deepEqual(await gateway.sync(), [
      ["GroupAdd", first, "lobby"],
      ["GroupAdd", second, "lobby"],
      ["Bind", first, "anna"],
      ["Bind", second, "anna"],
    ]);
    gateway.send((batch) => toManager.bindRefused(batch, second, "anna"));
    gateway.message(first, "hello");
    assert.deepEqual(await gateway.sync(), [
      ["Bind", second, ""],
      ["Drop", second, { reason: "anna is in already" }],
      ["MsgGroup", "lobby", "hello"],
    ]);
  });

  test("has an example of handing sessions over that works", async (t) => {
    const [, , , example = ""] = matches(page, /```ts\n(.*?)```/gs);
    const listen = `unix:${temporaryDirectory(t)}/manager.sock`;
    const make = () => new ManagerServer({ listen });
    const body = example.replace("new ManagerServer", "make");
    const manager: ManagerServer = new Function("make", `${body}\nreturn server;`)(make);
    await manager.listen();
    t.after(() => manager.close());
    const gateway = await RawGateway.registered(t, listen);
    const [first, second] = [session(0), session(1)];
    gateway.join(first);
    gateway.message(first, "to battle");
    const back = { from: "battle", fromSession: 7, data: Buffer.from("spoils") };
    gateway.send((batch) => toManager.join(batch, second, { ...JOIN, ...back }));
    assert.deepEqual(await gateway.sync(), [
      ["Handoff", first, "battle", '{"level":3}'],
      ["Msg", second, "back with spoils"],
    ]);
    gateway.refuseHandoff(first);
    const told = [...(await gateway.sync()), ...(await gateway.sync())];
    assert.deepEqual(told, [["Msg", first, "refused as no-slot"]]);
  });

  test("has an example of what goes along from a client without framing that works", async (t) => {
    const [, , , , example = ""] = matches(page, /```ts\n(.*?)```/gs);
    const listen = `unix:${temporaryDirectory(t)}/manager.sock`;
    const make = () => new ManagerServer({ listen });
    const body = example.replace("new ManagerServer", "make");
    const manager: ManagerServer = new Function("make", `${body}\nreturn server;`)(make);
    await manager.listen();
    t.after(() => manager.close());
    const gateway = await RawGateway.registered(t, listen);
    const [first, second] = [session(0), session(1)];
    gateway.join(first);
    for (const part of ["hel", "lo\nto battle\nquick\nfi"]) gateway.message(first, part);
    const back = { from: "battle", fromSession: 7, data: Buffer.from("all\nwe") };
    gateway.send((batch) => toManager.join(batch, second, { ...JOIN, ...back }));
    gateway.message(second, "ll\n");
    assert.deepEqual(await gateway.sync(), [
      ["Msg", first, "you said hello\n"],
      ["Handoff", first, "battle", "quick\nfi"],
      ["Msg", second, "you said all\n"],
      ["Msg", second, "you said well\n"],
    ]);
    gateway.refuseHandoff(first);
    const told = [...(await gateway.sync()), ...(await gateway.sync())];
    assert.deepEqual(told, [
      ["Msg", first, "refused as no-slot\n"],
      ["Msg", first, "you said quick\n"],
    ]);
  });

  test("says of each code of a handoff with which status it is answered", () => {
    const [, statuses = ""] = /handoffStatuses.*? = \{\n(.*?)\n\}/s.exec(source("http-api")) ?? [];
    const listed = [...statuses.matchAll(/"([\w-]+)": (\d+)/g)].map(([, code, status]) => [code, status]);
    const others = ["no-manager", "no-slot", "gateway-lost"].map((code) => [code, "503"]);
    assert.equal(listed.length, 6);
    for (const [code, status] of [...listed, ...others])
      assert.match(page, new RegExp(`^\\| ${status} \\|[^|]*\`${code}\``, "m"));
  });

  test("has an example that works", async (t) => {
    const [, example = ""] = /```ts\n(.*?)```/s.exec(page) ?? [];
    const directory = temporaryDirectory(t);
    const file = join(directory, "example.mts");
    const link = `unix:${directory}/manager.sock`;
    const index = pathToFileURL(join(ROOT, "manager-stub/index.ts")).href;
    writeFileSync(file, example.replace("sidegate", index).replace("unix:run/manager.sock", link));
    const running = new TestProcess(t, file, []);
    await prints(running, `gateways dial ${link}\n`);
    const gateway = await RawGateway.registered(t, link);
    const id = session(0);
    gateway.join(id);
    gateway.message(id, "hello\n");
    gateway.message(id, "quit\n");
    assert.deepEqual(await gateway.sync(), [
      ["Msg", id, "hello\n"],
      ["Drop", id, { reason: "said quit" }],
    ]);
    gateway.disconnected(id, { by: "manager", reason: "dropped" });
    await prints(running, "203.0.113.9: dropped (manager)\n");
    running.child.kill("SIGTERM");
    assert.equal((await end(running)).exit, 0);
  });
});
