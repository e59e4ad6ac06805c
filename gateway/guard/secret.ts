/** The secret that tickets are signed with, as people write it: hex, base64 or plain text. */

/** As long as the MAC that it makes; a shorter one could be guessed first (RFC 7518, section 3.2). */
export const MIN_SECRET_BYTES = 32;

const HEX = /^[\da-f]+$/i;
const PREFIXED = /^(hex|base64|text):(.*)$/s;

/**
 * Reads a secret. `hex:`, `base64:` and `text:` before it say how it is written. Without one of them, digits
 * that are all hexadecimal are hex; what is base64 (either alphabet, padded or not) for at least 32 bytes is
 * base64; the rest is text, taken as it is. Blanks and line ends around it do not count.
 *
 * @throws Error that says what is wrong, and never the secret
 */
export function readSecret(text: string): Uint8Array {
  const [, kind, prefixed] = PREFIXED.exec(text.trim()) ?? [];
  const bytes = decode(prefixed ?? text.trim(), kind);
  if (bytes.length >= MIN_SECRET_BYTES) return bytes;
  throw new Error(
    `a ticket secret must have at least ${MIN_SECRET_BYTES} bytes, and this one has ${bytes.length}; ` +
      "make one with: openssl rand -hex 32",
  );
}

/** @throws RangeError for a secret that is too short to sign with */
export function assertSecret(secret: Uint8Array): void {
  if (secret.length >= MIN_SECRET_BYTES) return;
  throw new RangeError(`a ticket secret must have at least ${MIN_SECRET_BYTES} bytes`);
}

function decode(text: string, kind: string | undefined): Uint8Array {
  if (kind === "hex" || (kind === undefined && HEX.test(text))) return decodeHex(text);
  if (kind === "base64") return decodeBase64(text) ?? wrong("is not base64");
  const guessed = kind === undefined ? decodeBase64(text) : undefined;
  return guessed !== undefined && guessed.length >= MIN_SECRET_BYTES ? guessed : Buffer.from(text);
}

function decodeHex(text: string): Uint8Array {
  if (!HEX.test(text) || text.length % 2 !== 0) return wrong("is not hex: two digits make a byte");
  return Buffer.from(text, "hex");
}

/** In either alphabet; undefined for text with any other character, or with bits to spare that are set. */
function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  const unpadded = text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return bytes.toString("base64url") === unpadded ? bytes : undefined;
}

function wrong(what: string): never {
  throw new Error(`a ticket secret ${what}`);
}
