import assert from "node:assert/strict";
import { generateKeyPairSync, sign as signWithKey } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MAX_TICKET_BYTES, readTicket, signTicket, type Ticket } from "../../gateway/guard/ticket.ts";
import { OTHER_SECRET, SECRET, START, START_MS, sign, signClaims, signText } from "./ticket-support.ts";

/** Made with Python's hmac, json and base64, and a claim that means nothing to us. */
const FOREIGN =
  "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9." +
  "eyJzdWIiOiAiWm_DqyIsICJleHAiOiAxNzY3MjI1NjYwLCAiaWF0IjogMTc2NzIyNTYwMCwgIm5iZiI6IDE3NjcyMjU2MDAsICJh" +
  "ZGRyIjogIjIwMy4wLjExMy43IiwgImp0aSI6ICJuLTEiLCAiY3R4IjogInJvb20gNyIsICJpc3MiOiAibG9naW4ifQ." +
  "p856gR9JXBFI07QQqPoIpm9eEtMIIZq469VDbew6ctQ";
const foreignTicket: Ticket = {
  user: "Zoë",
  expiresAtMs: START_MS + 60_000,
  address: "203.0.113.7",
  nonce: "n-1",
  context: "room 7",
};

const read = (token: string | Buffer, secrets = [SECRET]) => readTicket(token, secrets)?.ticket;
const exp = START + 60;
const header = { alg: "HS256", typ: "JWT" };

