import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { type Nonces, type Prover, Secret } from "../../link/secret.ts";
import { hex } from "../proto/support.ts";

const rising = hex("000102030405060708090a0b0c0d0e0f");
const risen = hex("101112131415161718191a1b1c1d1e1f");

/** Made with Python: `hmac.new(secret, prover + register + challenge, hashlib.sha256).hexdigest()`. */
const vectors: readonly [secret: string | Buffer, prover: Prover, Nonces, proof: string][] = [
  [
    "a secret of the documentation",
    "manager",
    { register: rising, challenge: risen },
    "647eb59a55b2975ddbdb349683ad5ec4f00a0a8a513a697cd7911e1a8f174bbd",
  ],
  [
    "a secret of the documentation",
    "gateway",
    { register: rising, challenge: risen },
    "69aeb65c5bfe6943d34e5657ffe36d29f27a3e3ceb83c165603034c701155b28",
  ],
  [
    Buffer.alloc(16, 0xff),
    "manager",
    { register: Buffer.alloc(16), challenge: Buffer.alloc(16) },
    "7b75da52b6194f695da3bceca563a05fa2e6d5f6a28e1ba535bb97dcab0ec792",
  ],
  [
    "ünsägliches Geheimnis".repeat(10),
    "gateway",
    { register: risen, challenge: rising },
    "7e08543d66b036fb87b3003de21e5e17d27a709f2879b6e965446a132fcf845f",
  ],
];

describe("a secret", () => {
  for (const [secret, prover, nonces, proof] of vectors) {
    test(`proves a ${prover} as others compute it: ${proof.slice(0, 8)}`, () => {
      const made = new Secret(secret);
      assert.equal(made.prove(prover, nonces).toString("hex"), proof);
      assert.equal(made.isProven(hex(proof), prover, nonces), true);
    });
  }

  test("does not take the proof of another secret, prover or nonce, nor one with any bit turned", () => {
    const secret = new Secret("a secret of 24 letters..");
    const nonces = { register: rising, challenge: risen };
    const proof = secret.prove("gateway", nonces);
    assert.equal(secret.isProven(proof, "gateway", nonces), true);
    assert.equal(new Secret("a secret of 24 letters.,").isProven(proof, "gateway", nonces), false);
    assert.equal(secret.isProven(proof, "manager", nonces), false);
    for (const other of [
      { register: risen, challenge: rising },
      { register: rising, challenge: rising },
      { register: risen, challenge: risen },
    ])
      assert.equal(secret.isProven(proof, "gateway", other), false);
    for (let bit = 0; bit < 256; bit++) {
      const turned = Buffer.from(proof);
      turned.writeUInt8(turned.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.equal(secret.isProven(turned, "gateway", nonces), false);
    }
  });

  test("has 16 bytes at least, counted as UTF-8", () => {
    new Secret("x".repeat(16));
    new Secret("é".repeat(8));
    new Secret(new Uint8Array(16));
    for (const short of ["", "x".repeat(15), "é".repeat(7), new Uint8Array(15)]) {
      const message = /^a secret must have at least 16 bytes; this one has \d+$/;
      assert.throws(() => new Secret(short), { name: "RangeError", message });
    }
  });

  test("is its own: writing over the bytes that it was made of does not change it", () => {
    const bytes = Buffer.alloc(20, 7);
    const secret = new Secret(bytes);
    const nonces = { register: rising, challenge: risen };
    const before = secret.prove("manager", nonces);
    bytes.fill(8);
    assert.deepEqual(secret.prove("manager", nonces), before);
  });

  test("never shows", () => {
    const secret = new Secret("nobody may read this");
    const shown = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret, { depth: 9, showHidden: true }),
    ];
    for (const text of shown) assert.doesNotMatch(text, /nobody|6e6f626f6479|6e 6f 62/);
    assert.equal(JSON.stringify({ secret }), '{"secret":"***"}');
  });
});
