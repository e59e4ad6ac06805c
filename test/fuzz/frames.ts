/**
 * What a hostile or broken peer sends: every frame type with every fault that its header and its body can
 * have, one by one; and ways to spoil good bytes at random.
 */

import {
  type BodyBounds,
  FromGateway,
  FromManager,
  fromGatewayBounds,
  fromManagerBounds,
} from "../../proto/frame.ts";
import type { ProtocolErrorCode } from "../../proto/protocol-error.ts";
import {
  type BodySpec,
  gatewayBodies,
  type KeySpec,
  managerBodies,
  sample,
  spoiled,
} from "../proto/body-specs.ts";
import { type Packable, pack, Raw } from "../proto/msgpack.ts";
import { badNames } from "../proto/names.ts";
import { frame, header, hex, sessionFrame } from "../proto/support.ts";
import type { Random } from "./random.ts";

/** Bytes that must end a link, and the code that they must end it with. */
export interface Fault {
  readonly name: string;
  readonly bytes: Buffer;
  readonly code: ProtocolErrorCode;
}

/** Every fault of what a gateway sends. */
export function gatewayFaults(): Fault[] {
  return [
    ...faultsOf(FromGateway, fromGatewayBounds, gatewayBodies),
    ...nameFaults("BindRefused", FromGateway.BindRefused),
  ];
}

/** Every fault of what a manager sends. */
export function managerFaults(): Fault[] {
  return [
    ...faultsOf(FromManager, fromManagerBounds, managerBodies),
    ...nameFaults("Bind", FromManager.Bind).filter(({ bytes }) => bytes.length > 12),
    ...nameFaults("GroupAdd", FromManager.GroupAdd),
    ...nameFaults("GroupRemove", FromManager.GroupRemove),
    ...prefixFaults("MsgGroup", FromManager.MsgGroup),
    ...prefixFaults("MsgUser", FromManager.MsgUser),
    ...countFaults(),
  ];
}

function faultsOf(
  types: Readonly<Record<string, number>>,
  bounds: ReadonlyMap<number, BodyBounds>,
  bodies: Readonly<Record<string, BodySpec>>,
): Fault[] {
  const ofHeaders = [...bounds].flatMap(([type, bound]) => headerFaults(type, bound));
  const ofBodies = Object.entries(bodies).flatMap(([name, { keys }]) => {
    const type = types[name] ?? -1;
    return bodyFaults(type, bounds.get(type), keys);
  });
  return [...unknownTypes(bounds), ...ofHeaders, ...ofBodies];
}

/** A session, and behind it what is no name. */
function nameFaults(frameName: string, type: number): Fault[] {
  return badNames.map(({ name, bytes }) => ({
    name: `${frameName} with ${name} for a name`,
    bytes: sessionFrame(type, 0x00100000, bytes),
    code: "bad-body",
  }));
}

/** A name behind its length, which is none, or ends behind the frame. */
function prefixFaults(frameName: string, type: number): Fault[] {
  const badLengths = ["01", "02 61", "80 61", "ff 61"].map((digits) => ({ name: digits, body: hex(digits) }));
  const bodies = badNames.map(({ name, bytes }) => ({
    name,
    body: Buffer.concat([Buffer.from([bytes.length]), bytes, hex("00")]),
  }));
  return [...badLengths, ...bodies].map(({ name, body }) => ({
    name: `${frameName} with ${name} for a name`,
    bytes: frame(type, body),
    code: "bad-body",
  }));
}

/** For more sessions than follow. */
function countFaults(): Fault[] {
  const bodies = ["01000000", "01000000 000010", "02000000 00001000 0000", "00000040 00001000", "ffffffff"];
  return bodies.map((digits) => ({
    name: `MsgMany of ${digits}`,
    bytes: frame(FromManager.MsgMany, hex(digits)),
    code: "bad-body",
  }));
}

function unknownTypes(bounds: ReadonlyMap<number, BodyBounds>): Fault[] {
  const types = [4, 5, 6, 15, 21, 32, 38, 39, 40, 255, 256, 0x10000000, 0x80000000, 0xffffffff];
  return types
    .filter((type) => !bounds.has(type))
    .map((type) => ({ name: `type ${type}`, bytes: header(type, 8), code: "unknown-type" }));
}

/** Lengths under the least and over the most, with some bytes behind that would be the body. */
function headerFaults(type: number, { name, min, max }: BodyBounds): Fault[] {
  const tooShort = Array.from({ length: Math.min(min, 8) }, (_, length) => length);
  const tooLong = [max + 1, 0x7fffffff, 0x80000000, 0xffffffff].filter((length) => length <= 0xffffffff);
  const over: ProtocolErrorCode = min === max ? "bad-length" : "frame-too-big";
  const fault = (length: number, code: ProtocolErrorCode): Fault => {
    const bytes = Buffer.concat([header(type, length), Buffer.alloc(Math.min(length, 40))]);
    return { name: `${name} that announces ${length}`, bytes, code };
  };
  return [
    ...tooShort.map((length) => fault(length, "bad-length")),
    ...tooLong.map((length) => fault(length, over)),
  ];
}

