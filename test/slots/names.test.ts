/** Sessions by their users and groups: who gets what is sent to a name, and what becomes of a name when a session ends. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Encoder } from "../../gateway/framing/encoder.ts";
import type { UserPolicy } from "../../gateway/slots/directory.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { Sessions } from "../../gateway/slots/sessions.ts";
import type { Slot } from "../../gateway/slots/slot.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { GAME, LIMITS, unacknowledged } from "../helpers/sessions.ts";
import { delivered, startSessions } from "./support.ts";

interface SetUp {
  readonly capacity?: number;
  readonly userPolicy?: UserPolicy;
}

/** Sessions, what their router was told, and clients for them. A ticket is the name of its user. */
function setUp({ capacity = 6, userPolicy = "allow" }: SetUp = {}) {
  const joined = ({ session, user, groups }: Slot) =>
    all.told.push(`join ${session} ${user ?? "-"} [${[...(groups ?? [])]}]`);
  const all = startSessions({
    capacity,
    limits: { userPolicy },
    tickets: { check: (token) => ({ user: `${token}`, expiresAtMs: 0 }) },
    router: { joined, message() {} },
  });
  const { sessions } = all;
  const arrive = (client: FakeConnection, ticket: "off" | "first-message" | "query") => {
    sessions.accept(client, { ...GAME, ticket });
    return sessions.table.slots.find((one) => one.connection === client || one.arrival === client);
  };
  const join = (encoder?: Encoder) => {
    const client = new FakeConnection();
    client.encoder = encoder;
    const slot = arrive(client, "off");
    return { client, id: slot?.session ?? 0 };
  };
  /** A client whose first message is its ticket. */
  const joinAs = (user: string) => {
    const client = new FakeConnection();
    const slot = arrive(client, "first-message");
    client.says(user);
    return { client, id: slot?.session ?? 0 };
  };
  const got = ({ client }: { readonly client: FakeConnection }) => delivered(client);
  return { ...all, arrive, join, joinAs, got };
}

describe("a message to a group", () => {
  test("goes to who is in it, in order with what else is sent, and to nobody else", () => {
    const { sessions, roster, join, got } = setUp();
    const [first, second, third] = [join(), join(), join()];
    roster.send(first.id, Buffer.from("1;"));
    for (const { id } of [first, second]) roster.addToGroup(id, "red");
    roster.sendGroup("red", Buffer.from("red;"));
    roster.sendAll(Buffer.from("all;"));
    roster.removeFromGroup(first.id, "red");
    roster.sendGroup("red", Buffer.from("again;"));
    sessions.flush();
    assert.deepEqual([first, second, third].map(got), ["1;red;all;", "red;all;again;", "all;"]);
    assert.deepEqual(first.client.delivered.map(String), ["1;red;all;"], "in one write");
  });

  test("is encoded once for all who write alike", () => {
    const { sessions, roster, join, got } = setUp();
    let encodings = 0;
    const counting = (mark: string): Encoder => ({
      maxPayloadBytes: 10,
      encode(payload) {
        encodings++;
        return Buffer.concat([Buffer.from(mark), payload]);
      },
    });
    const [tcp, web] = [counting("#"), counting("~")];
    const clients = [join(tcp), join(tcp), join(web), join(web), join()];
    for (const { id } of clients) roster.addToGroup(id, "all");
    roster.sendGroup("all", Buffer.from("hi"));
    sessions.flush();
    assert.equal(encodings, 2);
    assert.deepEqual(clients.map(got), ["#hi", "#hi", "~hi", "~hi", "hi"]);
  });

  test("ends those whose framing can't say it, and goes to the others", () => {
    const { sessions, roster, told, join, got } = setUp();
    const short: Encoder = { maxPayloadBytes: 1, encode: (payload) => payload };
    const clients = [join(short), join(), join(short), join()];
    for (const { id } of clients) roster.addToGroup(id, "all");
    roster.sendGroup("all", Buffer.from("long"));
    sessions.flush();
    assert.deepEqual(clients.map(got), ["", "long", "", "long"]);
    for (const { client } of clients) if (client.finishing) client.goes();
    const ended = [clients[0], clients[2]].map((one) => `end ${one?.id} gateway too-big`);
    assert.deepEqual(told.slice(-2), ended);
    assert.equal(sessions.directory.group("all").size, 2);
  });

  test("skips who is not let in yet, and who waits for another manager", () => {
    const { sessions, roster, counters, join, got } = setUp();
    const adrift = join();
    roster.addToGroup(adrift.id, "red");
    roster.orphan(unacknowledged());
    roster.admission = true;
    const asking = join();
    roster.addToGroup(asking.id, "red");
    roster.sendGroup("red", Buffer.from("x"));
    sessions.flush();
    assert.deepEqual([got(adrift), got(asking), counters.unknownNames], ["", "", 1]);
    roster.admit(asking.id);
    roster.sendGroup("red", Buffer.from("y"));
    sessions.flush();
    assert.deepEqual([got(adrift), got(asking), counters.unknownNames], ["", "y", 1]);
  });

  test("that is not there is counted and nothing else", () => {
    const { sessions, roster, counters, join, got } = setUp();
    const one = join();
    roster.sendGroup("red", Buffer.from("x"));
    roster.sendUser("red", Buffer.from("x"));
    sessions.flush();
    assert.deepEqual([got(one), counters.unknownNames, counters.staleFrames], ["", 2, 0]);
  });
});

