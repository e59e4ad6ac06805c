import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TalkLimits, TalkRate } from "../../gateway/guard/talk-rate.ts";

const NONE: TalkLimits = { messageRate: 0, messageBurst: 0, byteRate: 0, byteBurst: 0 };

const ADDRESS = "192.0.2.1";

describe("how much a client may say", () => {
  test("is limited when messages or bytes are", () => {
    assert.equal(TalkRate.limits(NONE), false);
    assert.equal(TalkRate.limits({ ...NONE, messageBurst: 5, byteBurst: 5 }), false);
    assert.equal(TalkRate.limits({ ...NONE, messageRate: 1 }), true);
    assert.equal(TalkRate.limits({ ...NONE, byteRate: 1 }), true);
  });

  test("is a burst at first, and then as much as time brings", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 2, messageBurst: 3 });
    const allowance = rate.begin(ADDRESS, 1000);
    for (let said = 0; said < 3; said++) {
      assert.equal(rate.maySpeak(allowance, 1000), true);
      assert.equal(rate.charge(allowance, 1, 1000), true);
    }
    assert.equal(rate.maySpeak(allowance, 1000), false);
    assert.equal(rate.maySpeak(allowance, 1499), false);
    assert.equal(rate.maySpeak(allowance, 1500), true);
    assert.equal(rate.charge(allowance, 1, 1500), true);
    assert.equal(rate.charge(allowance, 1, 1500), false, "one more than it may");
    assert.equal(rate.maySpeak(allowance, 2000), false);
    assert.equal(rate.maySpeak(allowance, 2500), true);
  });

  test("says for how long there is to be silence", () => {
    const rate = new TalkRate({ messageRate: 4, messageBurst: 1, byteRate: 1000, byteBurst: 100 });
    const allowance = rate.begin(ADDRESS, 0);
    assert.equal(rate.silentMs(allowance, 0), 0);
    rate.charge(allowance, 0, 0);
    assert.ok(Math.abs(rate.silentMs(allowance, 0) - 250) < 1);
    rate.charge(allowance, 600, 0);
    assert.ok(Math.abs(rate.silentMs(allowance, 0) - 501) < 1);
  });

  test("is never more than a burst, however long it was silent", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 10, messageBurst: 2 });
    const allowance = rate.begin(ADDRESS, 0);
    const said = [1, 2, 3].map(() => rate.charge(allowance, 1, 1_000_000));
    assert.deepEqual(said, [true, true, false]);
  });

  test("is never more bytes than a burst either", () => {
    const rate = new TalkRate({ ...NONE, byteRate: 10, byteBurst: 2 });
    const allowance = rate.begin(ADDRESS, 0);
    const said = [1, 2, 3].map(() => rate.charge(allowance, 1, 1_000_000));
    assert.deepEqual(said, [true, true, false]);
  });

  test("is exact also where a message's time is no round number", () => {
    for (let messageRate = 1; messageRate <= 60; messageRate++) {
      const rate = new TalkRate({ ...NONE, messageRate, messageBurst: 1 });
      const allowance = rate.begin(ADDRESS, 987_654.321);
      for (let said = 0; said < 100; said++) {
        const now = 987_654.321 + (said * 1000) / messageRate;
        assert.equal(rate.maySpeak(allowance, now), true, `${messageRate} a second, behind ${said}`);
        assert.equal(rate.charge(allowance, 1, now), true, `${messageRate} a second, behind ${said}`);
      }
    }
  });

  test("is any number of messages where only bytes are limited", () => {
    const rate = new TalkRate({ ...NONE, byteRate: 1, byteBurst: 1 });
    const allowance = rate.begin(ADDRESS, 0);
    for (let said = 0; said < 100; said++) assert.equal(rate.charge(allowance, 0, 0), true);
  });

  test("is counted in bytes apart from messages", () => {
    const rate = new TalkRate({ messageRate: 1, messageBurst: 100, byteRate: 1000, byteBurst: 500 });
    const allowance = rate.begin(ADDRESS, 0);
    assert.equal(rate.charge(allowance, 500, 0), true);
    assert.equal(rate.maySpeak(allowance, 0), false);
    assert.equal(rate.charge(allowance, 1, 0), false);
    assert.equal(rate.maySpeak(allowance, 2), true);
    assert.equal(rate.charge(allowance, 0, 2), true, "an empty message costs no bytes");
  });

  test("is exceeded by too many messages however few their bytes, and the other way round", () => {
    const rate = new TalkRate({ messageRate: 1, messageBurst: 1, byteRate: 1, byteBurst: 10 });
    assert.equal(rate.charge(rate.begin(ADDRESS, 0), 11, 0), false);
    const allowance = rate.begin(ADDRESS, 0);
    assert.equal(rate.charge(allowance, 0, 0), true);
    assert.equal(rate.charge(allowance, 0, 0), false);
  });

  test("is owed for, all of it: a message that was one too many is not forgiven", () => {
    const rate = new TalkRate({ ...NONE, byteRate: 100, byteBurst: 100 });
    const allowance = rate.begin(ADDRESS, 0);
    rate.charge(allowance, 1100, 0);
    assert.equal(rate.maySpeak(allowance, 10_000), false);
    assert.equal(rate.maySpeak(allowance, 10_010), true);
  });

  test("does not grow when a clock stands still, or goes back", () => {
    const rate = new TalkRate({ ...NONE, messageRate: 10, messageBurst: 1 });
    const allowance = rate.begin(ADDRESS, 1000);
    rate.charge(allowance, 1, 1000);
    rate.charge(allowance, 1, 900);
    assert.equal(rate.maySpeak(allowance, 1000), false);
    assert.equal(rate.maySpeak(allowance, 1200), true);
  });
});

