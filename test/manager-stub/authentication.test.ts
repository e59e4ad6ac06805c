import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { ManagerServer, type ManagerServerOptions } from "../../manager-stub/index.ts";
import type * as body from "../../proto/bodies.ts";
import { FromGateway } from "../../proto/frame.ts";
import type { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { encodeMap } from "../../proto/map-body.ts";
import { startManager } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { JOIN, RawGateway, REGISTER, session } from "./raw-gateway.ts";
import { recordEvents } from "./recorded.ts";

const SECRET = "a secret that both sides have";
const NONCE = Buffer.from("00112233445566778899aabbccddeeff", "hex");

/** What a side shows for having the secret, written beside the code and not out of it. */
function hmac(secret: string, who: string, challenge: Uint8Array, register: Uint8Array = NONCE): Buffer {
  return createHmac("sha256", secret)
    .update(Buffer.concat([Buffer.from(who), register, challenge]))
    .digest();
}

/** A gateway that has registered and was challenged. */
async function challenged(t: TestContext, options: ManagerServerOptions = {}) {
  const { manager, link } = await startManager(t, { secret: SECRET, ...options });
  const gateway = await RawGateway.connect(t, link);
  const [name, answer] = await gateway.askToRegister({ nonce: NONCE });
  assert.equal(name, "Challenge");
  return { manager, link, gateway, challenge: answer as body.Challenge };
}

describe("a manager with a secret", () => {
  test("proves that it has it, takes the gateway's proof, and registers it", async (t) => {
    const { manager, gateway, challenge } = await challenged(t, { capacity: 7 });
    assert.equal(challenge.nonce.length, 16);
    assert.deepEqual(Buffer.from(challenge.proof), hmac(SECRET, "manager", challenge.nonce));
    assert.deepEqual(manager.gateways, [], "nobody is registered yet");
    const [name, registered] = await gateway.prove(hmac(SECRET, "gateway", challenge.nonce));
    assert.deepEqual([name, (registered as body.Registered).capacity], ["Registered", 7]);
    assert.equal(manager.gateways.length, 1);
    gateway.join(session(0));
    assert.deepEqual(await gateway.sync(), []);
  });

  test("takes the secret as bytes too, whatever they are", async (t) => {
    const secret = Buffer.from("ff00".repeat(16), "hex");
    const { link } = await startManager(t, { secret });
    const gateway = await RawGateway.connect(t, link);
    const [, answer] = await gateway.askToRegister({ nonce: NONCE });
    const { nonce, proof } = answer as body.Challenge;
    const expected = createHmac("sha256", secret).update("manager").update(NONCE).update(nonce).digest();
    assert.deepEqual(Buffer.from(proof), expected);
  });

  test("has a nonce of its own for each link, whatever the gateway's is", async (t) => {
    const { link, challenge } = await challenged(t);
    const again = await RawGateway.connect(t, link);
    const [, other] = await again.askToRegister({ nonce: NONCE });
    assert.notDeepEqual((other as body.Challenge).nonce, challenge.nonce);
    assert.notDeepEqual((other as body.Challenge).proof, challenge.proof);
  });

  const wrong: readonly [what: string, proof: (challenge: body.Challenge) => Buffer][] = [
    ["of another secret", ({ nonce }) => hmac("a secret that one side has", "gateway", nonce)],
    ["that is the manager's own", ({ proof }) => Buffer.from(proof)],
    ["of another register nonce", ({ nonce }) => hmac(SECRET, "gateway", nonce, Buffer.alloc(16))],
    ["of another challenge nonce", () => hmac(SECRET, "gateway", Buffer.alloc(16))],
    ["of nothing but zeros", () => Buffer.alloc(32)],
  ];
  for (const [what, proof] of wrong) {
    test(`rejects a proof ${what}, closes, and tells it`, async (t) => {
      const { manager, gateway, challenge } = await challenged(t);
      const refused = next(manager, "refused");
      const message = "the proof is wrong: the secrets differ";
      const answer = await gateway.prove(proof(challenge));
      assert.deepEqual(answer, ["Rejected", { code: "bad-secret", message }]);
      assert.deepEqual(await gateway.untilClosed(), []);
      assert.deepEqual(await refused, ["rejected-bad-secret", message]);
      assert.deepEqual(manager.gateways, []);
    });
  }

  test("rejects the proof of another link", async (t) => {
    const { link, challenge } = await challenged(t);
    const proof = hmac(SECRET, "gateway", challenge.nonce);
    const second = await RawGateway.connect(t, link);
    await second.askToRegister({ nonce: NONCE });
    const [name, answer] = await second.prove(proof);
    assert.deepEqual([name, (answer as body.Rejected).code], ["Rejected", "bad-secret"]);
  });

  test("lets nobody try twice on one link", async (t) => {
    const { manager, gateway, challenge } = await challenged(t);
    const told = recordEvents(manager);
    gateway.send((batch) => {
      toManager.proof(batch, { proof: Buffer.alloc(32) });
      toManager.proof(batch, { proof: hmac(SECRET, "gateway", challenge.nonce) });
    });
    await gateway.untilClosed();
    await until(() => told.length > 0, "the refusal is told");
    assert.deepEqual(told, ["refused: rejected-bad-secret"]);
  });

  test("tells nobody who has not proven anything which names are taken, nor which version it speaks", async (t) => {
    const { link, gateway, challenge } = await challenged(t);
    await gateway.prove(hmac(SECRET, "gateway", challenge.nonce));
    for (const register of [{ name: REGISTER.name }, { name: "other", version: 2 }]) {
      const stranger = await RawGateway.connect(t, link);
      const [name] = await stranger.askToRegister({ ...register, nonce: NONCE });
      assert.equal(name, "Challenge");
    }
  });

  test("still refuses, after the proof, a name that is taken and a version that it does not speak", async (t) => {
    const { link, gateway, challenge } = await challenged(t);
    await gateway.prove(hmac(SECRET, "gateway", challenge.nonce));
    for (const [register, code] of [
      [{ name: REGISTER.name }, "name-taken"],
      [{ name: "other", version: 2 }, "version"],
    ] as const) {
      const other = await RawGateway.connect(t, link);
      const [, asked] = await other.askToRegister({ ...register, nonce: NONCE });
      const { nonce } = asked as body.Challenge;
      const [name, answer] = await other.prove(hmac(SECRET, "gateway", nonce));
      assert.deepEqual([name, (answer as body.Rejected).code], ["Rejected", code]);
    }
  });

  test("closes a connection that does not answer the challenge in time", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { manager, gateway } = await challenged(t, { registerTimeoutMs: 50 });
    const refused = next(manager, "refused");
    t.mock.timers.tick(50);
    assert.deepEqual(await gateway.untilClosed(), []);
    assert.deepEqual(await refused, ["register-timeout", "it did not register"]);
  });

  test("says what may be wrong when a gateway leaves instead of proving", async (t) => {
    const { manager, gateway } = await challenged(t);
    const refused = next<[string, string]>(manager, "refused");
    gateway.socket.end();
    const [code, message] = await refused;
    assert.equal(code, "link-closed");
    assert.match(message, /instead of proving that it has the secret: it may have none, or another$/);
  });

  const outOfPlace: readonly [what: string, message: RegExp, say: (batch: FrameBatch) => void][] = [
    ["a second Register", /^a second Register/, (batch) => toManager.register(batch, REGISTER)],
    [
      "a Ping",
      /^Ping before Proof/,
      (batch) => toManager.ping(batch, { seq: 1, at: 2, sessions: 0, capacity: 1 }),
    ],
    ["a Listening", /^Listening before Proof/, (batch) => toManager.listening(batch, [])],
    ["a CLJoin", /^CLJoin before Proof/, (batch) => toManager.join(batch, session(0), JOIN)],
    [
      "a Draining",
      /^Draining before Proof/,
      (batch) => toManager.draining(batch, { reason: "", drainMs: 0 }),
    ],
    ["a Msg", /^Msg before Proof/, (batch) => toManager.message(batch, session(0), Buffer.alloc(1), 0, 1)],
  ];
  for (const [what, expected, say] of outOfPlace) {
    test(`takes ${what} in the place of the proof for a protocol error`, async (t) => {
      const { manager, gateway } = await challenged(t);
      const refused = next<[string, string]>(manager, "refused");
      gateway.send(say);
      const [code, message] = await refused;
      assert.equal(code, "unexpected-frame");
      assert.match(message, expected);
      assert.deepEqual(await gateway.untilClosed(), [], "without another frame");
    });
  }

  test("takes a proof before Register, and one after the proof, for a protocol error", async (t) => {
    const { manager, link, gateway, challenge } = await challenged(t);
    const proof = hmac(SECRET, "gateway", challenge.nonce);
    const early = await RawGateway.connect(t, link);
    const refused = next<[string]>(manager, "refused");
    early.send((batch) => toManager.proof(batch, { proof }));
    assert.equal((await refused)[0], "unexpected-frame");
    await gateway.prove(proof);
    const down = next<[unknown, string]>(manager, "gatewayDown");
    gateway.send((batch) => toManager.proof(batch, { proof }));
    assert.equal((await down)[1], "unexpected-frame");
  });

  for (const length of [0, 31, 33]) {
    test(`takes a proof of ${length} bytes for a bad body`, async (t) => {
      const { manager, gateway } = await challenged(t);
      const refused = next<[string, string]>(manager, "refused");
      const proof = Buffer.alloc(length);
      gateway.send((batch) => batch.frame(FromGateway.Proof, encodeMap({ proof })));
      const [code, message] = await refused;
      assert.equal(code, "bad-body");
      assert.match(message, /^Proof\.proof must be a bin of 32 bytes/);
    });
  }
});

test("a manager's secret has 16 bytes at least", () => {
  new ManagerServer({ secret: "x".repeat(16) });
  for (const secret of ["", "x".repeat(15), new Uint8Array(15)]) {
    const message = /^a secret must have at least 16 bytes; this one has/;
    assert.throws(() => new ManagerServer({ secret }), { name: "RangeError", message });
  }
});
