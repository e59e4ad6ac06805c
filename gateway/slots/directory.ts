/**
 * Who is behind a session: the user that it is bound to, and the groups that it is in. Kept beside the sessions by name,
 * so that what is for a user or a group finds its sessions at once. A name is there as long as it has a session; to come
 * and to go costs the same whatever the size of a group.
 */

import type { Slot } from "./slot.ts";

/** What becomes of a user's second session. */
export type UserPolicy = "allow" | "kick-old" | "refuse-new";

export interface DirectoryLimits {
  /** The most groups that a session may be in. */
  readonly maxGroupsPerSession: number;
  /** `allow`: it is one more. `kick-old`: it takes the place of the first. `refuse-new`: it is not bound. */
  readonly userPolicy: UserPolicy;
}

/** What came of adding a session to a group: it was in it already, or is in as many as it may. */
export type Addition = "added" | "there" | "full";

/** The sessions of one name. The name is kept once, however many there are. */
interface Entry {
  readonly name: string;
  readonly slots: Set<Slot>;
}

const NOBODY: ReadonlySet<Slot> = new Set();

export class Directory {
  readonly #limits: DirectoryLimits;
  readonly #replaced: (slot: Slot) => void;
  readonly #users = new Map<string, Entry>();
  readonly #groups = new Map<string, Entry>();

  /** @param replaced ends a session whose user has another one now; it must release it */
  constructor(limits: DirectoryLimits, replaced: (slot: Slot) => void) {
    this.#limits = limits;
    this.#replaced = replaced;
  }

  /** How many users and groups there are. */
  get userCount(): number {
    return this.#users.size;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  /** The sessions of a user. What is done with them may make them leave. */
  user(name: string): ReadonlySet<Slot> {
    return this.#users.get(name)?.slots ?? NOBODY;
  }

  /** The sessions in a group. What is done with them may make them leave. */
  group(name: string): ReadonlySet<Slot> {
    return this.#groups.get(name)?.slots ?? NOBODY;
  }

  /** Whether a session of this user's would not be bound. */
  isTaken(user: string): boolean {
    return this.#limits.userPolicy === "refuse-new" && this.#users.has(user);
  }

  /**
   * Binds a session to a user, and to no other any more.
   *
   * @param user empty: to nobody
   * @returns false when the user has a session that is to stay the only one: then this one is bound to nobody
   */
  bind(slot: Slot, user: string): boolean {
    this.#unbind(slot);
    if (user === "") return true;
    if (this.isTaken(user)) return false;
    if (this.#limits.userPolicy === "kick-old")
      for (const other of [...this.user(user)]) this.#replaced(other);
    slot.user = enter(this.#users, user, slot);
    return true;
  }

  /** Puts a session into a group. */
  add(slot: Slot, group: string): Addition {
    slot.groups ??= new Set();
    if (slot.groups.has(group)) return "there";
    if (slot.groups.size >= this.#limits.maxGroupsPerSession) return "full";
    slot.groups.add(enter(this.#groups, group, slot));
    return "added";
  }

  /** Takes a session out of a group, if it is in it. */
  remove(slot: Slot, group: string): void {
    if (slot.groups?.delete(group) === true) leave(this.#groups, group, slot);
  }

  /** Forgets a session: it is nobody's, and in no group. */
  release(slot: Slot): void {
    this.#unbind(slot);
    for (const group of slot.groups ?? []) leave(this.#groups, group, slot);
    slot.groups = undefined;
  }

  #unbind(slot: Slot): void {
    if (slot.user !== undefined) leave(this.#users, slot.user, slot);
    slot.user = undefined;
  }
}

/** Notes a session under a name; gives the name as it is kept. */
function enter(entries: Map<string, Entry>, name: string, slot: Slot): string {
  let entry = entries.get(name);
  if (entry === undefined) {
    entry = { name, slots: new Set() };
    entries.set(name, entry);
  }
  entry.slots.add(slot);
  return entry.name;
}

function leave(entries: Map<string, Entry>, name: string, slot: Slot): void {
  const entry = entries.get(name);
  if (entry?.slots.delete(slot) === true && entry.slots.size === 0) entries.delete(name);
}
