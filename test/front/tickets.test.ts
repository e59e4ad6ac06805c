/** Tickets, from the command that signs one to what the manager hears of the user. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { readSecret } from "../../gateway/guard/secret.ts";
import { signTicket } from "../../gateway/guard/ticket.ts";
import { TestProcess } from "../helpers/process.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";
import { clientFrame, Opcode, RawWeb, upgradeRequest } from "./raw-web.ts";
import { startFront } from "./support.ts";

const SECRET = "00112233445566778899aabbccddeeff".repeat(2);
const LINES = "tcp://127.0.0.1:0?framing=line&ticket=first-message";
const settings = { ticketSecret: SECRET };

/** A ticket that is good for a minute. */
function ticket(more: Partial<Parameters<typeof signTicket>[0]> = {}): string {
  return signTicket({ user: "ann", expiresAtMs: Date.now() + 60_000, ...more }, readSecret(SECRET));
}

/** What `sidegate ticket` prints. */
async function printed(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const process = new TestProcess(t, "gateway/main.ts", ["ticket", ...args], env);
  assert.deepEqual([(await process.exited).code, process.stderr], [0, ""]);
  return process.stdout.trim();
}

describe("a ticket that `sidegate ticket` has signed", () => {
  test("lets its user in once, in the first message or in a query", async (t) => {
    const secretFile = join(temporaryDirectory(t), "secret");
    writeFileSync(secretFile, `${SECRET}\n`);
    const listen = [`${LINES}&name=lines`, "ws://127.0.0.1:0?ticket=query&name=web"];
    const front = await startFront(t, listen, { settings: { ticketSecretFile: secretFile } });
    const args = ["--user", "ann", "--ttl", "60", "--context", "red team"];
    const [first, second] = await Promise.all([
      printed(t, args, { SIDEGATE_TICKET_SECRET: SECRET }),
      printed(t, [...args, "--secret-file", secretFile], {}),
    ]);
    const client = await front.dial("lines");
    client.send(`${first}\nhello\n`);
    assert.partialDeepStrictEqual(await front.joined(), {
      user: "ann",
      context: "red team",
      listener: "lines",
    });
    assert.deepEqual(await front.heard(1), ["hello"]);
    await RawWeb.open(t, front.portOf("web"), upgradeRequest(`/?ticket=${second}`));
    assert.partialDeepStrictEqual(await front.joined(2), {
      user: "ann",
      context: "red team",
      listener: "web",
    });
    const replay = await front.dial("lines");
    replay.send(`${second}\n`);
    await replay.untilEnded();
    replay.close();
    assert.equal(
      await RawWeb.start(t, front.portOf("web"), upgradeRequest(`/?ticket=${first}`)).status(),
      401,
    );
    await front.untilRefused({ "replayed-ticket": 2 });
  });
});