describe("a message to a user", () => {
  test("goes to each session of the user's, by ticket or bound", () => {
    const { sessions, roster, join, joinAs, got } = setUp();
    const [byTicket, bound, other] = [joinAs("ann"), join(), joinAs("bob")];
    roster.bind(bound.id, "ann");
    roster.sendUser("ann", Buffer.from("hi"));
    roster.bind(byTicket.id, "");
    roster.sendUser("ann", Buffer.from("!"));
    sessions.flush();
    assert.deepEqual([byTicket, bound, other].map(got), ["hi", "hi!", ""]);
  });
});

describe("a message to many", () => {
  test("is one to each of them, in use or waiting to be let in; ids that are stale are counted", () => {
    const { sessions, roster, counters, join, got } = setUp();
    const [first, second, gone] = [join(), join(), join()];
    roster.admission = true;
    const asking = join();
    gone.client.goes();
    roster.drop(gone.id);
    const ids = [first.id, gone.id, asking.id, 0, second.id, first.id];
    roster.sendMany(Uint32Array.from(ids), Buffer.from("x"));
    sessions.flush();
    assert.deepEqual(
      [first, second, asking].map(got),
      ["xx", "x", "x"],
      "who stands there twice gets it twice",
    );
    assert.equal(counters.staleFrames, 2);
  });
});

describe("a session that ends", () => {
  test("is nobody's and in no group from then on, before its slot is free", () => {
    type All = ReturnType<typeof setUp>;
    type Ending = (all: All, one: { client: FakeConnection; id: number }) => void;
    const known: Ending[] = [
      ({ roster }, { id }) => roster.drop(id),
      ({ roster }, { id }) => roster.dropDiscard(id),
      ({ sessions }) => sessions.endAll("shutdown"),
    ];
    // These also befall one that waits for another manager.
    const any: Ending[] = [
      (_all, { client }) => client.goes(),
      ({ sessions }) => sessions.cutAll("shutdown"),
      ({ roster }) => roster.detach("manager-lost"),
    ];
    const inUse = [...known, ...any].map((end) => ({ end, adrift: false }));
    for (const { end, adrift } of [...inUse, ...any.map((end) => ({ end, adrift: true }))]) {
      const all = setUp();
      const { sessions, roster, join } = all;
      const one = join();
      roster.bind(one.id, "ann");
      roster.addToGroup(one.id, "red");
      if (adrift) roster.orphan(unacknowledged());
      end(all, one);
      assert.deepEqual([sessions.directory.userCount, sessions.directory.groupCount], [0, 0], `${end}`);
    }
  });

  test("is not bound, and put nowhere, by what crosses its end", () => {
    const { sessions, roster, counters, join } = setUp();
    const { client, id } = join();
    client.goes();
    assert.equal(roster.bind(id, "ann"), true, "there is nobody to be refused");
    roster.addToGroup(id, "red");
    roster.removeFromGroup(id, "red");
    assert.deepEqual([sessions.directory.userCount, sessions.directory.groupCount], [0, 0]);
    assert.equal(counters.staleFrames, 3);
  });
});

