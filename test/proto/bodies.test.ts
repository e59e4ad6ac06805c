import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { endedBy, endReasons } from "../../proto/bodies.ts";
import { decodeMap } from "../../proto/map-body.ts";
import { allBodies, type BodySpec, gatewayBodies, sample } from "./body-specs.ts";
import { type Packable, pack } from "./msgpack.ts";
import { refusal } from "./support.ts";

type Body = { readonly [key: string]: Packable };

function read(name: string, { read }: BodySpec, body: Packable): unknown {
  const bytes = pack(body);
  return read(decodeMap(bytes, 0, bytes.length), name);
}

function without(body: Body, key: string): Body {
  return Object.fromEntries(Object.entries(body).filter(([other]) => other !== key));
}

/** A pattern for messages that speak of `path` or of something in it. */
function names(path: string): RegExp {
  return RegExp(`^${path.replaceAll(".", "\\.")}([.[].*)? must be `);
}

for (const [name, spec] of allBodies) {
  const whole = sample(spec.keys);

  describe(`the map of ${name}`, () => {
    test("is read with all of its keys", () => {
      assert.deepEqual(read(name, spec, whole), whole);
    });

    test("is read with none but the keys that it must have", () => {
      const optional = Object.keys(spec.keys).filter((key) => spec.keys[key]?.optional);
      const least = optional.reduce<Body>(without, whole);
      assert.deepEqual(read(name, spec, least), least);
    });

    test("is read with nil in place of each key that it may lack", () => {
      const nils = Object.entries(spec.keys).filter(([, { optional }]) => optional);
      const least = nils.reduce<Body>((body, [key]) => without(body, key), whole);
      const told = { ...whole, ...Object.fromEntries(nils.map(([key]) => [key, null])) };
      assert.deepEqual(read(name, spec, told), least);
    });

    test("is read in any order, with keys of a later version", () => {
      const entries: [string, Packable][] = [
        ["later", { deep: [null, 1] }],
        ...Object.entries(whole).reverse(),
      ];
      assert.deepEqual(read(name, spec, new Map([...entries, ["", 7], ["__proto__", 7]])), whole);
    });

    for (const [key, { optional, fits, misfits }] of Object.entries(spec.keys)) {
      test(`may ${optional ? "" : "not "}lack ${key}`, () => {
        const body = without(whole, key);
        if (optional) assert.deepEqual(read(name, spec, body), body);
        else
          assert.throws(
            () => read(name, spec, body),
            refusal("bad-body", RegExp(`^${name}\\.${key} .* missing$`)),
          );
      });

      test(`takes each ${key} that fits`, () => {
        for (const fit of fits) read(name, spec, { ...whole, [key]: fit });
      });

      test(`refuses each ${key} that does not fit, and names it`, () => {
        for (const misfit of misfits) {
          const told = JSON.stringify(misfit)?.slice(0, 100);
          assert.throws(
            () => read(name, spec, { ...whole, [key]: misfit }),
            refusal("bad-body", names(`${name}.${key}`)),
            told,
          );
        }
      });
    }
  });
}

describe("what a body says", () => {
  test("an integer that came as a float is the same number", () => {
    const { port } = gatewayBodies.CLJoin.keys;
    const spec = gatewayBodies.CLJoin;
    const ports = port.fits.map(
      (fit) => (read("CLJoin", spec, { ...sample(spec.keys), port: fit }) as { port: number }).port,
    );
    assert.deepEqual(ports, [0, 65_535, 0, 65_535]);
  });

  test("the bytes of a nonce are its own", () => {
    const spec = gatewayBodies.Register;
    const bytes = pack(sample(spec.keys));
    const { nonce } = spec.read(decodeMap(bytes, 0, bytes.length), "Register");
    bytes.fill(0xff);
    assert.deepEqual(Buffer.from(nonce).toString("hex"), "000102030405060708090a0b0c0d0e0f");
  });

  test("sessions end for the reasons, and by those, that the bodies' tests know", () => {
    const { reason, by } = gatewayBodies.CLDisconnected.keys;
    assert.deepEqual([...endReasons].sort(), [...reason.fits].sort());
    assert.deepEqual([...endedBy].sort(), [...by.fits].sort());
  });
});