describe("a ticket in the first message", () => {
  test("may come in any pieces, with what is behind it, while the manager is still asked", async (t) => {
    const front = await startFront(t, LINES, { settings, manager: { admit: true } });
    const client = await front.dial();
    client.socket.setNoDelay(true);
    const token = ticket();
    for (const part of [token.slice(0, 1), token.slice(1, 50), token.slice(50)]) {
      client.send(part);
      await until(() => client.socket.writableLength === 0, "it is sent");
      for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    const messages = Array.from({ length: 1000 }, (_, index) => `message ${index}`);
    client.send(`\r\n${messages.join("\n")}\n`);
    const session = await front.joined();
    front.manager.send(session, "who are you?");
    await client.expect("who are you?\n");
    client.send("and one more\n");
    assert.deepEqual(front.messages, [], "nothing of it is told before");
    front.manager.admit(session);
    assert.deepEqual(await front.heard(1001), [...messages, "and one more"]);
  });

  test("is what a WebSocket's first message is, too", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0?ticket=first-message", { settings });
    const web = await RawWeb.open(t, front.port);
    web.client.send(
      Buffer.concat([
        clientFrame(Opcode.text, ticket()),
        clientFrame(Opcode.text, "one"),
        clientFrame(Opcode.text, "two"),
      ]),
    );
    assert.deepEqual(await front.heard(2), ["one", "two"]);
    assert.equal((await front.joined()).user, "ann");
    const bad = await RawWeb.open(t, front.port);
    bad.send(Opcode.text, "let me in");
    assert.deepEqual(await bad.closed(), [1008, "bad-ticket"]);
    const old = await RawWeb.open(t, front.port);
    old.send(Opcode.text, ticket({ expiresAtMs: Date.now() - 1 }));
    assert.deepEqual(await old.closed(), [1008, "expired-ticket"]);
    await front.untilRefused({ "bad-ticket": 1, "expired-ticket": 1 });
    for (const { client } of [bad, old]) client.close();
  });

  test("that is too long for any is a bad one, and so is one that never ends", async (t) => {
    const front = await startFront(t, `${LINES}&maxMessageBytes=4096`, { settings });
    for (const text of [`${"x".repeat(2049)}\n`, "x".repeat(5000)]) {
      const client = await front.dial();
      client.send(text);
      await client.untilEnded();
      client.close();
    }
    await front.untilRefused({ "bad-ticket": 2 });
    assert.equal(front.joins.length, 0);
  });

  test("that does not come in time is no ticket", async (t) => {
    const front = await startFront(t, LINES, { settings: { ...settings, handshakeTimeoutMs: 50 } });
    const client = await front.dial();
    client.send(ticket());
    await client.untilEnded();
    await front.untilRefused({ "handshake-timeout": 1 });
  });

  test("is good from its own address alone", async (t) => {
    const front = await startFront(t, LINES, { settings });
    const stranger = await front.dial();
    stranger.send(`${ticket({ address: "127.0.0.2" })}\n`);
    await stranger.untilEnded();
    stranger.close();
    await front.untilRefused({ "bad-ticket": 1 });
    (await front.dial()).send(`${ticket({ address: "127.0.0.1" })}\n`);
    await front.joined();
  });
});

describe("a ticket in the query", () => {
  const WEB = "ws://127.0.0.1:0?ticket=query";

  test("is not told to the manager, and what stands beside it stays as it was", async (t) => {
    const front = await startFront(t, WEB, { settings });
    const rows = [
      [`?ticket=${ticket()}`, ""],
      [`?room=a%20b&ticket=${ticket()}&flag&x=(1)`, "room=a%20b&flag&x=(1)"],
      [`?tickets=1&ticket=${ticket()}&a=1&a=2`, "tickets=1&a=1&a=2"],
      [`?%74icket=${ticket()}&ticket=${ticket()}`, ""],
      [`?x=${"(".repeat(3500)}&ticket=${ticket()}`, `x=${"(".repeat(3500)}`],
    ] as const;
    for (const [index, [asked, told]] of rows.entries()) {
      await RawWeb.open(t, front.port, upgradeRequest(`/${asked}`));
      assert.equal((await front.joined(index + 1)).query, told);
    }
    assert.equal(front.view.health, "up");
  });

  test("that is missing, bad or expired is answered with 401, and why", async (t) => {
    const front = await startFront(t, WEB, { settings });
    const forged = signTicket({ user: "ann", expiresAtMs: Date.now() + 60_000 }, Buffer.alloc(32));
    const rows = [
      ["/", "bad-ticket"],
      ["/?ticket=", "bad-ticket"],
      [`/?ticket=${forged}`, "bad-ticket"],
      [`/?ticket=${ticket({ expiresAtMs: Date.now() - 1 })}`, "expired-ticket"],
    ] as const;
    for (const [path, refusal] of rows) {
      const web = RawWeb.start(t, front.port, upgradeRequest(path));
      assert.equal(await web.status(), 401);
      await web.client.untilEnded();
      assert.equal(String(web.body), `${refusal}\n`);
    }
    await front.untilRefused({ "bad-ticket": 3, "expired-ticket": 1 });
  });
});
