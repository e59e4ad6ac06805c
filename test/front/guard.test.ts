/** Who is let in, and who may stay, over real sockets. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { pino } from "pino";
import { TestClient } from "../helpers/client.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { temporaryDirectory } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";
import { type Front, startFront } from "./support.ts";

const GAME = "tcp://127.0.0.1:0?framing=line";

/** A client that connects from an address of loopback. */
function from(t: TestContext, { port }: Front, localAddress: string): TestClient {
  const client = new TestClient(connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true }));
  t.after(() => client.close());
  return client;
}

/** A client behind a proxy that says where it comes from. */
function proxied(t: TestContext, front: Front, address: string): TestClient {
  const client = from(t, front, "127.0.0.1");
  client.send(`PROXY TCP6 ${address} ::1 4711 443\r\n`);
  return client;
}

describe("address lists", () => {
  test("that change end whom they deny, refuse its like, and trouble nobody else", async (t) => {
    const denyFile = join(temporaryDirectory(t), "deny");
    writeFileSync(denyFile, "# nobody yet\n");
    const clock = new FakeClock();
    const front = await startFront(t, GAME, { clock, settings: { denyFile } });
    const bad = from(t, front, "127.0.0.1");
    const good = from(t, front, "127.0.0.2");
    await front.joined(2);
    front.manager.on("message", (session, payload) => front.manager.send(session, `heard ${payload}`));
    writeFileSync(denyFile, "127.0.0.1 # a cheat\n");
    let said = 0;
    await until(() => {
      clock.advance(1000);
      good.send(`${said++}\n`);
      return bad.ended;
    }, "the one that is denied now is closed");
    bad.close();
    const end = await front.ended();
    assert.deepEqual([end.reason, end.by], ["denied", "gateway"]);
    const late = from(t, front, "127.0.0.1");
    await late.untilEnded();
    await front.untilRefused({ denied: 1 });
    from(t, front, "127.0.0.2");
    await front.joined(3);
    await good.expect(Array.from({ length: said }, (_, index) => `heard ${index}\n`).join(""));
    assert.deepEqual([good.ended, front.ends.length], [false, 1]);
  });

  test("are read again on request, and let in again whom they don't deny any more", async (t) => {
    const denyFile = join(temporaryDirectory(t), "deny");
    writeFileSync(denyFile, "127.0.0.0/8\n");
    const front = await startFront(t, GAME, { settings: { denyFile } });
    await from(t, front, "127.0.0.1").untilEnded();
    await front.untilRefused({ denied: 1 });
    writeFileSync(denyFile, "");
    front.gateway.reload();
    from(t, front, "127.0.0.1");
    await front.joined();
  });

  test("that are wrong are not taken: the last good one goes on, and the log names the line", async (t) => {
    const allowFile = join(temporaryDirectory(t), "allow");
    writeFileSync(allowFile, "127.0.0.2\n");
    const lines: string[] = [];
    const log = pino({ level: "error" }, { write: (line: string) => lines.push(line) });
    const front = await startFront(t, GAME, { settings: { allowFile }, log });
    const inside = from(t, front, "127.0.0.2");
    await front.joined();
    writeFileSync(allowFile, "127.0.0.1\n127.0.0.300\n");
    front.gateway.reload();
    assert.match(lines.join(""), /allow' can't be used: line 2: '127\.0\.0\.300'.*the last good one goes on/);
    await from(t, front, "127.0.0.1").untilEnded();
    await front.untilRefused({ "not-allowed": 1 });
    inside.send("still here\n");
    assert.deepEqual(await front.heard(1), ["still here"]);
  });

  test("of those who are let in leave everybody else out, and deny wins", async (t) => {
    const settings = { allow: ["127.0.0.2", "127.0.0.3"], deny: ["127.0.0.3"] };
    const front = await startFront(t, GAME, { settings });
    await from(t, front, "127.0.0.1").untilEnded();
    await from(t, front, "127.0.0.3").untilEnded();
    await front.untilRefused({ "not-allowed": 1, denied: 1 });
    from(t, front, "127.0.0.2");
    assert.equal((await front.joined()).addr, "127.0.0.2");
  });
});

