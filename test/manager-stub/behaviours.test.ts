import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { pino } from "pino";
import type { BehaviourName } from "../../manager-stub/behaviours.ts";
import { serve } from "../../manager-stub/serve.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { socketPath } from "../helpers/rig.ts";
import { ENDPOINTS, JOIN, RawGateway, session } from "./raw-gateway.ts";

const web = { transport: "ws", host: "127.0.0.1", port: 7301, name: "web", framing: "websocket" };
const [speaker, other] = [session(0), session(1)];

/** A manager of its own. */
async function start(t: TestContext, behaviour: BehaviourName): Promise<string> {
  const http = { host: "127.0.0.1", port: 0 };
  const options = { listen: `unix:${socketPath(t)}`, http, capacity: 10, pingMs: 5000, behaviour };
  const { link, close } = await serve(options, pino({ level: "silent" }));
  t.after(close);
  return link;
}

/** What two gateways are told when a client of the first has said something. */
async function hear(t: TestContext, behaviour: BehaviourName) {
  const link = await start(t, behaviour);
  const gateway = await RawGateway.registered(t, link);
  const second = await RawGateway.registered(t, link, { name: "gateway-2" });
  gateway.join(speaker, other);
  gateway.message(speaker, "hello");
  return [await gateway.sync(), await second.sync()];
}

describe("the stand-alone manager", () => {
  test("as echo sends each message back to who said it", async (t) => {
    assert.deepEqual(await hear(t, "echo"), [[["Msg", speaker, "hello"]], []]);
  });

  test("as chat sends each message to everybody, on every gateway", async (t) => {
    assert.deepEqual(await hear(t, "chat"), [[["MsgAll", "hello"]], [["MsgAll", "hello"]]]);
  });

  for (const behaviour of ["echo", "chat"] as const) {
    test(`as ${behaviour} drops who says more than can be sent on in one piece, and goes on`, async (t) => {
      const gateway = await RawGateway.registered(t, await start(t, behaviour), { maxFrame: 65_536 });
      gateway.send((batch) => {
        toManager.listening(batch, [...ENDPOINTS, web]);
        toManager.join(batch, speaker, { ...JOIN, framing: web.framing });
        toManager.join(batch, other, { ...JOIN, framing: web.framing });
      });
      gateway.message(speaker, "x".repeat(65_537));
      gateway.message(other, "hello");
      const [dropped, answer] = await gateway.sync();
      assert.deepEqual(dropped, [
        "Drop",
        speaker,
        { reason: "too long a message to be sent on", code: 1009 },
      ]);
      assert.equal(answer?.at(-1), "hello");
    });
  }

  test("as silent sends nothing by itself", async (t) => {
    assert.deepEqual(await hear(t, "silent"), [[], []]);
  });
});