/** Things that no map may hold, and ways for one not to end where its frame does. */
const badValues = [
  "c1",
  "d4 72 40",
  "d6 ff 00000000",
  "c7 01 05 00",
  "c9 00000000 01",
  "dd ffffffff",
  "df 00ffffff",
]
  .concat(["db ffffffff", "c6 7fffffff", `${"91".repeat(8)} c0`, "81 01 c0", "81 c4 00 c0", "81 a1", "a5 61"])
  .map((digits) => new Raw(hex(digits)));

function bodyFaults(type: number, bound: BodyBounds | undefined, keys: BodySpec["keys"]): Fault[] {
  const name = bound?.name ?? "";
  const session = /^(CL|Drop|Handoff)/.test(name) ? hex("00001000") : hex("");
  const body = (map: Uint8Array) => frame(type, Buffer.concat([session, map]));
  const badMap = (what: string, map: Uint8Array): Fault => ({
    name: `${name} ${what}`,
    bytes: body(map),
    code: "bad-map",
  });
  const whole = pack(sample(keys));
  const cut = Array.from({ length: whole.length - 1 }, (_, index) => index + 1);
  const withValue = (value: Packable) => pack({ ...sample(keys), later: value });
  return [
    ...cut.map((length) => badMap(`cut to ${length} bytes`, whole.subarray(0, length))),
    badMap("with a byte behind it", Buffer.concat([whole, hex("c0")])),
    badMap("twice", Buffer.concat([whole, whole])),
    badMap("that is an array", pack([sample(keys)])),
    badMap("that is a number", hex("07")),
    ...badValues.map((value) => badMap(`with 0x${value.bytes.toString("hex")}`, withValue(value))),
    ...spoiled(keys).map(
      (map): Fault => ({ name: `${name} ${told(map)}`, bytes: body(pack(map)), code: "bad-body" }),
    ),
  ];
}

function told(map: object): string {
  return JSON.stringify(map, (_, value) => (typeof value === "number" ? String(value) : value)).slice(0, 200);
}

const packedFits = new WeakMap<KeySpec, readonly Raw[]>();

/** The values that fit, packed once for all times. */
function fitsOf(key: KeySpec): readonly Raw[] {
  const packed = packedFits.get(key) ?? key.fits.map((fit) => new Raw(pack(fit)));
  packedFits.set(key, packed);
  return packed;
}

/** A body with values that fit, picked at random, some of them at the bounds. */
export function anyBody(random: Random, { keys }: BodySpec): Buffer {
  const entries = Object.entries(keys).filter(([, { optional }]) => !optional || random.chance(0.5));
  const picked = entries.map(([name, key]): [string, Packable] => [name, random.pick(fitsOf(key))]);
  if (random.chance(0.1))
    picked.push(["later", random.pick<Packable>([null, [1, [2]], { deep: { deeper: -1 } }, 0.5])]);
  return pack(new Map(picked));
}

/** Spoils a copy of `bytes` in one or a few ways. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let mutated = Buffer.from(bytes);
  for (let left = random.between(1, 3); left > 0 && mutated.length > 0; left--)
    mutated = mutateOnce(random, mutated);
  return mutated;
}

function mutateOnce(random: Random, bytes: Buffer): Buffer<ArrayBuffer> {
  const from = random.below(bytes.length);
  const to = Math.min(bytes.length, from + random.between(1, 24));
  const before = bytes.subarray(0, from);
  switch (random.below(6)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(from) ^ (1 << random.below(8)), from);
      return flipped;
    }
    case 1: {
      const overwritten = Buffer.from(bytes);
      overwritten.writeUInt8(random.pick([0, 1, 0x7f, 0x80, 0xc1, 0xff]), from);
      return overwritten;
    }
    case 2: // A piece is lost.
      return Buffer.concat([before, bytes.subarray(to)]);
    case 3: // A piece comes twice.
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
    case 4: // Something comes between.
      return Buffer.concat([before, random.bytes(random.between(1, 12)), bytes.subarray(from)]);
    default: // The rest never comes.
      return Buffer.from(before);
  }
}

/** How the stream cuts what is sent. */
type PieceSize = (random: Random) => number;

const pieceSizes: readonly PieceSize[] = [
  () => Number.POSITIVE_INFINITY,
  (random) => random.between(1, 4),
  (random) => random.between(1, 40),
  (random) => random.between(20, 400),
  (random) => random.between(200, 8000),
];

/** `bytes` in pieces of random sizes. */
export function* pieces(random: Random, bytes: Buffer): Generator<Buffer> {
  const size = bytes.length > 4000 ? random.pick(pieceSizes.slice(3)) : random.pick(pieceSizes);
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + size(random));
    yield bytes.subarray(from, to);
    from = to;
  }
}
