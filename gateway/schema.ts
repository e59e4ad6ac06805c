/**
 * How settings are read: each value comes as text from a flag, a variable or a URL, or as it is from a JSON file, and
 * either way must have the right type and lie within its bounds.
 */

import { z } from "zod";

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const HOUR_MS = 3_600_000;

/** A whole number from `min` to `max`. */
export function whole(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  const fromText = (value: unknown) =>
    typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return z.preprocess(fromText, z.number(message).int(message).min(min, message).max(max, message));
}

/** `true` or `false`. */
export function flag() {
  const fromText = (value: unknown) => (value === "true" ? true : value === "false" ? false : value);
  return z.preprocess(fromText, z.boolean("must be true or false"));
}

export function oneOf<const T extends readonly string[]>(values: T) {
  return z.enum(values, `must be one of ${values.join(", ")}`);
}

/** Text of `min` to `max` characters. */
export function text(min: number, max: number) {
  const message = `must have ${min} to ${max} characters`;
  return z.string("must be text").min(min, message).max(max, message);
}

/** What `parse` makes of a text; the error that it throws says what is wrong. */
export function parsed<T>(parse: (value: string) => T) {
  return parsedFrom(z.string("must be text"), parse);
}

/** What `parse` makes of what `schema` has read; the error that it throws says what is wrong. */
export function parsedFrom<S, T>(schema: z.ZodType<S>, parse: (value: S) => T) {
  return schema.transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });
}

const MAX_ENTRIES = 256;

/** A list, which a flag, a variable or a URL may spell with commas. */
export function listOf<T>(item: z.ZodType<T>, min = 1) {
  const split = (value: unknown) =>
    typeof value === "string" ? (value === "" ? [] : value.split(",")) : value;
  const list = z.array(item, "must be a list").max(MAX_ENTRIES, `must have at most ${MAX_ENTRIES} entries`);
  return z.preprocess(split, min > 0 ? list.min(min, "must not be empty") : list);
}