describe("a ticket", () => {
  test("that another language has signed is read", () => {
    const times = [START_MS, START_MS];
    assert.deepEqual(readTicket(FOREIGN, [SECRET]), { ticket: foreignTicket, notBeforeMs: times });
    assert.deepEqual(readTicket(Buffer.from(FOREIGN), [SECRET])?.ticket, foreignTicket);
  });

  test("says what was signed, whatever it is", () => {
    const text = (minLength: number, maxLength: number) =>
      fc.string({ unit: "binary", minLength, maxLength }).filter((value) => value.length <= maxLength);
    const ticket = fc.record(
      {
        // At most three bytes each, and 128 in all.
        user: text(1, 42),
        expiresAtMs: fc.nat(2 ** 31).map((ms) => START_MS + ms),
        address: fc.constantFrom("203.0.113.7", "2001:db8::7"),
        nonce: text(1, 64),
        context: text(0, 128),
        manager: text(1, 64),
      },
      { requiredKeys: ["user", "expiresAtMs"], noNullPrototype: true },
    );
    fc.assert(
      fc.property(ticket, (one) => {
        assert.deepEqual(readTicket(signTicket(one, SECRET), [SECRET], "manager")?.ticket, one);
        assert.equal(read(signTicket(one, SECRET), [OTHER_SECRET]), undefined);
      }),
      { seed: 7308, numRuns: 300 },
    );
  });

  test("may name its user in 128 bytes, whatever they are", () => {
    for (const sub of ["x".repeat(128), "é".repeat(64), "😀".repeat(32)])
      assert.equal(read(signClaims({ sub, exp }))?.user, sub);
  });

  test("is a JWT that anybody can take apart", () => {
    const [head = "", claims = "", signature = ""] = signTicket(foreignTicket, SECRET).split(".");
    const json = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString());
    assert.deepEqual(json(head), header);
    assert.deepEqual(json(claims), {
      sub: "Zoë",
      exp,
      addr: "203.0.113.7",
      jti: "n-1",
      ctx: "room 7",
    });
    assert.equal(`${head}.${claims}.${signature}`, sign(header, json(claims)));
  });

  test("has its address in canonical form", () => {
    assert.equal(read(signClaims({ sub: "a", exp, addr: "::ffff:203.0.113.7" }))?.address, "203.0.113.7");
    assert.equal(read(signClaims({ sub: "a", exp, addr: "2001:DB8:0::7" }))?.address, "2001:db8::7");
  });

  test("may have an expiry in fractions of a second", () => {
    assert.equal(read(signClaims({ sub: "a", exp: 1767225660.123 }))?.expiresAtMs, 1_767_225_660_123);
  });

  test("names its manager in the claim that is configured, and else in none", () => {
    const manager = (claims: unknown, field?: string) =>
      readTicket(signClaims(claims), [SECRET], field)?.ticket.manager;
    const named = { sub: "a", exp, manager: "battle", "https://game.example/shard": "lobby" };
    assert.equal(manager(named, "manager"), "battle");
    assert.equal(manager(named, "https://game.example/shard"), "lobby");
    assert.equal(manager(named, "shard"), undefined);
    assert.equal(manager(named), undefined);
    const foreign = { sub: "a", exp, manager: 7 };
    assert.equal(read(signClaims(foreign))?.user, "a", "who reads no manager does not mind what is there");
    const signed = signTicket({ user: "a", expiresAtMs: START_MS, manager: "battle" }, SECRET, "shard");
    assert.equal(readTicket(signed, [SECRET], "shard")?.ticket.manager, "battle");
    assert.equal(readTicket(signed, [SECRET], "manager")?.ticket.manager, undefined);
  });

  test("may have its manager in a claim that is called as what every object has", () => {
    for (const field of ["__proto__", "constructor", "toString"]) {
      const plain = signClaims({ sub: "a", exp });
      assert.deepEqual(readTicket(plain, [SECRET], field)?.ticket, {
        user: "a",
        expiresAtMs: START_MS + 60_000,
      });
      const named = signTicket({ user: "a", expiresAtMs: START_MS, manager: "battle" }, SECRET, field);
      assert.equal(readTicket(named, [SECRET], field)?.ticket.manager, "battle");
    }
  });

  test("is good whichever secret has signed it, and with no other", () => {
    assert.deepEqual(read(FOREIGN, [OTHER_SECRET, SECRET]), foreignTicket);
    assert.equal(read(FOREIGN, [OTHER_SECRET]), undefined);
    assert.equal(read(FOREIGN, []), undefined);
  });

  test("cut at any byte is none", () => {
    for (let length = 0; length < FOREIGN.length; length++) {
      assert.equal(read(FOREIGN.slice(0, length)), undefined, `${length} bytes`);
      assert.equal(read(FOREIGN.slice(length + 1)), undefined);
    }
    assert.equal(read(`${FOREIGN}A`), undefined);
    assert.equal(read(`${FOREIGN}.`), undefined);
    assert.equal(read(`${FOREIGN}.e30`), undefined);
  });

  test("with any character changed is none", () => {
    for (let at = 0; at < FOREIGN.length; at++) {
      for (const other of ["A", "_", ".", "=", "é"]) {
        if (FOREIGN[at] === other) continue;
        assert.equal(read(FOREIGN.slice(0, at) + other + FOREIGN.slice(at + 1)), undefined, `${at} ${other}`);
      }
    }
  });

  test("has one spelling: no padding, no other alphabet, no spare bits, no blanks", () => {
    // The signature's last character has two bits to spare.
    assert.equal(read(FOREIGN.replace(/Q$/, "R")), undefined);
    for (const other of [`${FOREIGN}=`, ` ${FOREIGN}`, `${FOREIGN}\n`, FOREIGN.replace("m_D", "m/D")]) {
      assert.equal(read(other), undefined);
    }
    // Also where the signature is right for the odd spelling.
    const head = Buffer.from('{"alg":"HS256"}').toString("base64url");
    const claims = Buffer.from(JSON.stringify({ sub: "a", exp })).toString("base64url");
    assert.equal(read(signText(`${head}.${claims}`))?.user, "a");
    for (const odd of [`${head}=`, `${head}\n`, ` ${head}`, `${head}A`]) {
      assert.equal(read(signText(`${odd}.${claims}`)), undefined, odd);
    }
  });

  test("is looked at only up to 2048 bytes", () => {
    const padded = (padding: number) => signClaims({ sub: "a", exp, more: "x".repeat(padding) });
    const lengths = [1400, 1401, 1402, 1403, 1404, 1405].map(padded);
    const room = lengths.findLast((token) => token.length <= MAX_TICKET_BYTES);
    assert.equal(read(room ?? "")?.user, "a");
    assert.equal(read(padded(1500)), undefined);
  });
});

