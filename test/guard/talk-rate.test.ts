import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TalkLimits, TalkRate } from "../../gateway/guard/talk-rate.ts";

const NONE: TalkLimits = { messageRate: 0, messageBurst: 0, byteRate: 0, byteBurst: 0 };

describe("how much a client may say", () => {
  test("is limited when messages or bytes are", () => {
    assert.equal(TalkRate.limits(NONE), false);
    assert.equal(TalkRate.limits({ ...NONE, messageBurst: 5, byteBurst: 5 }), false);
    assert.equal(TalkRate.limits({ ...NONE, messageRate: 1 }), true);
    assert.equal(TalkRate.limits({ ...NONE, byteRate: 1 }), true);
  });

  test("is a burst at first, and then as much as time brings", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 2, messageBurst: 3 });
    const allowance = rate.full(1000);
    const said = [1000, 1000, 1000, 1000].map((now) => rate.charge(allowance, 1, now));
    assert.deepEqual(said, [true, true, true, false]);
    assert.equal(rate.isPaid(allowance, 1250), false);
    assert.equal(rate.isPaid(allowance, 1500), true);
    assert.equal(rate.charge(allowance, 1, 1500), false);
    assert.equal(rate.charge(allowance, 1, 2500), true);
  });

  test("is never more than a burst, however long it was silent", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 10, messageBurst: 2 });
    const allowance = rate.full(0);
    const said = [1, 2, 3].map(() => rate.charge(allowance, 1, 1_000_000));
    assert.deepEqual(said, [true, true, false]);
  });

  test("is counted in bytes apart from messages", () => {
    const rate = new TalkRate({ messageRate: 1, messageBurst: 100, byteRate: 1000, byteBurst: 500 });
    const allowance = rate.full(0);
    assert.equal(rate.charge(allowance, 500, 0), true);
    assert.equal(rate.charge(allowance, 1, 0), false);
    assert.equal(rate.isPaid(allowance, 1), true);
    assert.equal(rate.charge(allowance, 0, 1), true, "an empty message costs no bytes");
  });

  test("is exceeded by too many messages however few their bytes, and the other way round", () => {
    const rate = new TalkRate({ messageRate: 1, messageBurst: 1, byteRate: 1, byteBurst: 10 });
    assert.equal(rate.charge(rate.full(0), 11, 0), false);
    const allowance = rate.full(0);
    assert.equal(rate.charge(allowance, 0, 0), true);
    assert.equal(rate.charge(allowance, 0, 0), false);
  });

  test("is owed for, all of it: a message that was one too many is not forgiven", () => {
    const rate = new TalkRate({ ...NONE, byteRate: 100, byteBurst: 100 });
    const allowance = rate.full(0);
    rate.charge(allowance, 1100, 0);
    assert.equal(rate.isPaid(allowance, 9_999), false);
    assert.equal(rate.isPaid(allowance, 10_000), true);
  });

  test("does not grow when a clock stands still, or goes back", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 10, messageBurst: 1 });
    const allowance = rate.full(1000);
    rate.charge(allowance, 1, 1000);
    rate.charge(allowance, 1, 900);
    assert.equal(rate.isPaid(allowance, 1000), false);
    assert.equal(rate.isPaid(allowance, 1100), true);
  });
});
