/** A gateway with a secret, and one without, against managers that prove it, do not, or can't. */

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { FromManager } from "../../proto/frame.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { encodeMap } from "../../proto/map-body.ts";
import { recordLog } from "../helpers/log.ts";
import { type RawLink, startRawManager } from "../helpers/raw-manager.ts";
import { managerOf, type Settings, startTestGateway } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";

const SECRET = "a secret that both sides have";

/** What a side shows for having the secret, written beside the code and not out of it. */
function hmac(secret: string, who: string, register: Uint8Array, challenge: Uint8Array): Buffer {
  return createHmac("sha256", secret)
    .update(Buffer.concat([Buffer.from(who), register, challenge]))
    .digest();
}

async function start(t: TestContext, settings: Settings = { managerSecret: SECRET }) {
  const raw = await startRawManager(t);
  const recorded = recordLog();
  const gateway = await startTestGateway(t, raw.link, settings, { log: recorded.log });
  return { raw, recorded, gateway, link: await raw.nextLink() };
}

/** Challenges a gateway with a proof of `secret`; gives the challenge's nonce. */
async function challenge(link: RawLink, secret = SECRET, nonce = randomBytes(16)): Promise<Buffer> {
  const { body } = await link.wait("register");
  const proof = hmac(secret, "manager", body.nonce, nonce);
  link.say((batch) => toGateway.challenge(batch, { nonce, proof }));
  return nonce;
}

function heard(link: RawLink): string[] {
  return link.heard.map(({ type }) => type);
}