describe("a token that is no ticket of ours", () => {
  test("is one without a signature", () => {
    for (const alg of ["none", "None", "NONE", "HS256"]) {
      const [head, claims] = sign({ alg, typ: "JWT" }, { sub: "a", exp }).split(".");
      assert.equal(read(`${head}.${claims}.`), undefined);
      assert.equal(read(`${head}.${claims}`), undefined);
    }
  });

  test("is one that names another algorithm, even when our secret has signed it", () => {
    for (const alg of [
      "none",
      "hs256",
      "HS384",
      "HS512",
      "RS256",
      "ES256",
      "EdDSA",
      "",
      null,
      1,
      undefined,
    ]) {
      assert.equal(read(sign({ alg, typ: "JWT" }, { sub: "a", exp })), undefined, String(alg));
    }
  });

  test("is one that a private key has signed, with its public key taken for the secret", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const pem = Buffer.from(publicKey.export({ type: "spki", format: "pem" }));
    const [head, claims] = sign({ alg: "EdDSA" }, { sub: "a", exp }).split(".");
    const signature = signWithKey(null, Buffer.from(`${head}.${claims}`), privateKey).toString("base64url");
    assert.equal(read(`${head}.${claims}.${signature}`, [pem]), undefined);
    assert.equal(read(sign({ alg: "EdDSA" }, { sub: "a", exp }, pem), [pem]), undefined);
  });

  test("is one whose header asks for more than we know", () => {
    for (const more of [{ crit: ["b64"], b64: false }, { crit: [] }, { b64: true }, { typ: "at+jwt" }]) {
      assert.equal(read(sign({ ...header, ...more }, { sub: "a", exp })), undefined, JSON.stringify(more));
    }
    assert.equal(read(sign({ alg: "HS256", kid: "1" }, { sub: "a", exp }))?.user, "a");
  });

  for (const [title, claims] of [
    ["no JSON", "{"],
    ["a list", [1]],
    ["nothing", null],
    ["text", '"a"'],
    ["no user", { exp }],
    ["an empty user", { sub: "", exp }],
    ["a user that is a number", { sub: 7, exp }],
    ["a user that is too long", { sub: "x".repeat(129), exp }],
    ["a user of too many bytes", { sub: "é".repeat(65), exp }],
    ["a user that is half a character", `{"sub":"\\ud800","exp":${exp}}`],
    ["no expiry", { sub: "a" }],
    ["an expiry as text", { sub: "a", exp: String(exp) }],
    ["a negative expiry", { sub: "a", exp: -1 }],
    ["an endless expiry", `{"sub":"a","exp":1e999}`],
    ["an expiry beyond all time", { sub: "a", exp: 1e15 }],
    ["a bad start", { sub: "a", exp, nbf: "now" }],
    ["a bad moment of issue", { sub: "a", exp, iat: null }],
    ["an address that is none", { sub: "a", exp, addr: "example.com" }],
    ["an address that is a number", { sub: "a", exp, addr: 7 }],
    ["an empty nonce", { sub: "a", exp, jti: "" }],
    ["a nonce that is too long", { sub: "a", exp, jti: "x".repeat(65) }],
    ["a nonce that is a number", { sub: "a", exp, jti: 7 }],
    ["a context that is too long", { sub: "a", exp, ctx: "x".repeat(129) }],
    ["a context that is no text", { sub: "a", exp, ctx: {} }],
  ] as const) {
    test(`is one with ${title}`, () => assert.equal(read(signClaims(claims)), undefined));
  }

  for (const [title, manager] of [
    ["an empty manager", ""],
    ["a manager that is too long", "x".repeat(65)],
    ["a manager that is half a character", "\ud800"],
    ["a manager that is a number", 7],
    ["a manager that is nothing", null],
    ["several managers", ["battle", "lobby"]],
  ] as const) {
    test(`is one with ${title}`, () => {
      const token = signClaims({ sub: "a", exp, manager });
      assert.equal(readTicket(token, [SECRET], "manager"), undefined);
    });
  }

  test("is one that is not UTF-8", () => {
    const claims = Buffer.from(`{"sub":"\xff","exp":${exp}}`, "latin1").toString("base64url");
    const [head] = FOREIGN.split(".");
    assert.equal(read(signText(`${head}.${claims}`)), undefined);
  });

  test("is any other text, of which none is thrown at", () => {
    const pieces = fc.array(fc.oneof(fc.constantFrom(".", "..", "e30", FOREIGN), fc.string()), {
      maxLength: 6,
    });
    const check = (parts: readonly string[]) => {
      const token = parts.join("");
      if (token !== FOREIGN) assert.equal(read(token), undefined);
    };
    fc.assert(fc.property(pieces, check), { seed: 7309, numRuns: 500 });
  });
});

describe("signing", () => {
  test("refuses what no checker would take", () => {
    const good = { user: "a", expiresAtMs: START_MS };
    for (const bad of [
      { ...good, user: "" },
      { ...good, user: "x".repeat(129) },
      { ...good, expiresAtMs: Number.NaN },
      { ...good, address: "nowhere" },
      { ...good, nonce: "" },
      { ...good, context: "x".repeat(129) },
      { ...good, manager: "" },
      { ...good, manager: "x".repeat(65) },
    ]) {
      assert.throws(() => signTicket(bad, SECRET), RangeError);
    }
    assert.throws(() => signTicket(good, SECRET.subarray(1)), RangeError);
    // Each of these is six characters as JSON has it.
    const long = { ...good, user: "\x01".repeat(128), context: "\x01".repeat(128) };
    assert.throws(() => signTicket(long, SECRET), /too long/);
  });
});