describe("a user's second session", () => {
  test("is one more, unless it is told otherwise", () => {
    const { sessions, joinAs, told } = setUp();
    const [first, second] = [joinAs("ann"), joinAs("ann")];
    assert.equal(sessions.directory.user("ann").size, 2);
    assert.deepEqual(told, [`join ${first.id} ann []`, `join ${second.id} ann []`]);
  });

  test("takes the place of the first, which gets what was sent to it, and is told before the second", () => {
    const { sessions, roster, told, joinAs, got } = setUp({ userPolicy: "kick-old" });
    const first = joinAs("ann");
    roster.send(first.id, Buffer.from("last words"));
    const second = joinAs("ann");
    assert.deepEqual([got(first), first.client.finishing], ["last words", true]);
    assert.equal(first.client.farewell?.reason, "replaced");
    roster.sendUser("ann", Buffer.from("hi"));
    sessions.flush();
    assert.equal(got(second), "hi");
    first.client.goes();
    assert.equal(told.at(-1), `end ${first.id} gateway replaced`);
  });

  test("takes the place of the first when the manager binds it, too", () => {
    const { roster, counters, join } = setUp({ userPolicy: "kick-old" });
    const [first, second] = [join(), join()];
    assert.equal(roster.bind(first.id, "ann"), true);
    assert.equal(roster.bind(second.id, "ann"), true);
    first.client.goes();
    assert.deepEqual([counters.ends.replaced, counters.bindsRefused], [1, 0]);
  });

  test("is turned away with its ticket, and counted, when the first is to stay", () => {
    const { sessions, counters, told, joinAs } = setUp({ userPolicy: "refuse-new" });
    const first = joinAs("ann");
    const second = joinAs("ann");
    assert.equal(second.client.farewell?.reason, "user-taken");
    assert.deepEqual(told, [`join ${first.id} ann []`]);
    assert.deepEqual([counters.refusals["user-taken"], counters.refused], [1, 1]);
    first.client.goes();
    assert.match(joinAs("ann") && (told.at(-1) ?? ""), /^join \d+ ann/, "before the first is acknowledged");
    second.client.goes();
    assert.equal(sessions.table.usedCount, 2);
  });

  test("is turned away at the last step, when two come at once", () => {
    const { counters, told, arrive } = setUp({ userPolicy: "refuse-new" });
    const clients = [new FakeConnection(1), new FakeConnection(2)];
    for (const client of clients) {
      client.handshaking = true;
      const slot = arrive(client, "query");
      assert.equal(slot?.presented("ann"), undefined);
    }
    for (const client of clients) client.shakesHands();
    assert.equal(told.length, 1);
    assert.equal(counters.refusals["user-taken"], 1);
    assert.equal(clients[1]?.farewell?.reason, "user-taken");
  });

  test("is turned away as soon as its ticket is seen, where that is before its handshake is through", () => {
    const { joinAs, arrive } = setUp({ userPolicy: "refuse-new" });
    joinAs("ann");
    const client = new FakeConnection(1);
    client.handshaking = true;
    const slot = arrive(client, "query");
    assert.equal(slot?.presented("ann"), "user-taken");
    assert.equal(slot?.presented("bob"), undefined);
  });

  test("is refused when the manager binds it, is nobody's, and goes on", () => {
    const { sessions, roster, counters, join, got } = setUp({ userPolicy: "refuse-new" });
    const [first, second] = [join(), join()];
    roster.bind(first.id, "ann");
    roster.bind(second.id, "bob");
    assert.equal(roster.bind(second.id, "ann"), false);
    assert.equal(counters.bindsRefused, 1);
    roster.sendUser("bob", Buffer.from("x"));
    roster.send(second.id, Buffer.from("still here"));
    sessions.flush();
    assert.deepEqual([got(second), counters.unknownNames], ["still here", 1]);
  });
});

describe("the groups of a session", () => {
  test("are at most so many; one more is counted and nothing else", () => {
    const { sessions, roster, counters, join, got } = setUp();
    const one = join();
    for (const group of ["a", "b", "c", "c", "d"]) roster.addToGroup(one.id, group);
    assert.equal(LIMITS.maxGroupsPerSession, 3);
    assert.equal(counters.groupsRefused, 1);
    for (const group of ["a", "b", "c", "d"]) roster.sendGroup(group, Buffer.from(group));
    sessions.flush();
    assert.equal(got(one), "abc");
  });

  test("and its user are told to another manager as they are now", () => {
    const { sessions, roster, told, join, joinAs } = setUp();
    const [byTicket, bound] = [joinAs("ann"), join()];
    roster.bind(byTicket.id, "");
    roster.bind(bound.id, "bob");
    for (const group of ["red", "blue", "green"]) roster.addToGroup(bound.id, group);
    roster.removeFromGroup(bound.id, "blue");
    roster.orphan(unacknowledged());
    told.length = 0;
    roster.rejoin(10);
    assert.equal(roster.adriftCount, 0);
    assert.deepEqual(told, [`join ${byTicket.id} - []`, `join ${bound.id} bob [red,green]`]);
    roster.sendGroup("green", Buffer.from("x"));
    sessions.flush();
    assert.equal(bound.client.delivered.toString(), "x");
  });
});

