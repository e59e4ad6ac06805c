import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManagerServer, type ManagerServerOptions } from "../../manager-stub/index.ts";
import type * as body from "../../proto/bodies.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { ENDPOINTS, RawGateway, REGISTER } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

describe("a gateway that registers", () => {
  test("is told what the manager has decided for it", async (t) => {
    const { link } = await startManager(t, { capacity: 123, pingMs: 700, maxFrame: 70_000 });
    const gateway = await RawGateway.connect(t, link);
    const { epoch, ...rest } = await gateway.register();
    assert.equal(epoch.length, 16);
    const decided = { id: 1, capacity: 123, pingMs: 700, maxFrame: 70_000, resumed: false, received: 0 };
    assert.deepEqual(rest, decided);
  });

  test("gets the defaults of a manager that was given none", async (t) => {
    const { link } = await startManager(t);
    const gateway = await RawGateway.connect(t, link);
    const { capacity, pingMs, maxFrame } = await gateway.register();
    assert.deepEqual([capacity, pingMs, maxFrame], [10_000, 5000, 1_048_576]);
  });

  test("gets an epoch that nobody had before", async (t) => {
    const { link } = await startManager(t);
    const epochs = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const gateway = await RawGateway.connect(t, link);
      const { epoch } = await gateway.register({ name: `gateway-${i}` });
      epochs.add(Buffer.from(epoch).toString("hex"));
    }
    assert.equal(epochs.size, 3);
  });

  test("is known as it said that it is", async (t) => {
    const { manager, link } = await startManager(t, { capacity: 5 });
    const before = Date.now();
    await RawGateway.registered(t, link, { name: "edge", pid: 77, maxFrame: 100_000 });
    const [gateway, ...others] = manager.gateways;
    assert.equal(others.length, 0);
    assert.equal(manager.gateway(1), gateway);
    assert.ok(gateway !== undefined && gateway.registeredAt >= before && gateway.registeredAt <= Date.now());
    const { id, name, pid, capacity, health, ending, endpoints, sessionCount, vitals } = gateway;
    assert.deepEqual(
      { id, name, pid, capacity, health, ending, endpoints, sessionCount, vitals },
      {
        id: 1,
        name: "edge",
        pid: 77,
        capacity: 5,
        health: "registering",
        ending: false,
        endpoints: REGISTER.endpoints,
        sessionCount: 0,
        vitals: undefined,
      },
    );
  });

  test("may come byte by byte", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.connect(t, link);
    const up = next(manager, "gatewayUp");
    const batch = new FrameBatch();
    toManager.register(batch, REGISTER);
    toManager.listening(batch, ENDPOINTS);
    for (const byte of Buffer.concat(batch.take())) {
      gateway.socket.write(Buffer.of(byte));
      await turn();
    }
    await up;
  });

  test("has an id of its own, whoever comes, goes and comes again", async (t) => {
    const { manager, link } = await startManager(t, { resumeMs: 0 });
    const seen: number[] = [];
    for (let round = 0; round < 3; round++) {
      const gateways = await Promise.all(
        Array.from({ length: 5 }, async (_, index) => {
          const gateway = await RawGateway.connect(t, link);
          const { id } = await gateway.register({ name: `gateway-${index}` });
          seen.push(id);
          return gateway;
        }),
      );
      for (const gateway of gateways) gateway.close();
      await until(() => manager.gateways.length === 0, "all have gone");
    }
    assert.equal(new Set(seen).size, 15);
    assert.ok(seen.every((id) => id >= 1));
  });

  test("has the capacity that a function decides by its name", async (t) => {
    const capacity = (name: string) => (name === "big" ? 5000 : 3);
    const { manager, link } = await startManager(t, { capacity });
    const [big, small] = [await RawGateway.connect(t, link), await RawGateway.connect(t, link)];
    assert.equal((await big.register({ name: "big" })).capacity, 5000);
    assert.equal((await small.register({ name: "small" })).capacity, 3);
    assert.deepEqual(
      manager.gateways.map((gateway) => gateway.capacity),
      [5000, 3],
    );
  });
});

