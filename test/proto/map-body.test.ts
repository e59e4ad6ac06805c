import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeMap, encodeMap, MAX_MAP_DEPTH, type MapValue } from "../../proto/map-body.ts";
import { ProtocolError } from "../../proto/protocol-error.ts";
import { float64, type Packable, pack, packEntries, Raw } from "./msgpack.ts";
import { hex, refusal } from "./support.ts";

function decode(bytes: Buffer): ReadonlyMap<string, unknown> {
  return decodeMap(bytes, 0, bytes.length);
}

/** A map whose one value is `value`. */
function mapOf(value: Buffer): Buffer {
  return Buffer.concat([hex("81 a1 76"), value]);
}

function repeated(prefix: string, byte: string, times: number): Buffer {
  return Buffer.concat([hex(prefix), Buffer.alloc(times, hex(byte))]);
}

/** One value in each form that MessagePack has for it. */
const vectors: readonly [string, Buffer, unknown][] = [
  ["nil", hex("c0"), null],
  ["false", hex("c2"), false],
  ["true", hex("c3"), true],
  ["the least positive fixint", hex("00"), 0],
  ["the greatest positive fixint", hex("7f"), 127],
  ["the least negative fixint", hex("e0"), -32],
  ["the greatest negative fixint", hex("ff"), -1],
  ["a uint8", hex("cc ff"), 255],
  ["a uint8 that would be shorter", hex("cc 01"), 1],
  ["a uint16", hex("cd ffff"), 65_535],
  ["a uint16 that would be shorter", hex("cd 0001"), 1],
  ["a uint32", hex("ce ffffffff"), 4_294_967_295],
  ["a uint32 that would be shorter", hex("ce 00000001"), 1],
  ["a uint64 of 33 bits", hex("cf 0000000100000000"), 4_294_967_296],
  ["a uint64 of 53 bits", hex("cf 001fffffffffffff"), Number.MAX_SAFE_INTEGER],
  ["a uint64 that would be shorter", hex("cf 0000000000000001"), 1],
  ["an int8", hex("d0 80"), -128],
  ["a positive int8", hex("d0 7f"), 127],
  ["an int16", hex("d1 8000"), -32_768],
  ["a positive int16", hex("d1 0001"), 1],
  ["an int32", hex("d2 80000000"), -2_147_483_648],
  ["a positive int32", hex("d2 00000001"), 1],
  ["an int64", hex("d3 ffffffff00000000"), -4_294_967_296],
  ["an int64 of 53 bits", hex("d3 ffe0000000000001"), Number.MIN_SAFE_INTEGER],
  ["a positive int64", hex("d3 0000000000000001"), 1],
  ["a float32", hex("ca 3fc00000"), 1.5],
  ["a float32 of integral value", hex("ca 45e42000"), 7300],
  ["a float64", hex("cb 3ff199999999999a"), 1.1],
  ["a float64 of integral value", hex("cb 4279b76daa800000"), 1_767_225_600_000],
  ["a float64 that is infinite", hex("cb 7ff0000000000000"), Number.POSITIVE_INFINITY],
  ["a float64 that is no number", hex("cb 7ff8000000000000"), Number.NaN],
  ["an empty fixstr", hex("a0"), ""],
  ["a fixstr", hex("a2 c3a9"), "é"],
  ["the longest fixstr", repeated("bf", "61", 31), "a".repeat(31)],
  ["a str8", repeated("d9 20", "61", 32), "a".repeat(32)],
  ["a str8 that would be shorter", hex("d9 01 61"), "a"],
  ["a str16", repeated("da 0100", "61", 256), "a".repeat(256)],
  ["a str16 that would be shorter", hex("da 0001 61"), "a"],
  ["a str32", repeated("db 00010000", "61", 65_536), "a".repeat(65_536)],
  ["a str32 that would be shorter", hex("db 00000001 61"), "a"],
  ["a str of four-byte characters", hex("a4 f09f9880"), "\u{1f600}"],
  ["an empty bin8", hex("c4 00"), hex("")],
  ["a bin8", hex("c4 02 0001"), hex("0001")],
  ["a bin16", repeated("c5 0100", "07", 256), Buffer.alloc(256, 7)],
  ["a bin16 that would be shorter", hex("c5 0001 07"), hex("07")],
  ["a bin32", repeated("c6 00010000", "07", 65_536), Buffer.alloc(65_536, 7)],
  ["a bin32 that would be shorter", hex("c6 00000001 07"), hex("07")],
  ["an empty fixarray", hex("90"), []],
  ["a fixarray", hex("92 01 a1 61"), [1, "a"]],
  ["an array16", repeated("dc 0010", "01", 16), Array(16).fill(1)],
  ["an array16 that would be shorter", hex("dc 0001 01"), [1]],
  ["an empty array16", hex("dc 0000"), []],
  ["an array32", repeated("dd 00010000", "c0", 65_536), Array(65_536).fill(null)],
  ["an array32 that would be shorter", hex("dd 00000001 01"), [1]],
  ["an empty map", hex("80"), new Map()],
  ["a fixmap", hex("81 a1 61 01"), new Map([["a", 1]])],
  ["a map16", hex("de 0001 a1 61 01"), new Map([["a", 1]])],
  ["an empty map16", hex("de 0000"), new Map()],
  ["a map32", hex("df 00000001 a1 61 01"), new Map([["a", 1]])],
  ["a map with a str8 key", hex("81 d9 01 61 01"), new Map([["a", 1]])],
  ["a map with a str16 key", hex("81 da 0001 61 01"), new Map([["a", 1]])],
  ["a map with a str32 key", hex("81 db 00000001 61 01"), new Map([["a", 1]])],
  ["a map with an empty key", hex("81 a0 01"), new Map([["", 1]])],
  ["a map that repeats a key", hex("82 a1 61 01 a1 61 02"), new Map([["a", 2]])],
];

