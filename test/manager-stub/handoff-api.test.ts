/** How operators and scripts hand a session to another manager: over the HTTP API, and by `ctl`. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { SessionView } from "../../manager-stub/api-views.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { startApi } from "./api.ts";
import { startJoined } from "./joined.ts";
import { JOIN, session, type Told } from "./raw-gateway.ts";
import { ctl } from "./run-ctl.ts";

const [first, second] = [session(0), session(1)];
const HANDOFF = `/api/sessions/1/${first}/handoff`;

/** A manager with its API, whose gateway has two sessions. */
async function setUp(t: TestContext) {
  const { manager, gateway } = await startJoined(t, {}, first, second);
  const api = await startApi(t, manager);
  /** What the gateway is told, once it is told something. */
  const heard = async (): Promise<readonly Told[]> => {
    let told: readonly Told[] = [];
    while (told.length === 0) told = await gateway.sync();
    return told;
  };
  return { gateway, api, heard };
}

describe("POST …/handoff", () => {
  test("is answered once the session has gone, with what was given along or without", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    const bodies = [
      [{ manager: "battle" }, []],
      [{ manager: "battle", text: "grüß" }, ["grüß"]],
      [{ manager: "battle", text: "" }, [""]],
      [{ manager: "battle", base64: "bGV2ZWwgMw==" }, ["level 3"]],
    ] as const;
    for (const [index, [body, data]] of bodies.entries()) {
      const id = session(2 + index);
      gateway.join(id);
      await gateway.sync();
      const answer = api.post(`/api/sessions/gateway-1/${id}/handoff`, body);
      assert.deepEqual(await heard(), [["Handoff", id, "battle", ...data]]);
      gateway.handedOver(id);
      const { status, body: told } = await answer;
      assert.deepEqual([status, told], [200, { handedOver: true }]);
    }
  });

  const statuses: Readonly<Record<string, number>> = {
    "unknown-manager": 404,
    "same-manager": 409,
    "no-manager": 503,
    "no-slot": 503,
    "not-admitted": 409,
    "too-big": 413,
    "a code of a later version": 503,
  };

  test("is answered with why the session stays", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    for (const [code, expected] of Object.entries(statuses)) {
      const answer = api.post(HANDOFF, { manager: "battle" });
      await heard();
      gateway.refuseHandoff(first, code);
      const { status, body } = await answer;
      assert.deepEqual([status, body], [expected, { code, message: `refused as ${code}` }]);
    }
  });

  test("is answered with what has become of the session instead", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    const pending = api.post(HANDOFF, { manager: "battle" });
    await heard();
    const again = await api.post(HANDOFF, { manager: "battle" });
    assert.deepEqual([again.status, again.body.code], [409, "under-way"]);
    const sent = await api.post(`/api/sessions/1/${first}/send`, { text: "x" });
    assert.deepEqual([sent.status, sent.body.code], [404, "no-such-session"]);
    gateway.disconnected(first);
    const ended = await pending;
    assert.deepEqual(
      [ended.status, ended.body],
      [409, { code: "session-ended", message: "the session has ended: client-closed" }],
    );
    assert.deepEqual(await gateway.sync(), [["Drop", first]]);
    const lost = api.post(`/api/sessions/1/${second}/handoff`, { manager: "battle" });
    assert.deepEqual(await heard(), [["Handoff", second, "battle"]]);
    gateway.send((batch) => toManager.draining(batch, { reason: "SIGTERM", drainMs: 0 }));
    gateway.socket.end();
    const { status, body } = await lost;
    assert.deepEqual([status, body.code], [503, "gateway-lost"]);
  });

  test("takes 61,440 bytes and no more", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    const { status, body } = await api.post(HANDOFF, { manager: "battle", text: "x".repeat(61_441) });
    assert.deepEqual([status, body.code], [413, "too-big"]);
    const answer = api.post(HANDOFF, { manager: "battle", text: "x".repeat(61_440) });
    assert.equal((await heard()).length, 1);
    gateway.handedOver(first);
    assert.equal((await answer).status, 200);
  });
});

test("GET /api/sessions tells which manager had a session before", async (t) => {
  const { gateway, api } = await setUp(t);
  const from = { from: "login", fromSession: 2_097_159 };
  gateway.send((batch) => toManager.join(batch, session(2), { ...JOIN, ...from }));
  await gateway.sync();
  const { body } = await api.get<{ readonly sessions: readonly SessionView[] }>("/api/sessions");
  assert.deepEqual(
    body.sessions.map((one) => one.from),
    [null, null, { manager: "login", session: 2_097_159 }],
  );
});

describe("ctl handoff", () => {
  test("hands a session over, with text, a file's bytes, or nothing", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    const file = join(temporaryDirectory(t), "data");
    writeFileSync(file, "of a file\n");
    const calls = [
      [[], []],
      [["--data", "level 3"], ["level 3"]],
      [["--data-file", file], ["of a file\n"]],
    ] as const;
    for (const [index, [args, data]] of calls.entries()) {
      const id = session(2 + index);
      gateway.join(id);
      await gateway.sync();
      const printed = ctl(api.port, "handoff", "1", String(id), "battle", ...args);
      assert.deepEqual(await heard(), [["Handoff", id, "battle", ...data]]);
      gateway.handedOver(id);
      assert.equal(await printed, "handed over\n");
    }
  });

  test("says why it was not done", async (t) => {
    const { gateway, api, heard } = await setUp(t);
    const refused = assert.rejects(ctl(api.port, "handoff", "1", String(first), "battle"), {
      name: "CtlError",
      message: "refused as no-slot (no-slot)",
    });
    await heard();
    gateway.refuseHandoff(first);
    await refused;
    await assert.rejects(
      ctl(api.port, "handoff", "1", String(first), "battle", "--data-file", "/nowhere/at/all"),
      {
        name: "CtlError",
        message: /^cannot read '\/nowhere\/at\/all': ENOENT/,
      },
    );
    await assert.rejects(
      ctl(api.port, "handoff", "1", String(first), "battle", "--data", "x", "--data-file", "y"),
      {
        message: /'--data <text>' cannot be used with option '--data-file <file>'/,
      },
    );
  });
});
