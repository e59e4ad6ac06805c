/** Users and groups from outside: the HTTP API and its command line. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Command } from "commander";
import type { SessionView } from "../../manager-stub/api-views.ts";
import { ctlCommand } from "../../manager-stub/ctl.ts";
import { startManager } from "../helpers/rig.ts";
import { startApi } from "./api.ts";
import { RawGateway, session } from "./raw-gateway.ts";

const [first, second] = [session(0), session(1)];

/** A manager with two gateways, `edge` with two sessions of ann's and `other` with one; all are in a group. */
async function setUp(t: TestContext) {
  const { manager, link } = await startManager(t);
  const edge = await RawGateway.registered(t, link, { name: "edge", maxFrame: 65_536 });
  const other = await RawGateway.registered(t, link, { name: "other" });
  edge.join(first, second);
  other.join(first);
  await Promise.all([edge.sync(), other.sync()]);
  for (const one of [...manager.sessions()]) {
    manager.bind(one, "ann");
    manager.addToGroup(one, "room/7");
  }
  await Promise.all([edge.sync(), other.sync()]);
  return { manager, edge, other, api: await startApi(t, manager) };
}

for (const [kind, name, frame] of [
  ["groups", "room/7", "MsgGroup"],
  ["users", "ann", "MsgUser"],
] as const) {
  const one = kind.slice(0, -1);
  const path = `/api/${kind}/${encodeURIComponent(name)}/send`;

  describe(`POST /api/${kind}/:${one}/send`, () => {
    test("reaches everybody of that name, on all gateways or on one", async (t) => {
      const { api, edge, other } = await setUp(t);
      assert.deepEqual((await api.post(path, { text: "all" })).body, { sessions: 3 });
      assert.deepEqual((await api.post(path, { base64: "aGVyZQ==", gateway: "edge" })).body, { sessions: 2 });
      assert.deepEqual((await api.post(path, { text: "there", gateway: 2 })).body, { sessions: 1 });
      assert.deepEqual(await edge.sync(), [
        [frame, name, "all"],
        [frame, name, "here"],
      ]);
      assert.deepEqual(await other.sync(), [
        [frame, name, "all"],
        [frame, name, "there"],
      ]);
    });

    test("says so when nobody is called that", async (t) => {
      const { manager, api } = await setUp(t);
      const nobody = kind === "groups" ? "nobody is in a group 'nobody'" : "nobody is 'nobody'";
      const missing = { code: `no-such-${one}`, message: nobody };
      const answer = await api.post(`/api/${kind}/nobody/send`, { text: "x" });
      assert.deepEqual([answer.status, answer.body], [404, missing]);
      assert.equal((await api.post(`/api/${kind}/${"x".repeat(129)}/send`, { text: "x" })).status, 404);
      for (const session of [...manager.sessions()]) manager.drop(session);
      assert.equal((await api.post(path, { text: "x" })).body.code, `no-such-${one}`);
    });

    test("refuses what is wrong with a request, and sends nothing", async (t) => {
      const { api, edge } = await setUp(t);
      const tried = async (body: unknown) => {
        const { status, body: failure } = await api.post(path, body);
        return [status, failure.code];
      };
      assert.deepEqual(await tried({}), [400, "bad-body"]);
      assert.deepEqual(await tried({ text: "a", group: "b" }), [400, "bad-body"]);
      assert.deepEqual(await tried({ text: "a", gateway: "third" }), [404, "no-such-gateway"]);
      assert.equal((await api.get(path)).status, 405);
      assert.deepEqual(await edge.sync(), []);
    });
  });
}

test("GET /api/sessions shows who each client is now", async (t) => {
  const { manager, api } = await setUp(t);
  const users = async () => {
    const { body } = await api.get<{ sessions: readonly SessionView[] }>("/api/sessions");
    return body.sessions.map(({ user }) => user);
  };
  assert.deepEqual(await users(), ["ann", "ann", "ann"]);
  manager.bind({ gateway: 1, id: second }, "bob");
  manager.unbind({ gateway: 2, id: first });
  assert.deepEqual(await users(), ["ann", "bob", null]);
});

test("ctl sends to a group and to a user", async (t) => {
  const { edge, other, api } = await setUp(t);
  const port = api.port;
  const ctl = async (...args: readonly string[]) => {
    let printed = "";
    const command = ctlCommand((text) => {
      printed += text;
    });
    const program = new Command()
      .option("--http <address>")
      .setOptionValue("http", { host: "127.0.0.1", port });
    await program.addCommand(command).parseAsync(["ctl", ...args], { from: "user" });
    return printed;
  };
  assert.equal(await ctl("send-group", "room/7", "hello"), "sent to 3 sessions\n");
  assert.equal(await ctl("send-user", "ann", "--gateway", "other", "hi"), "sent to 1 session\n");
  assert.equal(await ctl("--json", "send-user", "ann", "--base64", "eA=="), '{"sessions":3}\n');
  await assert.rejects(ctl("send-group", "room", "x"), /nobody is in a group 'room' \(no-such-group\)/);
  await assert.rejects(ctl("send-user", "bob", "x"), /nobody is 'bob' \(no-such-user\)/);
  assert.deepEqual(await edge.sync(), [
    ["MsgGroup", "room/7", "hello\n"],
    ["MsgUser", "ann", "x"],
  ]);
  assert.deepEqual(await other.sync(), [
    ["MsgGroup", "room/7", "hello\n"],
    ["MsgUser", "ann", "hi\n"],
    ["MsgUser", "ann", "x"],
  ]);
});