describe("what other encoders write", () => {
  for (const [what, value, expected] of vectors) {
    test(`${what} is read`, () => {
      assert.deepEqual(decode(mapOf(value)), new Map([["v", expected]]));
    });
  }

  test("a body may be a map of any width", () => {
    for (const tag of ["81", "de 0001", "df 00000001"])
      assert.deepEqual(decode(Buffer.concat([hex(tag), hex("a1 61 01")])), new Map([["a", 1]]));
  });

  test("a body is only what lies between its bounds", () => {
    assert.deepEqual(decodeMap(hex("ffff 81 a1 61 01 ffff"), 2, 6), new Map([["a", 1]]));
  });

  test("text that is not UTF-8 is read as something, and ends nothing", () => {
    for (const text of ["a1 ff", "a2 c328", "a3 eda080", "a4 f0288cbc", "a1 80"])
      assert.equal(typeof decode(mapOf(hex(text))).get("v"), "string");
  });

  test("whatever a plain encoder makes of plain values is read as them", () => {
    const { plain } = fc.letrec<{ plain: Packable }>((tie) => ({
      plain: fc.oneof(
        { maxDepth: MAX_MAP_DEPTH - 2 },
        fc.oneof(fc.constant(null), fc.boolean(), fc.maxSafeInteger(), fc.double(), fc.string(), bytesOf(80)),
        fc.array(tie("plain"), { maxLength: 20 }),
        fc.array(fc.tuple(fc.string(), tie("plain")), { maxLength: 20 }).map((entries) => new Map(entries)),
      ),
    }));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), plain)), (entries) => {
        const map = new Map(entries);
        assert.deepEqual(decode(pack(map)), map);
      }),
    );
  });
});