describe("a gateway with a secret", () => {
  test("proves that it has it, once the manager has, and then registers", async (t) => {
    const { link, gateway } = await start(t);
    const nonce = await challenge(link);
    const { body } = await link.wait("proof");
    const register = (await link.wait("register")).body;
    assert.deepEqual(Buffer.from(body.proof), hmac(SECRET, "gateway", register.nonce, nonce));
    assert.equal(managerOf(gateway).link.up, false);
    assert.deepEqual(heard(link), ["register", "proof"], "and says nothing else before it is registered");
    link.register();
    await link.wait("listening");
    assert.deepEqual(heard(link), ["register", "proof", "listening"]);
    assert.deepEqual([gateway.counters.managersRefused, gateway.counters.rejections], [0, 0]);
  });

  test("has another nonce on each link", async (t) => {
    const { raw, link } = await start(t);
    link.socket.destroy();
    const second = await raw.nextLink();
    const nonces = [await link.wait("register"), await second.wait("register")].map(({ body }) => body.nonce);
    assert.notDeepEqual(nonces[0], nonces[1]);
  });

  test("closes at a wrong proof, tells it as an error, counts it, and dials again", async (t) => {
    const { raw, recorded, gateway, link } = await start(t);
    await challenge(link, "a secret that one side has");
    await link.untilClosed();
    const { level, msg } = await recorded.loss("manager-bad-proof");
    assert.deepEqual([level, /the manager's proof is wrong/.test(String(msg))], [50, true]);
    assert.deepEqual(heard(link), ["register"], "nothing was proven to who has not proven anything");
    assert.equal(gateway.counters.managersRefused, 1);
    const second = await raw.nextLink();
    await challenge(second);
    await second.wait("proof");
    second.register();
    await second.wait("listening");
  });

  test("takes its own nonce and proof, sent back, for a wrong proof", async (t) => {
    const { recorded, link } = await start(t);
    const { nonce } = (await link.wait("register")).body;
    const proof = hmac(SECRET, "gateway", nonce, nonce);
    link.say((batch) => toGateway.challenge(batch, { nonce, proof }));
    await recorded.loss("manager-bad-proof");
  });

  test("does not take a proof that was made for another link", async (t) => {
    const { raw, recorded, link } = await start(t);
    const { body } = await link.wait("register");
    const nonce = randomBytes(16);
    const proof = hmac(SECRET, "manager", body.nonce, nonce);
    link.socket.destroy();
    const second = await raw.nextLink();
    second.say((batch) => toGateway.challenge(batch, { nonce, proof }));
    await recorded.loss("manager-bad-proof");
  });

  test("is not registered by a manager that skips the challenge", async (t) => {
    const { raw, recorded, gateway, link } = await start(t);
    link.register();
    await link.untilClosed();
    const { level, msg } = await recorded.loss("manager-unproven");
    assert.deepEqual(
      [level, /^no link to the manager: Registered came without a proof/.test(String(msg))],
      [50, true],
    );
    assert.deepEqual(heard(link), ["register"]);
    assert.equal(gateway.counters.managersRefused, 1);
    await raw.nextLink();
  });

  for (const code of ["bad-secret", "version", "name-taken"]) {
    test(`is not ended by a Rejected ${code} of somebody who has not proven to be the manager`, async (t) => {
      const { raw, recorded, gateway, link } = await start(t);
      link.say((batch) => toGateway.rejected(batch, { code, message: "go away" }));
      await link.untilClosed();
      await recorded.loss("manager-unproven");
      await raw.nextLink();
      assert.deepEqual([gateway.counters.managersRefused, gateway.counters.rejections], [1, 0]);
    });
  }

  test("ends with exit code 4 when the manager, proven, rejects its secret", async (t) => {
    const { gateway, link } = await start(t);
    await challenge(link);
    await link.wait("proof");
    link.say((batch) => toGateway.rejected(batch, { code: "bad-secret", message: "the secrets differ" }));
    const { code, message } = await gateway.ended;
    assert.deepEqual([code, message], [4, "the manager refused this gateway: the secrets differ"]);
    assert.equal(gateway.counters.rejections, 1);
  });

  test("dials again when the manager, proven, rejects it for now", async (t) => {
    const { raw, recorded, gateway, link } = await start(t);
    await challenge(link);
    await link.wait("proof");
    link.say((batch) => toGateway.rejected(batch, { code: "name-taken", message: "there is one" }));
    assert.equal((await recorded.loss("rejected-name-taken")).level, 40);
    await raw.nextLink();
    assert.equal(gateway.counters.rejections, 1);
  });

  test("takes a second Challenge for a protocol error, before registration and after it", async (t) => {
    const { raw, recorded, gateway, link } = await start(t);
    await challenge(link);
    await link.wait("proof");
    await challenge(link);
    await recorded.loss("unexpected-frame");
    const second = await raw.nextLink();
    await challenge(second);
    await second.wait("proof");
    second.register();
    await second.wait("listening");
    await challenge(second);
    await second.untilClosed();
    await until(() => gateway.counters.protocolErrors === 2, "both are counted");
  });

  for (const [key, length] of [
    ["nonce", 15],
    ["nonce", 17],
    ["proof", 31],
    ["proof", 33],
  ] as const) {
    test(`takes a Challenge with a ${key} of ${length} bytes for a bad body`, async (t) => {
      const { recorded, link } = await start(t);
      const body = { nonce: Buffer.alloc(16), proof: Buffer.alloc(32), [key]: Buffer.alloc(length) };
      link.say((batch) => batch.frame(FromManager.Challenge, encodeMap(body)));
      assert.match(String((await recorded.loss("bad-body")).msg), new RegExp(`Challenge\\.${key} must be`));
    });
  }

  test("gives up a manager that does not answer its proof in time", async (t) => {
    const { raw, recorded, link } = await start(t, { managerSecret: SECRET, registerTimeoutMs: 100 });
    await challenge(link);
    await recorded.loss("register-timeout");
    await raw.nextLink();
  });
});

describe("a gateway without a secret", () => {
  test("ends with exit code 4 at a Challenge, and says what to set", async (t) => {
    const { recorded, gateway, link } = await start(t, {});
    await challenge(link);
    const { code, message } = await gateway.ended;
    assert.equal(code, 4);
    assert.match(message ?? "", /asks for a secret.*set SIDEGATE_MANAGER_SECRET or managerSecretFile$/);
    await recorded.loss("secret-missing");
    await link.untilClosed();
    assert.deepEqual(heard(link), ["register"]);
    assert.equal(gateway.counters.rejections, 1);
  });

  test("takes a Challenge once it is registered for a protocol error", async (t) => {
    const { recorded, link } = await start(t, {});
    link.register();
    await link.wait("listening");
    await challenge(link);
    await recorded.loss("unexpected-frame");
  });
});
