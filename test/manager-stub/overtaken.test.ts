/** A Register that is held up on its way, and overtaken by that of the gateway's next link. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager } from "../helpers/rig.ts";
import { next } from "../helpers/wait.ts";
import { RawGateway, REGISTER } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

describe("a Register that was overtaken", () => {
  test("is refused, and the link that was faster goes on", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.connect(t, link);
    const { epoch } = await gateway.register();
    gateway.listening();
    await gateway.sync();
    const told = recordEvents(manager);
    for (const payload of ["one", "two"]) manager.broadcast(payload);
    gateway.send((batch) => toManager.ack(batch, 2));
    assert.equal((await gateway.sync()).length, 2);

    const refused = next<[string, string]>(manager, "refused");
    const late = await RawGateway.connect(t, link);
    late.send((batch) => toManager.register(batch, { ...REGISTER, resume: { epoch, received: 1 } }));
    assert.deepEqual(await late.untilClosed(), [], "without an answer");
    assert.equal((await refused)[0], "bad-ack");

    manager.broadcast("three");
    assert.deepEqual(await gateway.sync(), [["MsgAll", "three"]]);
    assert.deepEqual(told, ["refused: bad-ack"]);
  });
});