describe("bodies that are refused", () => {
  function refused(bytes: Buffer, message?: RegExp): void {
    assert.throws(() => decode(bytes), refusal("bad-map", message), bytes.toString("hex").slice(0, 80));
  }

  test("a body that ends too early, wherever", () => {
    for (const [what, value] of vectors) {
      const whole = mapOf(value);
      const step = whole.length > 1000 ? 97 : 1;
      for (let end = 0; end < whole.length; end += step) {
        assert.throws(
          () => decodeMap(whole, 0, end),
          refusal("bad-map"),
          `${what}, ${end} of ${whole.length} bytes`,
        );
      }
    }
  });

  test("bytes behind the map, whatever they are", () => {
    for (const [, value] of vectors) {
      const whole = mapOf(value);
      refused(Buffer.concat([whole, hex("c0")]), /^1 bytes follow the map$/);
      refused(Buffer.concat([whole, whole]), /bytes follow the map$/);
    }
  });

  test("a body that is not a map", () => {
    refused(Buffer.alloc(0), /not a map/);
    for (const [what, value, expected] of vectors) {
      if (!(expected instanceof Map))
        assert.throws(() => decode(value), refusal("bad-map", /not a map/), what);
    }
  });

  /** Extensions, well formed and of a type that libraries know: timestamp, record, and others. */
  const extensions = ["d4 ff 00", "d4 72 40", "d5 72 4001", "d6 ff 00000000", "d7 ff 0000000000000000"]
    .concat(["d8 01 00000000000000000000000000000000", "c7 0c ff 000000000000000000000000", "c7 00 01"])
    .concat(["c8 0001 01 00", "c9 00000001 01 00", "d4 69 00", "d4 70 00", "c1"]);
  for (const extension of extensions) {
    test(`0x${extension} at any place`, () => {
      refused(mapOf(hex(extension)), RegExp(`0x${extension.slice(0, 2)}`));
      refused(mapOf(Buffer.concat([hex("91"), hex(extension)])), /not plain MessagePack/);
      refused(mapOf(Buffer.concat([hex("81 a1 61"), hex(extension)])), /not plain MessagePack/);
      refused(Buffer.concat([hex("81"), hex(extension), hex("01")]), /key that is not a string/);
      refused(hex(extension), /not a map/);
    });
  }

  test("a record that a library would read as an object", () => {
    refused(hex("d4 72 40 91 a1 61 01"));
    refused(mapOf(hex("d4 72 40 91 a1 61 01")));
  });

  test("a key that is not a string", () => {
    for (const [what, key, expected] of vectors) {
      const bytes = Buffer.concat([hex("81"), key, hex("01")]);
      if (typeof expected === "string") assert.deepEqual(decode(bytes), new Map([[expected, 1]]), what);
      else assert.throws(() => decode(bytes), refusal("bad-map", /key that is not a string/), what);
    }
  });

  test("arrays and maps that lie deeper in each other than 8 levels", () => {
    const shells: readonly [string, string][] = [
      ["91", "90"],
      ["dc 0001", "dc 0000"],
      ["dd 00000001", "dd 00000000"],
      ["81 a1 61", "80"],
      ["de 0001 a1 61", "de 0000"],
      ["df 00000001 a1 61", "df 00000000"],
    ];
    for (const [shell, innermost] of shells) {
      const nested = (depth: number) => mapOf(hex(shell.repeat(depth - 2) + innermost));
      decode(nested(MAX_MAP_DEPTH));
      refused(nested(MAX_MAP_DEPTH + 1), /deeper than 8/);
      refused(nested(10_000), /deeper than 8/);
    }
  });

  test("a scalar at the deepest level is fine", () => {
    decode(mapOf(hex(`${"91".repeat(MAX_MAP_DEPTH - 1)} 01`)));
    refused(mapOf(hex(`${"91".repeat(MAX_MAP_DEPTH)} 01`)), /deeper than 8/);
  });

  test("a huge count with a tiny body, without the time or the memory that it announces", () => {
    const announced = [
      "dd ffffffff",
      "dd ffffffff c0",
      "df ffffffff",
      "df ffffffff a0 c0",
      "dc ffff",
      "de ffff",
    ]
      .concat([
        "db ffffffff",
        "c6 ffffffff",
        "da ffff 61",
        "c5 ffff 61",
        "d9 ff",
        "c4 ff",
        "dd 7fffffff",
        "9f",
        "8f",
      ])
      .concat(["dd ffffffff".repeat(7), "dd 00ffffff".repeat(7), "df ffffffff a0".repeat(7)]);
    const before = process.memoryUsage();
    const start = performance.now();
    for (let round = 0; round < 200; round++) {
      for (const value of announced) refused(mapOf(hex(value)), /ends before/);
      refused(hex("df ffffffff"), /ends before/);
    }
    for (const value of announced) refused(Buffer.concat([mapOf(hex(value)), Buffer.alloc(65_000, 0xc1)]));
    assert.ok(performance.now() - start < 5000);
    const after = process.memoryUsage();
    assert.ok(
      after.heapTotal + after.arrayBuffers - before.heapTotal - before.arrayBuffers < 128 * 1024 * 1024,
    );
  });

  test("whatever the bytes are, they are read or refused as a bad map", () => {
    const tags = fc.constantFrom(...[0x81, 0x82, 0x91, 0xa1, 0xc0, 0xc4, 0xcb, 0xd9, 0xdc, 0xdd, 0xde, 0xdf]);
    const bytes = fc.array(fc.oneof(tags, fc.nat(255)), { maxLength: 60 });
    const check = (numbers: number[]) => {
      try {
        decode(Buffer.from([0x80 | (numbers.length & 15), ...numbers]));
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
        assert.equal(error.code, "bad-map");
      }
    };
    fc.assert(fc.property(bytes, check), { numRuns: 2000 });
  });
});