describe("a ban", () => {
  test("ends everybody from that address, keeps it out for its time, and then no more", async (t) => {
    const clock = new FakeClock();
    const front = await startFront(t, GAME, { clock });
    const clients = ["127.0.0.1", "127.0.0.1", "127.0.0.2"].map((address) => from(t, front, address));
    await front.joined(3);
    const cheat = front.joins.find(({ addr }) => addr === "127.0.0.1");
    assert.ok(cheat);
    front.manager.drop(cheat, { reason: "cheating", banMs: 60_000 });
    await until(() => {
      clock.advance(50);
      return clients.filter(({ ended }) => ended).length === 2;
    }, "both are closed");
    for (const client of clients) if (client.ended) client.close();
    await front.ended(2);
    const reasons = front.ends.map(({ session, end }) => `${session.addr} ${end.reason}`).sort();
    assert.deepEqual(reasons, ["127.0.0.1 denied", "127.0.0.1 dropped"]);
    await from(t, front, "127.0.0.1").untilEnded();
    await front.untilRefused({ banned: 1 });
    clock.advance(60_000);
    from(t, front, "127.0.0.1");
    await front.joined(4);
    assert.equal(front.ends.length, 2);
  });
});

describe("how many clients there may be", () => {
  test("in all, and again when one has gone", async (t) => {
    const front = await startFront(t, GAME, { settings: { maxConnections: 2 } });
    from(t, front, "127.0.0.1");
    from(t, front, "127.0.0.2");
    await front.joined(2);
    await from(t, front, "127.0.0.3").untilEnded();
    await front.untilRefused({ "too-many-connections": 1 });
    front.manager.drop(await front.joined(), { discard: true });
    await until(() => front.gateway.sessions.connectedCount === 1, "one has gone");
    from(t, front, "127.0.0.3");
    await front.joined(3);
  });

  test("in all, those who shake hands among them", async (t) => {
    const front = await startFront(t, "ws://127.0.0.1:0", { settings: { maxConnections: 1 } });
    from(t, front, "127.0.0.1");
    await until(() => front.gateway.sessions.connectedCount === 1, "the first shakes hands");
    await from(t, front, "127.0.0.2").untilEnded();
    await front.untilRefused({ "too-many-connections": 1 });
  });

  test("from one address", async (t) => {
    const front = await startFront(t, GAME, { settings: { maxConnectionsPerAddress: 2 } });
    from(t, front, "127.0.0.1");
    from(t, front, "127.0.0.1");
    await front.joined(2);
    await from(t, front, "127.0.0.1").untilEnded();
    await front.untilRefused({ "too-many-from-address": 1 });
    from(t, front, "127.0.0.2");
    await front.joined(3);
  });

  test("from one /64 of IPv6", async (t) => {
    const settings = { maxConnectionsPerPrefix: 2 };
    const front = await startFront(t, "tcp://127.0.0.1:0?proxy=v1&trusted=127.0.0.1", { settings });
    proxied(t, front, "2001:db8:0:1::1");
    proxied(t, front, "2001:db8:0:1::2");
    await front.joined(2);
    await proxied(t, front, "2001:db8:0:1::3").untilEnded();
    await front.untilRefused({ "too-many-from-prefix": 1 });
    proxied(t, front, "2001:db8:0:2::1");
    await front.joined(3);
  });
});

describe("how quickly clients may come", () => {
  test("all together", async (t) => {
    const clock = new FakeClock();
    const settings = { connectionRate: 1, connectionBurst: 2 };
    const front = await startFront(t, GAME, { clock, settings });
    from(t, front, "127.0.0.1");
    from(t, front, "127.0.0.2");
    await front.joined(2);
    await from(t, front, "127.0.0.3").untilEnded();
    await front.untilRefused({ "connection-rate": 1 });
    clock.advance(1000);
    from(t, front, "127.0.0.3");
    await front.joined(3);
  });

  test("from one address, at which nobody else's rate is used up", async (t) => {
    const clock = new FakeClock();
    const settings = { addressRate: 1, connectionRate: 2 };
    const front = await startFront(t, GAME, { clock, settings });
    from(t, front, "127.0.0.1");
    await front.joined();
    for (let tries = 1; tries <= 5; tries++) {
      await from(t, front, "127.0.0.1").untilEnded();
      await front.untilRefused({ "address-rate": tries });
    }
    from(t, front, "127.0.0.2");
    await front.joined(2);
    clock.advance(1000);
    from(t, front, "127.0.0.1");
    await front.joined(3);
  });
});
