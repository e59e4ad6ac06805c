import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManagerServer } from "../../manager-stub/index.ts";
import { parseLinkUrl } from "../../proto/link-url.ts";
import { socketPath, startManager } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { startJoined } from "./joined.ts";
import { RawGateway, session } from "./raw-gateway.ts";

const MIB = 1024 * 1024;

describe("a gateway that does not read", () => {
  test("is cut off once more is queued for it than the manager allows, and its sessions with it", async (t) => {
    const id = session(0);
    const { manager, gateway, told } = await startJoined(t, { sendBufferBytes: MIB }, id);
    const down = next<[unknown, string, string]>(manager, "gatewayDown");
    gateway.socket.pause();
    const payload = Buffer.alloc(60_000);
    let sent = 0;
    for (; manager.gateways.length > 0 && sent < 1000; sent++) {
      manager.send({ gateway: 1, id }, payload);
      await turn();
    }
    const [, code, message] = await down;
    assert.deepEqual([code, message], ["send-buffer", "more than 1048576 bytes are queued for it"]);
    assert.deepEqual(told, [`leave 1/${id}: gateway manager-lost`, "down gateway-1: send-buffer"]);
    assert.ok(sent * payload.length > MIB, "not before");
  });

  test("costs no more memory than that, also while a handler sends and sends in one turn", async (t) => {
    const { manager, gateway } = await startJoined(t, { sendBufferBytes: MIB });
    const down = next<[unknown, string]>(manager, "gatewayDown");
    gateway.socket.pause();
    const payload = Buffer.alloc(60_000);
    const before = process.memoryUsage().arrayBuffers;
    for (let sent = 0; sent < 1000; sent++) manager.broadcast(payload);
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 8 * MIB, `${grown} bytes more`);
    assert.equal((await down)[1], "send-buffer");
  });

  test("does not keep the others from being sent to", async (t) => {
    const { manager, link, gateway } = await startJoined(t, { sendBufferBytes: MIB });
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    const down = next(manager, "gatewayDown");
    gateway.socket.pause();
    const payload = Buffer.alloc(60_000);
    for (let sent = 0; manager.gateways.length > 1 && sent < 1000; sent++) {
      manager.broadcast(payload, 1);
      manager.broadcast("x", 2);
      await turn();
    }
    await down;
    const told = await other.sync();
    assert.ok(told.length > 0);
    assert.deepEqual(new Set(told.map(String)), new Set(["MsgAll,x"]));
  });
});

describe("closing a manager", () => {
  test("tells each session and each gateway before it resolves, and listens no more", async (t) => {
    const { manager, link, told } = await startJoined(t, {}, session(0));
    const other = await RawGateway.registered(t, link, { name: "gateway-2" });
    const unregistered = await RawGateway.connect(t, link);
    await other.sync();
    await manager.close();
    assert.deepEqual(told.toSorted(), [
      "down gateway-1: manager-closed",
      "down gateway-2: manager-closed",
      `leave 1/${session(0)}: gateway manager-lost`,
      "refused: manager-closed",
    ]);
    assert.deepEqual(manager.gateways, []);
    await Promise.all([other.untilClosed(), unregistered.untilClosed()]);
    await assert.rejects(RawGateway.connect(t, link), { code: "ENOENT" });
    const address = parseLinkUrl(link);
    assert.equal(address.kind === "unix" && existsSync(address.path), false);
  });

  test("still sends what was said before", async (t) => {
    const { manager, gateway } = await startJoined(t, {}, session(0));
    manager.send({ gateway: 1, id: session(0) }, "bye");
    manager.drop({ gateway: 1, id: session(0) });
    await manager.close();
    assert.deepEqual(await gateway.untilClosed(), [
      ["Msg", session(0), "bye"],
      ["Drop", session(0)],
    ]);
  });

  test("ends at once with gateways that take what is queued for them, however much it is", async (t) => {
    const { manager, gateway } = await startJoined(t);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const payload = "x".repeat(60_000);
    for (let sent = 0; sent < 100; sent++) manager.broadcast(payload);
    await manager.close();
    assert.equal((await gateway.untilClosed()).length, 100);
  });

  test("ends after a second with a gateway that does not read", async (t) => {
    const { manager, gateway, told } = await startJoined(t, { pingMs: 600_000 }, session(0));
    t.mock.timers.enable({ apis: ["setTimeout"] });
    gateway.socket.pause();
    for (let sent = 0; sent < 100; sent++) manager.broadcast(Buffer.alloc(60_000));
    let closed = false;
    manager.close().then(() => {
      closed = true;
    });
    t.mock.timers.tick(999);
    for (let i = 0; i < 10; i++) await turn();
    assert.equal(closed, false, "it has a second to read");
    t.mock.timers.tick(1);
    await until(() => closed, "it is closed");
    assert.deepEqual(told, [`leave 1/${session(0)}: gateway manager-lost`, "down gateway-1: manager-closed"]);
  });

  test("may be done twice, at once or later", async (t) => {
    const { manager } = await startJoined(t);
    await Promise.all([manager.close(), manager.close()]);
    await manager.close();
  });

  test("may be done before it has listened", async () => {
    await new ManagerServer().close();
  });

  test("lets another listen at the same place", async (t) => {
    const listen = `unix:${socketPath(t)}`;
    const { manager } = await startManager(t, { listen });
    await manager.close();
    const { link } = await startManager(t, { listen });
    await RawGateway.registered(t, link);
  });
});
