import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { signTicket } from "../../gateway/guard/ticket.ts";
import { TicketChecker } from "../../gateway/guard/ticket-checker.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { checkerAt, OTHER_SECRET, SECRET, START, START_MS, sign, signClaims } from "./ticket-support.ts";

const HOME = "203.0.113.7";
const soon = START_MS + 60_000;
const ticket = { user: "ann", expiresAtMs: soon };

describe("a ticket at the gate", () => {
  test("lets in until the moment in which it expires, as often as is wanted", () => {
    const { checker, clock } = checkerAt();
    const token = signTicket(ticket, SECRET);
    assert.deepEqual(checker.check(token, HOME), ticket);
    clock.advance(59_999);
    assert.deepEqual(checker.check(Buffer.from(token), HOME), ticket);
    clock.advance(1);
    assert.equal(checker.check(token, HOME), "expired-ticket");
    assert.equal(checker.nonceCount, 0);
  });

  test("is bad when it lives more than 5 seconds longer than is allowed", () => {
    const { checker } = checkerAt({ maxLifeMs: 55_000 });
    assert.deepEqual(checker.check(signTicket(ticket, SECRET), HOME), ticket);
    assert.equal(checker.check(signTicket({ ...ticket, expiresAtMs: soon + 1 }, SECRET), HOME), "bad-ticket");
  });

  test("may live as long as is allowed by a clock that is 5 seconds ahead", () => {
    const { checker, clock } = checkerAt({ maxLifeMs: 60_000 });
    const ahead = signTicket({ ...ticket, expiresAtMs: soon + 5000 }, SECRET);
    assert.equal(typeof checker.check(ahead, HOME), "object");
    clock.setWall(-1);
    assert.equal(checker.check(ahead, HOME), "bad-ticket");
  });

  for (const claim of ["nbf", "iat"]) {
    test(`may have '${claim}' 5 seconds ahead, and no more`, () => {
      const { checker, clock } = checkerAt();
      const token = signClaims({ sub: "ann", exp: START + 60, [claim]: START + 6 });
      assert.equal(checker.check(token, HOME), "bad-ticket");
      clock.advance(1000);
      assert.deepEqual(checker.check(token, HOME), ticket);
    });
  }

  test("lets in from its own address alone, however that is spelled", () => {
    const { checker } = checkerAt();
    const bound = { ...ticket, address: HOME };
    const token = signTicket(bound, SECRET);
    for (const address of [HOME, `::ffff:${HOME}`, "::FFFF:cb00:7107"]) {
      assert.deepEqual(checker.check(token, address), bound);
    }
    for (const address of ["203.0.113.8", "2001:db8::7", "", "nowhere"]) {
      assert.equal(checker.check(token, address), "bad-ticket", address);
    }
    const mapped = signTicket({ ...ticket, address: `::ffff:${HOME}` }, SECRET);
    assert.deepEqual(checker.check(mapped, HOME), bound);
  });

  test("is good whichever of the secrets has signed it", () => {
    const { checker } = checkerAt({ secrets: [OTHER_SECRET, SECRET] });
    assert.deepEqual(checker.check(signTicket(ticket, SECRET), HOME), ticket);
    assert.deepEqual(checker.check(signTicket(ticket, OTHER_SECRET), HOME), ticket);
    assert.equal(checker.check(signTicket(ticket, new Uint8Array(32)), HOME), "bad-ticket");
  });

  test("says nothing of its time to who can't sign", () => {
    const { checker } = checkerAt();
    const forged = sign({ alg: "HS256" }, { sub: "ann", exp: START - 1, jti: "n" }, OTHER_SECRET);
    assert.equal(checker.check(forged, HOME), "bad-ticket");
    assert.equal(checker.check("", HOME), "bad-ticket");
  });

  test("tells the manager that it names, where that is asked for", () => {
    const token = signTicket({ ...ticket, manager: "battle" }, SECRET);
    assert.deepEqual(checkerAt().checker.check(token, HOME), ticket);
    const { checker } = checkerAt({ managerField: "manager" });
    assert.deepEqual(checker.check(token, HOME), { ...ticket, manager: "battle" });
    assert.deepEqual(checker.check(signTicket(ticket, SECRET), HOME), ticket);
    const wrong = signClaims({ sub: "ann", exp: START + 60, manager: 7 });
    assert.equal(checker.check(wrong, HOME), "bad-ticket");
  });

  test("can't be checked without a secret, or with one that is too short", () => {
    const options = { clock: new FakeClock(), maxNonces: 1, maxLifeMs: 1 };
    assert.throws(() => new TicketChecker({ ...options, secrets: [] }), RangeError);
    assert.throws(() => new TicketChecker({ ...options, secrets: [SECRET, SECRET.subarray(1)] }), RangeError);
  });
});