describe("what reading leaves behind", () => {
  test("a key named __proto__ is a key like any other", () => {
    const body = packEntries([
      ["__proto__", { polluted: true }],
      ["constructor", { prototype: { polluted: true } }],
      ["v", { ["__proto__"]: 7 }],
    ]);
    const map = decode(body);
    assert.deepEqual([...map.keys()], ["__proto__", "constructor", "v"]);
    assert.equal(Object.getPrototypeOf(map), Map.prototype);
    assert.deepEqual(map.get("__proto__"), new Map([["polluted", true]]));
    assert.equal("polluted" in {}, false);
    assert.equal("polluted" in map, false);
  });

  test("its values are its own: writing over the input does not change them, nor the other way round", () => {
    const input = pack({ bin: hex("01020304"), long: Buffer.alloc(5000, 5), text: "abc", list: [hex("06")] });
    const map = decode(input);
    const copy = Buffer.from(input);
    const { bin, long, list } = Object.fromEntries(map);
    input.fill(0xff);
    assert.deepEqual(
      [bin, long, map.get("text"), list],
      [hex("01020304"), Buffer.alloc(5000, 5), "abc", [hex("06")]],
    );
    input.set(copy);
    for (const bytes of [bin, long, (list as unknown[])[0]]) (bytes as Buffer).fill(0xee);
    assert.deepEqual(input, copy);
  });

  test("its bytes keep no memory but their own", () => {
    const { bin, long } = Object.fromEntries(
      decode(pack({ bin: hex("01020304"), long: Buffer.alloc(5000, 5) })),
    );
    assert.deepEqual(
      [bin, long].map((bytes) => (bytes as Uint8Array).buffer.byteLength),
      [4, 5000],
    );
  });

  test("a refused body does not trouble the next", () => {
    for (const [, value] of vectors.slice(0, 20)) {
      assert.throws(() => decode(mapOf(hex("91 d4 72 40"))));
      assert.deepEqual([...decode(mapOf(value)).keys()], ["v"]);
    }
  });
});

describe("what is written", () => {
  const written: readonly [string, { readonly [key: string]: MapValue | undefined }, string][] = [
    ["an empty map", {}, "80"],
    [
      "small numbers in their shortest form",
      { a: 0, b: -1, c: 200, d: 65_535 },
      "84 a161 00 a162 ff a163 ccc8 a164 cdffff",
    ],
    ["numbers of 32 bits as integers", { a: 4_294_967_295 }, "81 a161 ce ffffffff"],
    ["numbers above 32 bits as float64", { a: 4_294_967_296 }, "81 a161 cb 41f0000000000000"],
    ["fractions as float64", { a: 1.1 }, "81 a161 cb 3ff199999999999a"],
    ["true and false", { a: true, b: false }, "82 a161 c3 a162 c2"],
    ["text as str", { a: "é" }, "81 a161 a2 c3a9"],
    ["bytes as bin", { a: hex("0102"), b: new Uint8Array([3]) }, "82 a161 c402 0102 a162 c401 03"],
    ["lists and maps", { a: [1, { b: "x" }] }, "81 a161 92 01 81 a162 a178"],
    [
      "no key whose value is undefined, at any depth",
      { a: undefined, b: [{ c: undefined, d: 1 }] },
      "81 a162 91 81 a164 01",
    ],
  ];
  for (const [what, map, expected] of written) {
    test(what, () => assert.deepEqual(encodeMap(map), hex(expected)));
  }

  test("maps and lists of more than 15 are written so that any language reads them", () => {
    const keys = Array.from({ length: 16 }, (_, index) => `k${index}`);
    const map = Object.fromEntries(keys.map((key) => [key, 1]));
    assert.deepEqual(encodeMap(map), pack(map));
    const list = { list: Array<number>(300).fill(1) };
    assert.deepEqual(encodeMap(list), pack(list));
  });

  test("what was written is read as it was", () => {
    // The sign of zero is not kept.
    const doubles = fc.double({ noNaN: true }).map((number) => number + 0);
    const scalars = fc.oneof(fc.boolean(), fc.maxSafeInteger(), doubles, fc.string(), bytesOf(40));
    const { value } = fc.letrec<{ value: MapValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: MAX_MAP_DEPTH - 2 },
        scalars,
        fc.array(tie("value")),
        fc.dictionary(fc.string(), tie("value"), { noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value, { noNullPrototype: true }), (map) => {
        assert.deepEqual(decode(encodeMap(map)), asMap(map));
      }),
    );
  });
});

function bytesOf(maxLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
}

/** The value as it is read: maps for objects, and no undefined. */
function asMap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asMap);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return new Map(Object.entries(value).map(([key, inner]) => [key, asMap(inner)]));
}

test("the second encoder, which these tests lean on, writes the specification's own forms", () => {
  const forms: readonly [Packable, string][] = [
    [[null, true, false, 0, 127, 128, 255, 256, 65_536], "99 c0 c3 c2 00 7f cc80 ccff cd0100 ce00010000"],
    [[-1, -32, -33, 2 ** 32, 0.5], "95 ff e0 d3ffffffffffffffdf cf0000000100000000 cb3fe0000000000000"],
    [["", "a".repeat(31), "a".repeat(32)], `93 a0 bf${"61".repeat(31)} d920${"61".repeat(32)}`],
    [{ a: hex("07"), b: new Map([["c", []]]) }, "82 a161 c40107 a162 81 a163 90"],
    [new Raw(float64(1)), "cb3ff0000000000000"],
  ];
  for (const [value, expected] of forms) assert.deepEqual(pack(value), hex(expected));
});
