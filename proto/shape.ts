/**
 * Shapes: what a map body must hold, as data, and the check that turns a decoded map into a typed value.
 * Unknown keys are ignored; a missing key that is not optional, or a value of another type or out of its
 * range, is the peer's fault (docs/protocol.md, "Maps").
 */

import { ProtocolError } from "./protocol-error.ts";

/** Checks one value. `path` names it in the message, as in `Register.endpoints[0].port`. */
export type Field<T> = (value: unknown, path: string) => T;

/** A field that may be missing, or nil, which is the same. */
export interface OptionalField<T> {
  readonly optional: Field<T>;
}

type Shape = Readonly<Record<string, Field<unknown> | OptionalField<unknown>>>;

type RequiredKeys<S extends Shape> = { [K in keyof S]: S[K] extends Field<unknown> ? K : never }[keyof S];
type OptionalKeys<S extends Shape> = Exclude<keyof S, RequiredKeys<S>>;

/** The value that a shape describes. */
export type Shaped<S extends Shape> = {
  readonly [K in RequiredKeys<S>]: S[K] extends Field<infer T> ? T : never;
} & {
  readonly [K in OptionalKeys<S>]?: (S[K] extends OptionalField<infer T> ? T : never) | undefined;
};

/** A whole number from `min` to `max`, whatever MessagePack number it came as. */
export function integer(min: number, max: number): Field<number> {
  return (value, path) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw mismatch(path, `a whole number from ${min} to ${max}`, value);
    }
    return value;
  };
}

/** A finite number that is not negative. */
export const quantity: Field<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw mismatch(path, "a number that is not negative", value);
  }
  return value;
};

/** A whole number from 0 to 2^53 - 1. */
export const count: Field<number> = integer(0, Number.MAX_SAFE_INTEGER);

/** A string of at most `maxLength` UTF-16 units. */
export function text(maxLength: number): Field<string> {
  return (value, path) => {
    if (typeof value !== "string" || value.length > maxLength) {
      throw mismatch(path, `a string of at most ${maxLength} characters`, value);
    }
    return value;
  };
}

export const flag: Field<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw mismatch(path, "true or false", value);
  return value;
};

/** A *bin* of exactly `length` bytes. */
export function bin(length: number): Field<Uint8Array> {
  return (value, path) => {
    if (!(value instanceof Uint8Array) || value.length !== length) {
      throw mismatch(path, `a bin of ${length} bytes`, value);
    }
    return value;
  };
}

export function binUpTo(maxLength: number): Field<Uint8Array> {
  return (value, path) => {
    if (!(value instanceof Uint8Array) || value.length > maxLength) {
      throw mismatch(path, `a bin of at most ${maxLength} bytes`, value);
    }
    return value;
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Field<T> {
  return (value, path) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw mismatch(path, `one of ${values.join(", ")}`, value);
    return found;
  };
}

/** An array of at most `maxLength` values. */
export function list<T>(item: Field<T>, maxLength: number): Field<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > maxLength) {
      throw mismatch(path, `an array of at most ${maxLength} values`, value);
    }
    return value.map((inner, index) => item(inner, `${path}[${index}]`));
  };
}

/** A map of at most `maxSize` keys, whatever they are called. */
export function record<T>(item: Field<T>, maxSize: number): Field<Readonly<Record<string, T>>> {
  return (value, path) => {
    if (!(value instanceof Map) || value.size > maxSize) {
      throw mismatch(path, `a map of at most ${maxSize} keys`, value);
    }
    const entries = [...(value as ReadonlyMap<string, unknown>)];
    return Object.fromEntries(entries.map(([key, inner]) => [key, item(inner, `${path}.${key}`)]));
  };
}

/** A key that may be missing. Nil is how many encoders write that. Present, it must fit like any other. */
export function optional<T>(field: Field<T>): OptionalField<T> {
  return { optional: field };
}

/** A map with the keys of `shape`. */
export function shape<const S extends Shape>(shape: S): Field<Shaped<S>> {
  const entries = Object.entries(shape);
  return (value, path) => {
    if (!(value instanceof Map)) throw mismatch(path, "a map", value);
    const shaped: Record<string, unknown> = {};
    for (const [key, field] of entries) {
      const inner: unknown = value.get(key);
      if (typeof field === "function") {
        shaped[key] = field(inner, `${path}.${key}`);
      } else if (inner !== undefined && inner !== null) {
        shaped[key] = field.optional(inner, `${path}.${key}`);
      }
    }
    return shaped as Shaped<S>;
  };
}

function mismatch(path: string, wanted: string, value: unknown): ProtocolError {
  const got = value === undefined ? "it is missing" : `it is ${describe(value)}`;
  return new ProtocolError("bad-body", `${path} must be ${wanted}; ${got}`);
}

function describe(value: unknown): string {
  if (value === null) return "nil";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Map) return "a map";
  if (value instanceof Uint8Array) return `a bin of ${value.length} bytes`;
  if (typeof value === "string") return `a string of ${value.length} characters`;
  return String(value);
}
