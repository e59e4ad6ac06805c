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

  test("is bad when it lives longer than is allowed", () => {
    const { checker } = checkerAt({ maxLifeMs: 60_000 });
    assert.deepEqual(checker.check(signTicket(ticket, SECRET), HOME), ticket);
    assert.equal(checker.check(signTicket({ ...ticket, expiresAtMs: soon + 1 }, SECRET), HOME), "bad-ticket");
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

  test("stays used when our clock is set back by some seconds", () => {
    const { checker, clock } = checkerAt();
    checker.check(once("n", START_MS + 1000), HOME);
    clock.advance(5000);
    checker.check(once("other"), HOME);
    clock.advance(-4500);
    assert.equal(checker.check(once("n", START_MS + 1000), HOME), "replayed-ticket");
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