/** What each session that the manager can speak of is called, kept in the plainest way. */
interface Named {
  user: string;
  groups: string[];
}

/** Random lives, and beside them what the names must be. */
class World {
  readonly set: ReturnType<typeof setUp>;
  readonly #policy: UserPolicy;
  readonly clients: FakeConnection[] = [];
  readonly #named = new Map<Slot, Named>();

  constructor(policy: UserPolicy) {
    this.#policy = policy;
    this.set = setUp({ userPolicy: policy, capacity: 5 });
  }

  get sessions(): Sessions {
    return this.set.sessions;
  }

  get roster(): Roster {
    return this.set.roster;
  }

  /** Those that have not ended, with what they must be called. */
  open(): [Slot, Named][] {
    return this.sessions.table.slots
      .filter(({ phase }) => phase === "asking" || phase === "inUse" || phase === "adrift")
      .map((slot) => [slot, this.#named.get(slot) ?? { user: "", groups: [] }]);
  }

  slot(pick: number): Slot | undefined {
    const open = this.open().filter(([{ phase }]) => phase !== "adrift");
    return open[pick % Math.max(1, open.length)]?.[0];
  }

  #taken(user: string): boolean {
    return this.#policy === "refuse-new" && this.open().some(([, named]) => named.user === user);
  }

  #set(slot: Slot, user: string): boolean {
    const named = this.#named.get(slot) ?? { user: "", groups: [] };
    if (named.user === user) return true;
    const taken = user !== "" && this.#taken(user);
    this.#named.set(slot, { ...named, user: taken ? "" : user });
    return !taken;
  }

  connect(user: string): void {
    const client = new FakeConnection();
    const taken = this.#taken(user);
    const slot = this.set.arrive(client, user === "" ? "off" : "first-message");
    this.clients.push(client);
    if (slot === undefined) return;
    this.#named.delete(slot);
    const before = this.open().filter(([, named]) => named.user === user && user !== "");
    if (user !== "") client.says(user);
    const joined = slot.phase === "inUse" || slot.phase === "asking";
    assert.equal(joined, !taken || user === "", "a taken user keeps another out, and nothing else does");
    if (joined) this.#set(slot, user);
    if (joined) this.#replaced(before);
  }

