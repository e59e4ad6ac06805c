import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { startRig } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

describe("a manager drives clients through a gateway", () => {
  test("a client's bytes reach the manager, and the manager's reach the client", async (t) => {
    const { manager, client } = await startRig(t);
    manager.on("message", (session, payload) => manager.send(session, payload));
    const player = await client();
    player.send("hello\n");
    await player.expect("hello\n");
  });

  test("a broadcast reaches everybody who is in, and what is for one reaches nobody else", async (t) => {
    const { manager, client } = await startRig(t);
    const joined: Session[] = [];
    manager.on("join", (session) => joined.push(session));
    const players = [await client(), await client(), await client()];
    await until(() => joined.length === 3, "three have joined");
    for (const [index, session] of joined.entries()) manager.send(session, `only ${index};`);
    manager.broadcast("all;");
    const ports = players.map((player) => player.socket.localPort);
    for (const [index, session] of joined.entries()) {
      const player = players[ports.indexOf(session.port)];
      await player?.expect(`only ${index};all;`);
    }
  });

  test("a drop sends what was queued, ends the client, and is told", async (t) => {
    const { manager, client } = await startRig(t);
    const joined = next<[Session]>(manager, "join");
    const player = await client();
    const [session] = await joined;
    const left = next<[Session, SessionEnd]>(manager, "leave");
    manager.send(session, "bye\n");
    assert.equal(manager.drop(session, { reason: "kicked" }), true);
    await player.untilEnded();
    assert.equal(player.received.toString(), "bye\n");
    assert.equal(player.errorCode, undefined);
    player.close();
    const [who, end] = await left;
    assert.equal(who, session);
    assert.deepEqual([end.by, end.reason, end.outBytes, end.unsentBytes], ["manager", "dropped", 4, 0]);
  });

  test("a drop that is followed at once by a discarding one ends the client, and frees its slot", async (t) => {
    const { manager, gateway, client } = await startRig(t);
    const joined = next<[Session]>(manager, "join");
    await client();
    const [session] = await joined;
    const left = next<[Session, SessionEnd]>(manager, "leave");
    manager.send(session, "bye\n");
    assert.equal(manager.drop(session), true);
    assert.equal(manager.drop(session, { discard: true }), true);
    await left;
    assert.equal(gateway.sessions.table.usedCount, 0);
  });

  test("a discarding drop resets the client at once", async (t) => {
    const { manager, client } = await startRig(t);
    const joined = next<[Session]>(manager, "join");
    const player = await client();
    const [session] = await joined;
    const left = next<[Session, SessionEnd]>(manager, "leave");
    manager.drop(session, { discard: true });
    await until(() => player.closed, "the client is reset");
    assert.equal(player.errorCode, "ECONNRESET");
    const [, end] = await left;
    assert.deepEqual([end.by, end.reason], ["manager", "drop-discarded"]);
  });
});
