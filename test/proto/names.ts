/** Names of users and groups, and bytes that are none. */

import fc from "fast-check";
import { hex } from "./support.ts";

/** Any name: 1 to 128 bytes of UTF-8, sometimes as many as may be. */
export const anyName: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 30 }),
  fc.constantFrom("x".repeat(128), "é".repeat(64), "\ufeffmarked", "\0", "room:7"),
);

/** Bytes that are no name, where one must stand. */
export const badNames: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: "nothing", bytes: Buffer.alloc(0) },
  { name: "129 bytes", bytes: Buffer.alloc(129, "x") },
  { name: "65 characters of two bytes", bytes: Buffer.from("é".repeat(65)) },
  { name: "a byte that is never UTF-8", bytes: hex("61 ff") },
  { name: "a character that is cut", bytes: hex("61 c3") },
  { name: "a second byte alone", bytes: hex("a9") },
  { name: "an overlong slash", bytes: hex("c0 af") },
  { name: "half a surrogate pair", bytes: hex("ed a0 80") },
  { name: "a character beyond all", bytes: hex("f4 90 80 80") },
];