describe("a client that goes and comes again", () => {
  const LIMITS: TalkLimits = { messageRate: 2, messageBurst: 4, byteRate: 100, byteBurst: 1000 };

  /** Has a client say so many messages of 100 bytes, and go. */
  function visit(rate: TalkRate, address: string, messages: number, now: number): void {
    const allowance = rate.begin(address, now);
    for (let said = 0; said < messages; said++) rate.charge(allowance, 100, now);
    rate.end(allowance, address, now);
  }

  test("finds what it has used up, less what time has brought", () => {
    const rate = new TalkRate(LIMITS);
    visit(rate, "192.0.2.1", 4, 0);
    assert.deepEqual(rate.begin("192.0.2.1", 0), { messages: 0, bytes: 600, at: 0 });
    assert.deepEqual(rate.begin("192.0.2.1", 1000), { messages: 2, bytes: 700, at: 1000 });
    assert.deepEqual(rate.begin("192.0.2.1", 60_000), { messages: 4, bytes: 1000, at: 60_000 });
  });

  test("finds it as often as it comes, whoever came from there meanwhile", () => {
    const rate = new TalkRate(LIMITS);
    visit(rate, "192.0.2.1", 4, 0);
    visit(rate, "192.0.2.1", 0, 0);
    assert.equal(rate.begin("192.0.2.1", 0).messages, 0);
  });

  test("finds less of it the longer it stayed after it had said the last", () => {
    const rate = new TalkRate(LIMITS);
    const allowance = rate.begin("192.0.2.1", 0);
    for (let said = 0; said < 4; said++) rate.charge(allowance, 100, 0);
    rate.end(allowance, "192.0.2.1", 1000);
    assert.deepEqual(rate.begin("192.0.2.1", 1000), { messages: 2, bytes: 700, at: 1000 });
  });

  test("finds what the one has used up that has used up the most, whoever went last", () => {
    const rate = new TalkRate(LIMITS);
    const [loud, quiet] = [rate.begin("192.0.2.1", 0), rate.begin("192.0.2.1", 0)];
    for (let said = 0; said < 4; said++) rate.charge(loud, 100, 0);
    rate.charge(quiet, 100, 0);
    rate.end(loud, "192.0.2.1", 0);
    rate.end(quiet, "192.0.2.1", 0);
    assert.deepEqual(rate.begin("192.0.2.1", 0), { messages: 0, bytes: 600, at: 0 });
  });

  test("does not find what others have used up, but that of its own IPv6 /64", () => {
    const rate = new TalkRate(LIMITS);
    visit(rate, "2001:db8::1", 4, 0);
    assert.equal(rate.begin("2001:db8::2", 0).messages, 0);
    assert.equal(rate.begin("2001:db8:0:1::1", 0).messages, 4);
    assert.equal(rate.begin("192.0.2.1", 0).messages, 4);
  });

  test("finds what is owed for a message of many bytes", () => {
    const rate = new TalkRate({ ...LIMITS, messageRate: 0 });
    const allowance = rate.begin("192.0.2.1", 0);
    rate.charge(allowance, 3000, 0);
    rate.end(allowance, "192.0.2.1", 0);
    assert.equal(rate.begin("192.0.2.1", 0).bytes, -2000);
  });

  test("is nobody where it has no address", () => {
    const rate = new TalkRate(LIMITS);
    visit(rate, "", 4, 0);
    assert.equal(rate.begin("", 0).messages, 4);
  });

  test("is remembered among many others", () => {
    const rate = new TalkRate(LIMITS);
    for (let other = 0; other < 20_000; other++) {
      visit(rate, `198.${18 + (other >> 14)}.${(other >> 8) & 63}.${other & 255}`, 1, 0);
    }
    visit(rate, "192.0.2.1", 4, 0);
    for (let other = 0; other < 20_000; other++) visit(rate, `203.${other >> 8}.113.${other & 255}`, 1, 0);
    assert.equal(rate.begin("192.0.2.1", 0).messages, 0);
  });

  test("is remembered beside thousands who have used up as much", () => {
    const rate = new TalkRate(LIMITS);
    const addresses = Array.from({ length: 5000 }, (_, nth) => `203.${nth >> 8}.113.${nth & 255}`);
    for (const address of addresses) visit(rate, address, 4, 0);
    for (const address of addresses) {
      assert.deepEqual(rate.begin(address, 0), { messages: 0, bytes: 600, at: 0 });
    }
  });
});
