import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import type { Session, SessionEnd } from "../../manager-stub/index.ts";
import { TestClient } from "../helpers/client.ts";
import { readPaths } from "../helpers/poller.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import { managerOf, startRig, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe("a client that does not read", () => {
  test("is closed as a slow consumer at its limit, while the others get everything", async (t) => {
    const { manager, client } = await startRig(t);
    const joined: Session[] = [];
    manager.on("join", (session) => joined.push(session));
    const deaf = await client();
    deaf.socket.pause();
    const honest = await client();
    await until(() => joined.length === 2, "both have joined");
    const left = next<[Session, SessionEnd]>(manager, "leave");
    let gone = false;
    left.then(() => {
      gone = true;
    });
    const payload = randomBytes(64 * KIB);
    let rounds = 0;
    // The honest client sets the pace: only the deaf one falls behind.
    while (!gone) {
      manager.broadcast(payload);
      rounds++;
      await until(
        () => gone || honest.receivedBytes >= rounds * payload.length,
        "the honest client keeps up",
      );
    }
    const [session, end] = await left;
    assert.equal(session.port, deaf.socket.localPort);
    assert.deepEqual([end.by, end.reason], ["gateway", "slow-consumer"]);
    assert.ok(
      end.unsentBytes > MIB && end.unsentBytes <= MIB + 2 * payload.length,
      `unsent: ${end.unsentBytes}`,
    );
    assert.equal(end.outBytes + end.unsentBytes, end.outMsgs * payload.length);
    await until(() => honest.receivedBytes === rounds * payload.length, "the honest client has everything");
    const sent = createHash("sha256");
    for (let round = 0; round < rounds; round++) sent.update(payload);
    assert.equal(createHash("sha256").update(honest.received).digest("hex"), sent.digest("hex"));
  });

  test("is closed too when it is sent a great many small messages", async (t) => {
    const settings = { clientBufferBytes: 16 * KIB };
    const { manager, client } = await startRig(t, { settings });
    const joined = next<[Session]>(manager, "join");
    const deaf = await client();
    deaf.socket.pause();
    const [session] = await joined;
    const left = next<[Session, SessionEnd]>(manager, "leave");
    let gone = false;
    left.then(() => {
      gone = true;
    });
    const payload = Buffer.alloc(16);
    await until(() => {
      for (let i = 0; i < 2000; i++) manager.send(session, payload);
      return gone;
    }, "the client is closed");
    const [, end] = await left;
    assert.equal(end.reason, "slow-consumer");
  });
});

describe("a manager that does not read", () => {
  for (const { readPath, skip } of readPaths) {
    test(`stops the clients, ${readPath} read path; when it reads again everything arrives in order`, {
      skip,
    }, async (t) => {
      const raw = await startRawManager(t);
      const linkBufferBytes = 256 * KIB;
      const gateway = await startTestGateway(t, raw.link, { linkBufferBytes, readPath });
      const link = await raw.nextLink();
      link.acknowledging = true;
      link.register();
      const { body } = await link.wait("listening");
      const port = body.endpoints[0]?.port ?? 0;
      const clients = await Promise.all(Array.from({ length: 8 }, () => TestClient.connect(port)));
      t.after(() => {
        for (const client of clients) client.close();
      });
      await link.wait("join", clients.length);

      link.socket.pause();
      const sent = clients.map(() => randomBytes(6 * MIB));
      for (const [index, client] of clients.entries()) client.send(sent[index] ?? "");
      let mostQueued = 0;
      const stuck = () => {
        mostQueued = Math.max(mostQueued, managerOf(gateway).link.queuedBytes);
        return (
          clients.every((client) => client.socket.writableLength > 0) &&
          managerOf(gateway).link.queuedBytes > linkBufferBytes
        );
      };
      await until(stuck, "the gateway no longer reads");
      const before = gateway.counters.inBytes;
      for (let turn = 0; turn < 50; turn++) await until(stuck, "the gateway still does not read");
      assert.equal(gateway.counters.inBytes, before);
      // One turn's batch leaves early at 256 KiB, and one read may follow.
      assert.ok(mostQueued <= linkBufferBytes + 512 * KIB, `queued: ${mostQueued}`);

      link.socket.resume();
      const total = sent.reduce((sum, bytes) => sum + bytes.length, 0);
      await until(() => gateway.counters.inBytes === total, "everything was read");
      const joins = link.all("join");
      const receivedBytes = () => link.all("message").reduce((sum, { payload }) => sum + payload.length, 0);
      await until(() => receivedBytes() === total, "everything has arrived");
      for (const [index, client] of clients.entries()) {
        const session = joins.find((join) => join.body.port === client.socket.localPort)?.session;
        const messages = link.all("message").filter((message) => message.session === session);
        const received = Buffer.concat(messages.map(({ payload }) => payload));
        assert.ok(
          received.equals(sent[index] ?? Buffer.alloc(0)),
          `client ${index}'s bytes arrive as they were sent`,
        );
      }
    });
  }
});
