/** The prefix table, of lines `prefix=manager`: what clients of a manager say first. */

/** The longest prefix: at most so much of what a client says has to come until its manager is decided. */
export const MAX_PREFIX_BYTES = 64;

export interface ManagerPrefix {
  /** Empty: everything that no other prefix is found in. */
  readonly prefix: Buffer;
  readonly manager: string;
}

const HEX = /^0x((?:[\da-f]{2})+)$/i;

/**
 * Reads the table.
 *
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parsePrefixes(lines: readonly string[]): readonly ManagerPrefix[] {
  const seen = new Set<string>();
  return lines.map((line) => {
    const parsed = parsePrefix(line);
    const key = parsed.prefix.toString("hex");
    if (seen.has(key)) throw new Error(`'${line}' has the prefix of another entry; give each prefix once`);
    seen.add(key);
    return parsed;
  });
}

/**
 * Reads a line. The prefix is text, taken as UTF-8, or `0x` and hexadecimal digits, two for each byte; it may be empty.
 * No manager's name has a `=`, so the last one divides.
 *
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parsePrefix(line: string): ManagerPrefix {
  const mark = line.lastIndexOf("=");
  if (mark === -1) throw new Error(`'${line}' is not a prefix of a manager; use prefix=manager`);
  const prefix = readBytes(line.slice(0, mark));
  if (prefix.length > MAX_PREFIX_BYTES) {
    throw new Error(`'${line}' has a prefix of ${prefix.length} bytes; ${MAX_PREFIX_BYTES} are the most`);
  }
  return { prefix, manager: line.slice(mark + 1) };
}

function readBytes(text: string): Buffer {
  if (!/^0x/i.test(text)) return Buffer.from(text);
  const digits = HEX.exec(text)?.[1];
  if (digits === undefined) {
    throw new Error(
      `'${text}' is not a prefix; 0x must have hexadecimal digits behind it, two for each byte`,
    );
  }
  return Buffer.from(digits, "hex");
}