describe("a ticket with a nonce", () => {
  const once = (nonce: string, expiresAtMs = soon) => signTicket({ ...ticket, expiresAtMs, nonce }, SECRET);

  test("lets in once, until it expires", () => {
    const { checker, clock } = checkerAt();
    assert.deepEqual(checker.check(once("n"), HOME), { ...ticket, nonce: "n" });
    assert.equal(checker.check(once("n"), HOME), "replayed-ticket");
    // Another ticket, the same nonce.
    assert.equal(checker.check(once("n", soon + 1000), HOME), "replayed-ticket");
    clock.advance(59_999);
    assert.equal(checker.check(once("n"), HOME), "replayed-ticket");
    clock.advance(1);
    assert.equal(checker.check(once("n"), HOME), "expired-ticket");
  });

  test("may have the nonce of one that has long expired, and is then good once in turn", () => {
    const { checker, clock } = checkerAt();
    assert.equal(typeof checker.check(once("n"), HOME), "object");
    clock.advance(70_000);
    const later = once("n", soon + 60_000);
    assert.equal(typeof checker.check(later, HOME), "object");
    clock.advance(10_000);
    assert.equal(checker.check(later, HOME), "replayed-ticket");
  });

  test("is not used up by an attempt that is refused", () => {
    const { checker, clock } = checkerAt();
    const bound = signClaims({ sub: "ann", exp: START + 60, nbf: START + 10, jti: "n", addr: HOME });
    assert.equal(checker.check(bound, HOME), "bad-ticket");
    clock.advance(10_000);
    assert.equal(checker.check(bound, "203.0.113.8"), "bad-ticket");
    assert.equal(checker.nonceCount, 0);
    assert.deepEqual(checker.check(bound, HOME), { ...ticket, nonce: "n", address: HOME });
  });

  for (const [back, fault] of [
    [4, "replayed-ticket"],
    [20, "expired-ticket"],
    [3000, "expired-ticket"],
  ] as const) {
    test(`lets nobody in a second time when our clock is set back by ${back} seconds`, () => {
      const { checker, clock } = checkerAt();
      const first = once("n", START_MS + 1000);
      assert.equal(typeof checker.check(first, HOME), "object");
      clock.advance(back < 5 ? 4000 : 20_000);
      assert.equal(typeof checker.check(once("other"), HOME), "object");
      clock.setWall(-back * 1000);
      assert.equal(checker.check(first, HOME), fault);
      assert.equal(typeof checker.check(once("another"), HOME), "object", "others come in");
    });
  }

  test("lets nobody in a second time when our clock was ahead for a moment", () => {
    const { checker, clock } = checkerAt();
    assert.equal(typeof checker.check(once("n"), HOME), "object");
    clock.setWall(600_000);
    assert.equal(typeof checker.check(once("m", soon + 600_000), HOME), "object");
    clock.setWall(-600_000);
    assert.equal(checker.check(once("n"), HOME), "replayed-ticket");
    assert.equal(typeof checker.check(once("fresh"), HOME), "object", "others come in");
    // What was signed by the wrong clock may be good when that one is long forgotten by a clock that is never set.
    clock.advance(600_000);
    assert.equal(checker.check(once("m", soon + 600_000), HOME), "replayed-ticket");
  });

  test("is remembered as long as it needs, also beside one that was used while our clock was ahead", () => {
    const { checker, clock } = checkerAt();
    clock.setWall(30_000);
    assert.equal(typeof checker.check(once("early"), HOME), "object");
    clock.setWall(-30_000);
    assert.equal(typeof checker.check(once("n"), HOME), "object");
    clock.advance(40_000);
    clock.setWall(60_000);
    assert.equal(checker.check(once("n"), HOME), "expired-ticket");
    assert.equal(typeof checker.check(once("m", soon + 60_000), HOME), "object");
    clock.setWall(-60_000);
    assert.equal(checker.check(once("n"), HOME), "replayed-ticket");
  });

  test("is refused when there is no room to remember it, and ones without are not", () => {
    const { checker, clock } = checkerAt({ maxNonces: 3 });
    for (const [nonce, life] of [
      ["a", 10_000],
      ["b", 20_000],
      ["c", 20_000],
    ] as const) {
      assert.equal(typeof checker.check(once(nonce, START_MS + life), HOME), "object");
    }
    assert.equal(checker.check(once("d"), HOME), "bad-ticket");
    assert.equal(checker.check(once("a", START_MS + 10_000), HOME), "replayed-ticket");
    assert.deepEqual(checker.check(signTicket(ticket, SECRET), HOME), ticket);
    assert.equal(checker.nonceCount, 3);
    clock.advance(15_000);
    assert.deepEqual(checker.check(once("d"), HOME), { ...ticket, nonce: "d" });
    assert.equal(checker.check(once("e"), HOME), "bad-ticket");
    assert.equal(checker.nonceCount, 3);
  });

  test("leaves nothing behind once all have expired", () => {
    const { checker, clock } = checkerAt({ maxNonces: 1000 });
    for (let index = 0; index < 500; index++) {
      assert.equal(typeof checker.check(once(`n${index}`, START_MS + 1000 + index * 7), HOME), "object");
    }
    assert.equal(checker.nonceCount, 500);
    clock.advance(30_000);
    assert.equal(typeof checker.check(once("last"), HOME), "object");
    assert.equal(checker.nonceCount, 1);
  });
});