describe("a name", () => {
  async function ask(t: TestContext, link: string, register: Partial<body.Register> = {}) {
    const gateway = await RawGateway.connect(t, link);
    return { gateway, answer: await gateway.askToRegister(register) };
  }

  test("that is taken is refused, and the one who has it goes on", async (t) => {
    const { manager, link } = await startManager(t);
    const told = recordEvents(manager);
    const first = await RawGateway.registered(t, link);
    const { gateway, answer } = await ask(t, link);
    const message = "a gateway named 'gateway-1' is registered already";
    assert.deepEqual(answer, ["Rejected", { code: "name-taken", message }]);
    assert.deepEqual(await gateway.untilClosed(), []);
    await until(() => told.length > 0, "the refusal is told");
    assert.deepEqual(told, ["refused: rejected-name-taken"]);
    assert.deepEqual(await first.sync(), []);
    assert.equal(manager.gateways.length, 1);
  });

  test("is free for another while the one who has it drains", async (t) => {
    const { manager, link } = await startManager(t);
    const old = await RawGateway.registered(t, link);
    old.send((batch) => toManager.draining(batch, { reason: "SIGTERM", drainMs: 10_000 }));
    await next(manager, "gatewayDraining");
    assert.equal(manager.gateway(1)?.ending, true);
    const { answer } = await ask(t, link);
    assert.equal(answer[0], "Registered");
    assert.deepEqual(
      manager.gateways.map(({ id, name, ending }) => [id, name, ending]),
      [
        [1, "gateway-1", true],
        [2, "gateway-1", false],
      ],
    );
    assert.deepEqual((await ask(t, link)).answer[0], "Rejected", "but it is taken again by now");
  });

  test("is free again once the link of the one who had it is gone for good", async (t) => {
    const { manager, link } = await startManager(t, { resumeMs: 0 });
    const first = await RawGateway.registered(t, link);
    const down = next(manager, "gatewayDown");
    first.close();
    await down;
    const { answer } = await ask(t, link);
    assert.equal(answer[0], "Registered");
  });
});

describe("a connection that can't be taken on", () => {
  test("is refused for a version that the manager does not speak", async (t) => {
    const { manager, link } = await startManager(t);
    const refused = next(manager, "refused");
    const gateway = await RawGateway.connect(t, link);
    const message = "this manager speaks version 1, not 2";
    assert.deepEqual(await gateway.askToRegister({ version: 2 }), ["Rejected", { code: "version", message }]);
    assert.deepEqual(await gateway.untilClosed(), []);
    assert.deepEqual(await refused, ["rejected-version", message]);
    assert.deepEqual(manager.gateways, []);
  });

  test("is closed, and told nothing, when it never registers", async (t) => {
    const { manager, link } = await startManager(t, { registerTimeoutMs: 20 });
    const refused = next(manager, "refused");
    const gateway = await RawGateway.connect(t, link);
    assert.deepEqual(await refused, ["register-timeout", "it did not register"]);
    assert.deepEqual(await gateway.untilClosed(), []);
  });

  test("is closed when it begins to register and does not end", async (t) => {
    const { manager, link } = await startManager(t, { registerTimeoutMs: 20 });
    const refused = next(manager, "refused");
    const gateway = await RawGateway.connect(t, link);
    gateway.send((batch) => {
      toManager.register(batch, REGISTER);
      for (const chunk of batch.take()) gateway.socket.write(chunk.subarray(0, -1));
    });
    assert.equal((await refused)[0], "register-timeout");
    assert.deepEqual(await gateway.untilClosed(), []);
  });

  test("is not timed out once it has registered", async (t) => {
    const { manager, link } = await startManager(t, { registerTimeoutMs: 5000 });
    const told = recordEvents(manager);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const late = await RawGateway.connect(t, link);
    const gateway = await RawGateway.registered(t, link);
    t.mock.timers.tick(5000);
    await late.untilClosed();
    assert.deepEqual(await gateway.sync(), []);
    assert.deepEqual(told, ["refused: register-timeout"]);
  });

  test("is told as refused when it leaves before it has registered", async (t) => {
    const { manager, link } = await startManager(t);
    const refused = next(manager, "refused");
    (await RawGateway.connect(t, link)).socket.end();
    assert.equal((await refused)[0], "link-closed");
  });
});

describe("a manager's options", () => {
  const wrong: readonly ManagerServerOptions[] = [
    { capacity: 0 },
    { capacity: 2 ** 20 + 1 },
    { capacity: 1.5 },
    { pingMs: 99 },
    { pingMs: 600_001 },
    { pingMs: Number.NaN },
    { maxFrame: 65_535 },
    { maxFrame: 2 ** 28 + 1 },
    { sendBufferBytes: 2 ** 20 - 1 },
    { registerTimeoutMs: 0 },
    { registerTimeoutMs: 2 ** 31 },
    { resumeMs: -1 },
    { resumeMs: 2 ** 31 },
  ];
  for (const options of wrong) {
    const [[name, value] = []] = Object.entries(options);
    test(`refuse ${name} ${value}`, () => {
      const message = new RegExp(`^${name} must be a whole number from \\d+ to \\d+, not ${value}$`);
      assert.throws(() => new ManagerServer(options), { name: "RangeError", message });
    });
  }

  test("allow the bounds themselves", () => {
    new ManagerServer({
      capacity: 1,
      pingMs: 100,
      maxFrame: 65_536,
      sendBufferBytes: 2 ** 20,
      registerTimeoutMs: 1,
      resumeMs: 0,
    });
    const most = { capacity: 2 ** 20, pingMs: 600_000, maxFrame: 2 ** 28, registerTimeoutMs: 2 ** 31 - 1 };
    new ManagerServer({ ...most, resumeMs: 2 ** 31 - 1 });
  });

  test("say what is wrong with an address when it is listened on", async () => {
    const manager = new ManagerServer({ listen: "http://127.0.0.1:1" });
    await assert.rejects(manager.listen(), /is not a link address; use unix:\/path, tcp:\/\/host:port/);
  });
});
