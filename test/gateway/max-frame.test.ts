import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { MIN_MAX_FRAME } from "../../proto/frame.ts";
import { TestClient } from "../helpers/client.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import { startRig, startTestGateway } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

describe("what is longer than the other side's largest frame", () => {
  test("is cut on its way to a manager, whatever the client writes at once", async (t) => {
    const raw = await startRawManager(t);
    await startTestGateway(t, raw.link);
    const link = await raw.nextLink();
    link.register({ maxFrame: MIN_MAX_FRAME });
    const { body } = await link.wait("listening");
    const client = await TestClient.connect(body.endpoints[0]?.port ?? 0);
    t.after(() => client.close());
    const sent = randomBytes(1_000_000);
    client.send(sent);
    const received = () => Buffer.concat(link.all("message").map(({ payload }) => payload));
    await until(() => received().length === sent.length, "everything has arrived");
    assert.ok(received().equals(sent));
    for (const { payload } of link.all("message")) assert.ok(payload.length <= MIN_MAX_FRAME - 4);
  });

  test("is cut on its way to a gateway, for one and for all", async (t) => {
    const { manager, client } = await startRig(t, { settings: { maxFrame: MIN_MAX_FRAME } });
    const payload = randomBytes(300_000);
    manager.on("join", (session) => {
      manager.send(session, payload);
      manager.broadcast(payload);
    });
    const player = await client();
    await until(() => player.receivedBytes === 2 * payload.length, "everything has arrived");
    assert.ok(player.received.equals(Buffer.concat([payload, payload])));
  });
});
