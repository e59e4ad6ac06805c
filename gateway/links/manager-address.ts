/**
 * A manager's name and where it is: `battle=tcp://10.0.0.5:7390`. The only one needs no name. A name has no `:`, so that
 * a path with a `=` in it is not taken for one.
 */

import { formatLinkUrl, type LinkAddress, parseLinkUrl } from "../../proto/link-url.ts";

/** The most managers that a gateway has. */
export const MAX_MANAGERS = 64;

/** What the only manager is called where it is given no name. */
const ONLY_NAME = "manager";

const NAME = /^[\w.-]{1,64}$/;

/** Where another manager seems to begin behind a comma, which parts them in a variable alone. */
const ANOTHER = /,([\w.-]+=)?(unix|tcp|tls):/;

export interface ManagerAddress {
  readonly name: string;
  readonly address: LinkAddress;
}

/** One as it was given, perhaps without a name. */
interface Given {
  readonly name: string | undefined;
  readonly address: LinkAddress;
}

/**
 * Reads the managers of a gateway.
 *
 * @param given one or more, each a link's address with `name=` before it or without
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parseManagers(given: readonly string[]): readonly [ManagerAddress, ...ManagerAddress[]] {
  const [first, ...others] = given.map(parseManager);
  if (first === undefined) throw new Error("must not be empty");
  if (others.length >= MAX_MANAGERS) throw new Error(`must have at most ${MAX_MANAGERS} entries`);
  if (others.length === 0) return [{ ...first, name: first.name ?? ONLY_NAME }];
  const managers = [named(first), ...others.map(named)] as const;
  checkDistinct(managers);
  return managers;
}

function parseManager(text: string): Given {
  if (ANOTHER.test(text)) throw new Error(`'${text}' are several managers; give each one by itself`);
  const mark = text.search(/[=:]/);
  if (text[mark] !== "=") return { name: undefined, address: parseLinkUrl(text) };
  const name = text.slice(0, mark);
  if (!NAME.test(name)) {
    throw new Error(`'${name}' is not a manager's name; it has 1 to 64 letters, digits, '.', '_' and '-'`);
  }
  return { name, address: parseLinkUrl(text.slice(mark + 1)) };
}

function named({ name, address }: Given): ManagerAddress {
  if (name !== undefined) return { name, address };
  const url = formatLinkUrl(address);
  throw new Error(`'${url}' has no name; of several managers each must have one: name=${url}`);
}

/** No two share a name, or a place: there they would take a gateway's registration from each other in turn. */
function checkDistinct(managers: readonly ManagerAddress[]): void {
  const names = new Set<string>();
  const places = new Map<string, string>();
  for (const { name, address } of managers) {
    if (names.has(name)) throw new Error(`two managers are named '${name}'; give each a name of its own`);
    names.add(name);
    const url = formatLinkUrl(address);
    const other = places.get(url);
    if (other !== undefined)
      throw new Error(`'${other}' and '${name}' are both at ${url}; name one manager once`);
    places.set(url, name);
  }
}
