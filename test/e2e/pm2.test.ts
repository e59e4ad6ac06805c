import assert from "node:assert/strict";
import { test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { freePort, Pm2Ecosystem } from "../helpers/pm2.ts";

test("under pm2", async (t) => {
  const ecosystem = new Pm2Ecosystem(await freePort(), await freePort());
  t.after(() => ecosystem.stop());
  await ecosystem.start();

  async function echoes(): Promise<void> {
    const client = await TestClient.connect(ecosystem.clientPort);
    client.send("hello");
    await client.expect("hello");
    client.socket.resetAndDestroy();
  }

  const both = ["gateway-1", "gateway-2"];

  await t.test("a manager and two gateways that share the client port come up", async () => {
    await ecosystem.untilUp(both);
    await echoes();
  });

  await t.test("a gateway that is killed comes back", async () => {
    const before = (await ecosystem.untilUp(both)).get("gateway-1");
    assert.ok(before !== undefined);
    process.kill(before.pid, "SIGKILL");
    const up = await ecosystem.untilUp(both, ({ pid }) => pid !== before.pid);
    assert.notEqual(up.get("gateway-1")?.id, before.id);
    await echoes();
  });

  await t.test("a manager that is killed comes back, and the same gateways find it again", async () => {
    const before = await ecosystem.untilUp(both);
    const known = [...before.values()].map(({ registeredAt }) => registeredAt);
    process.kill((await ecosystem.process("manager")).pid, "SIGKILL");
    const after = await ecosystem.untilUp(both, ({ registeredAt }) => !known.includes(registeredAt));
    for (const name of both) assert.equal(after.get(name)?.pid, before.get(name)?.pid);
    await echoes();
  });

  await t.test("a gateway that the manager shut down stays down, while the other is reloaded", async () => {
    const restarts = (await ecosystem.process("gateway-2")).pm2_env.restart_time;
    await ecosystem.shutdown("gateway-2");
    const before = (await ecosystem.untilUp(["gateway-1"])).get("gateway-1");
    await ecosystem.pm2("reload", "gateway-1");
    await ecosystem.untilUp(["gateway-1"], ({ pid }) => pid !== before?.pid);
    const down = await ecosystem.process("gateway-2");
    assert.deepEqual([down.pid, down.pm2_env.restart_time], [0, restarts]);
    await echoes();
  });
});
