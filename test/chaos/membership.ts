/**
 * Who is called what: the groups that each session is in, and its user. Kept by the logic of a chaos run's manager, and
 * again by whoever checks it, beside what ManagerServer and the gateway keep. Users and groups are numbers here; on the
 * link they have names, and a user and a group of one number have the same.
 */

/** What a session is called. A user of 0 is nobody. */
export interface Names {
  readonly groups: ReadonlySet<number>;
  readonly user: number;
}

export const NO_NAMES: Names = { groups: new Set(), user: 0 };

const PREFIX = "équipe ";

export function nameOf(number: number): string {
  return `${PREFIX}${number}`;
}

/** The number of a name; NaN for one that `nameOf` never gave. */
export function numberOf(name: string): number {
  return name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : Number.NaN;
}

/** What a session is called, as a manager knows it. */
export function namesOf({
  groups,
  user,
}: {
  readonly groups: ReadonlySet<string>;
  readonly user?: string | undefined;
}): Names {
  return {
    groups: new Set([...groups].map(numberOf)),
    user: user === undefined ? 0 : numberOf(user),
  };
}

export function tellNames({ groups, user }: Names): string {
  return `user ${user} in groups ${[...groups].sort((a, b) => a - b)}`;
}

/** The names of one that is in another group besides, in one group less, and of another user. */
export function withGroup({ groups, user }: Names, group: number): Names {
  return { groups: new Set([...groups, group]), user };
}

export function withoutGroup({ groups, user }: Names, group: number): Names {
  return { groups: new Set([...groups].filter((other) => other !== group)), user };
}

export function withUser({ groups }: Names, user: number): Names {
  return { groups, user };
}

const NO_SESSIONS: ReadonlySet<number> = new Set();

export class Membership {
  readonly #names = new Map<number, Names>();
  readonly #groups = new Map<number, Set<number>>();
  readonly #users = new Map<number, Set<number>>();

  /** The sessions of a group, and of a user. */
  group(group: number): ReadonlySet<number> {
    return this.#groups.get(group) ?? NO_SESSIONS;
  }

  user(user: number): ReadonlySet<number> {
    return this.#users.get(user) ?? NO_SESSIONS;
  }

  /** What a session is called; what it is called later is another object. */
  of(session: number): Names {
    return this.#names.get(session) ?? NO_NAMES;
  }

  /** A session is called so from here on. */
  set(session: number, names: Names): void {
    const { groups, user } = this.of(session);
    for (const group of groups) if (!names.groups.has(group)) this.#groups.get(group)?.delete(session);
    for (const group of names.groups) put(this.#groups, group, session);
    this.#users.get(user)?.delete(session);
    if (names.user !== 0) put(this.#users, names.user, session);
    this.#names.set(session, names);
  }

  /** A session is there no longer. */
  forget(session: number): void {
    this.set(session, NO_NAMES);
    this.#names.delete(session);
  }
}

function put(index: Map<number, Set<number>>, name: number, session: number): void {
  const sessions = index.get(name);
  if (sessions === undefined) index.set(name, new Set([session]));
  else sessions.add(session);
}