  bind(slot: Slot | undefined, user: string): void {
    if (slot === undefined) return;
    const before = this.open().filter(([one, named]) => named.user === user && user !== "" && one !== slot);
    const had = this.#named.get(slot)?.user === user;
    const bound = this.roster.bind(slot.session, user);
    assert.equal(bound, this.#set(slot, user));
    if (!had) this.#replaced(before);
  }

  /** Those who were this user before have ended, where the newer takes the place of the older. */
  #replaced(before: readonly [Slot, Named][]): void {
    if (this.#policy !== "kick-old") return;
    for (const [slot] of before) assert.ok(["ending", "abandoned", "freed"].includes(slot.phase), slot.phase);
  }

  group(slot: Slot | undefined, group: string, add: boolean): void {
    if (slot === undefined) return;
    const named = this.#named.get(slot) ?? { user: "", groups: [] };
    const others = named.groups.filter((one) => one !== group);
    const full = add && others.length >= LIMITS.maxGroupsPerSession;
    if (add) this.roster.addToGroup(slot.session, group);
    else this.roster.removeFromGroup(slot.session, group);
    if (!full) this.#named.set(slot, { ...named, groups: add ? [...others, group] : others });
  }

  /** A message to a name goes to whom it must, and to nobody else. */
  send(name: string, toGroup: boolean): void {
    this.sessions.flush();
    const has = ({ user, groups }: Named) => (toGroup ? groups.includes(name) : user === name && name !== "");
    const wanted = this.open().flatMap(([slot, named]) =>
      slot.phase === "inUse" && has(named) ? [slot.connection] : [],
    );
    const before = new Map(this.clients.map((client) => [client, client.delivered.length]));
    if (toGroup) this.roster.sendGroup(name, Buffer.from("x"));
    else this.roster.sendUser(name, Buffer.from("x"));
    this.sessions.flush();
    const reached = this.clients.filter((client) => client.delivered.length > (before.get(client) ?? 0));
    assert.deepEqual(new Set(reached), new Set(wanted));
  }

  check(): void {
    const open = this.open();
    const { directory, table } = this.sessions;
    for (const slot of table.slots) if (!open.some(([one]) => one === slot)) this.#named.delete(slot);
    for (const [slot, { user, groups }] of open) {
      assert.equal(slot.user ?? "", user);
      assert.deepEqual([...(slot.groups ?? [])].sort(), [...groups].sort());
      if (user !== "") assert.ok(directory.user(user).has(slot));
      for (const group of groups) assert.ok(directory.group(group).has(slot));
    }
    const users = open.map(([, { user }]) => user).filter((user) => user !== "");
    assert.equal(directory.userCount, new Set(users).size);
    assert.equal(directory.groupCount, new Set(open.flatMap(([, { groups }]) => groups)).size);
    for (const name of names) {
      assert.equal(directory.user(name).size, users.filter((user) => user === name).length);
      const members = open.filter(([, { groups }]) => groups.includes(name));
      assert.equal(directory.group(name).size, members.length);
    }
    if (this.#policy !== "allow") assert.equal(new Set(users).size, users.length, "a user is in twice");
  }
}

const names = ["ann", "bob", "cy", "dee", "eve"];

const steps: Record<string, (world: World, pick: number, name: string) => void> = {
  connect: (world) => world.connect(""),
  connectAs: (world, _pick, name) => world.connect(name),
  bind: (world, pick, name) => world.bind(world.slot(pick), name),
  unbind: (world, pick) => world.bind(world.slot(pick), ""),
  add: (world, pick, name) => world.group(world.slot(pick), name, true),
  addMore: (world, pick, name) => world.group(world.slot(pick), name, true),
  remove: (world, pick, name) => world.group(world.slot(pick), name, false),
  sendGroup: (world, _pick, name) => world.send(name, true),
  sendUser: (world, _pick, name) => world.send(name, false),
  leave: (world, pick) => world.clients[pick % Math.max(1, world.clients.length)]?.goes(),
  settle(world) {
    for (const client of world.clients) if (client.ending !== undefined || client.finishing) client.goes();
  },
  drop: (world, pick) => world.roster.drop(world.slot(pick)?.session ?? 0),
  discard: (world, pick) => world.roster.dropDiscard(world.slot(pick)?.session ?? 0),
  wait: (world, pick) => world.set.clock.advance(pick % 400),
  ask(world, pick) {
    world.roster.admission = pick % 2 === 0;
  },
  admit: (world, pick) => world.roster.admit(world.slot(pick)?.session ?? 0),
  loseSight: (world) => world.roster.orphan(unacknowledged()),
  rejoin: (world, pick) => world.roster.rejoin(pick % 5),
  loseManager: (world) => world.roster.detach("manager-lost"),
};

const RARE = ["loseSight", "loseManager", "ask"];

const anyStep = fc.record({
  step: fc.oneof(
    ...Object.keys(steps).map((step) => ({
      weight: RARE.includes(step) ? 1 : 8,
      arbitrary: fc.constant(step),
    })),
  ),
  pick: fc.nat(1_000_000),
  name: fc.constantFrom(...names),
});

test("whatever happens to sessions, their names are those that were given, and none outlives its session", () => {
  const policies = fc.constantFrom<UserPolicy>("allow", "kick-old", "refuse-new");
  const lives = fc.array(anyStep, { minLength: 150, maxLength: 150 });
  fc.assert(
    fc.property(policies, lives, (policy, life) => {
      const world = new World(policy);
      for (const { step, pick, name } of life) {
        steps[step]?.(world, pick, name);
        world.check();
      }
      for (const client of world.clients) client.goes();
      world.set.clock.advance(10_000);
      const { directory, table } = world.sessions;
      assert.deepEqual([directory.userCount, directory.groupCount, table.usedCount], [0, 0, 0]);
      world.sessions.stop();
    }),
    { numRuns: 300, seed: Number(process.env.PROPERTY_SEED ?? 20_261_123) },
  );
});
