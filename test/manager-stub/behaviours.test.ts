import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { pino } from "pino";
import type { BehaviourName } from "../../manager-stub/behaviours.ts";
import { serve } from "../../manager-stub/serve.ts";
import { socketPath } from "../helpers/rig.ts";
import { RawGateway, session } from "./raw-gateway.ts";

const [speaker, other] = [session(0), session(1)];

/** What two gateways are told when a client of the first has said something. */
async function hear(t: TestContext, behaviour: BehaviourName) {
  const http = { host: "127.0.0.1", port: 0 };
  const options = { listen: `unix:${socketPath(t)}`, http, capacity: 10, pingMs: 5000, behaviour };
  const { link, close } = await serve(options, pino({ level: "silent" }));
  t.after(close);
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

  test("as silent sends nothing by itself", async (t) => {
    assert.deepEqual(await hear(t, "silent"), [[], []]);
  });
});
