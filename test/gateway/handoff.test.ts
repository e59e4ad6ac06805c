/** Sessions that go from one manager to another, over real links: nobody loses anything, and the client never notices. */

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Gateway } from "../../gateway/gateway.ts";
import {
  HandoffError,
  type ManagerServer,
  type ManagerServerOptions,
  type Session,
  type SessionEnd,
} from "../../manager-stub/index.ts";
import { Random } from "../fuzz/random.ts";
import { TestClient } from "../helpers/client.ts";
import { managerOf, type Settings, startManager, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

interface Pair {
  readonly login: ManagerServer;
  readonly battle: ManagerServer;
  readonly gateway: Gateway;
  client(): Promise<TestClient>;
}

/** A gateway with two managers, whose clients go to `login` first. */
async function startPair(
  t: TestContext,
  options: { login?: ManagerServerOptions; battle?: ManagerServerOptions; settings?: Settings } = {},
): Promise<Pair> {
  const { manager: login, link: loginLink } = await startManager(t, options.login);
  const { manager: battle, link: battleLink } = await startManager(t, options.battle);
  const up = [next(login, "gatewayUp"), next(battle, "gatewayUp")];
  const gateway = await startTestGateway(t, loginLink, {
    manager: [`login=${loginLink}`, `battle=${battleLink}`],
    managerChoice: "listener",
    listen: ["tcp://127.0.0.1:0?manager=login"],
    halfCloseMs: 0,
    ...options.settings,
  });
  await Promise.all(up);
  const client = async () => {
    const connected = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
    t.after(() => connected.close());
    return connected;
  };
  return { login, battle, gateway, client };
}

/** A pair, and a client that is in at `login`. */
async function startJoined(t: TestContext, options: Parameters<typeof startPair>[1] = {}) {
  const pair = await startPair(t, options);
  const joined = next<[Session]>(pair.login, "join");
  const player = await pair.client();
  const [session] = await joined;
  return { ...pair, player, session };
}

/** The time that one manager has one session. */
interface Tenure {
  readonly manager: "login" | "battle";
  readonly session: Session;
  heard: string;
  end?: SessionEnd;
}

/** Every tenure of these managers, in the order in which they were told of. */
function recordTenures({ login, battle }: Pick<Pair, "login" | "battle">): Tenure[] {
  const tenures: Tenure[] = [];
  for (const [name, manager] of Object.entries({ login, battle })) {
    const own = new Map<Session, Tenure>();
    manager.on("join", (session) => {
      const tenure: Tenure = { manager: name as Tenure["manager"], session, heard: "" };
      own.set(session, tenure);
      tenures.push(tenure);
    });
    manager.on("message", (session, payload) => {
      const tenure = own.get(session);
      assert.ok(tenure !== undefined && tenure.end === undefined, "a message of a session that is not there");
      tenure.heard += payload;
    });
    manager.on("leave", (session, end) => {
      const tenure = own.get(session);
      assert.ok(tenure !== undefined && tenure.end === undefined, "a session has left that is not there");
      tenure.end = end;
    });
  }
  return tenures;
}

/** Nothing is taken, and each slot is on the free list once. */
async function assertAllFree({ sessions }: Gateway): Promise<void> {
  const { table } = sessions;
  await until(() => table.usedCount === 0, "every slot is free");
  assert.deepEqual(
    table.freeList.toSorted((a, b) => a - b),
    table.slots.map((_, index) => index),
  );
}

/** The lines 1 to `count`. */
function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `${index + 1}\n`).join("");
}

test("a session goes back and forth 1,000 times while its client and its managers talk on", async (t) => {
  const ROUNDS = 1000;
  const pair = await startPair(t, { login: { capacity: 3 }, battle: { capacity: 4 } });
  const { login, battle, gateway } = pair;
  const tenures = recordTenures(pair);
  let [handed, told, said, done] = [0, 0, 0, false];

  /** What each manager does with a session: says a little, and gives it to the other one. */
  const play = (manager: ManagerServer, other: string) => {
    manager.on("join", async (session, data) => {
      assert.equal(data?.toString(), handed === 0 ? undefined : `round ${handed}`);
      assert.equal(manager.send(session, `${++told}\n${++told}\n`), true);
      if (handed === ROUNDS) {
        done = true;
        return;
      }
      if (handed % 3 === 0) await turn();
      assert.equal(manager.send(session, `${++told}\n`), true);
      handed++;
      await manager.handoff(session, other, Buffer.from(`round ${handed}`));
    });
  };
  play(login, "battle");
  play(battle, "login");

  const player = await pair.client();
  while (!done) {
    let some = "";
    for (let count = 1 + (said % 7); count > 0; count--) some += `${++said}\n`;
    player.send(some);
    await turn();
  }
  await until(() => player.receivedBytes === lines(told).length, "the client has heard everything");
  assert.equal(player.received.toString(), lines(told), "in order");
  player.end();
  await until(() => tenures.every(({ end }) => end !== undefined), "every session has left");

  assert.equal(tenures.length, ROUNDS + 1);
  assert.equal(
    tenures.map(({ heard }) => heard).join(""),
    lines(said),
    "nothing lost, doubled or out of order",
  );
  for (const [index, { manager, session, end }] of tenures.entries()) {
    assert.equal(manager, index % 2 === 0 ? "login" : "battle");
    const before = tenures[index - 1];
    const from = before && { manager: before.manager, session: before.session.id };
    assert.deepEqual(session.from, from);
    const last = index === ROUNDS;
    assert.deepEqual([end?.by, end?.reason], last ? ["client", "client-closed"] : ["manager", "handoff"]);
  }
  assert.equal(
    new Set(tenures.map(({ session }) => session.id)).size,
    ROUNDS + 1,
    "each has an id of its own",
  );
  const { inBytes, outBytes } = tenures.at(-1)?.end ?? {};
  assert.deepEqual(
    [inBytes, outBytes],
    [lines(said).length, lines(told).length],
    "those of the whole connection",
  );
  const { handoffs, handoffsRefused, staleFrames, unacknowledged, joins, ends } = gateway.counters;
  assert.deepEqual(
    { handoffs, handoffsRefused, staleFrames, unacknowledged, joins },
    { handoffs: ROUNDS, handoffsRefused: 0, staleFrames: 0, unacknowledged: 0, joins: 1 },
  );
  assert.equal(ends["client-closed"], 1);
  await assertAllFree(gateway);
});

test("each join has one leave, however many go, whenever they close", async (t) => {
  const CLIENTS = 40;
  const pair = await startPair(t, { login: { capacity: 30 }, battle: { capacity: 12 } });
  const { login, battle, gateway } = pair;
  const tenures = recordTenures(pair);
  const random = new Random(7);
  const outcomes = new Map<string, number>();
  const play = (manager: ManagerServer, other: string) => {
    const again = async (session: Session) => {
      const outcome = await manager.handoff(session, other).then(
        () => "done",
        (error: HandoffError) => error.code,
      );
      outcomes.set(outcome, 1 + (outcomes.get(outcome) ?? 0));
      // It may find no place there: then it stays a little longer.
      if (outcome === "no-slot") setImmediate(again, session);
    };
    manager.on("join", again);
    manager.on("message", (session) => {
      if (random.chance(0.02)) manager.drop(session, { discard: random.chance(0.5) });
    });
  };
  play(login, "battle");
  play(battle, "login");
  for (let round = 0; round < CLIENTS; round++) {
    const player = await pair.client();
    const turns = random.below(60);
    for (let left = turns; left > 0; left--) {
      if (!player.closed) player.send("x");
      await turn();
    }
    if (random.chance(0.5)) player.reset();
    else player.end();
  }
  // The manager that has a session may be told so after the one that had it.
  const allTold = () => tenures.length === gateway.counters.joins + gateway.counters.handoffs;
  const allLeft = () => tenures.every(({ end }) => end !== undefined);
  await until(
    () => gateway.sessions.connectedCount === 0 && allTold() && allLeft(),
    "every session has left",
  );
  await assertAllFree(gateway);
  const ended = tenures.filter(({ end }) => end?.reason !== "handoff").length;
  const { counters } = gateway;
  assert.deepEqual([ended, tenures.length - ended], [counters.joins, counters.handoffs]);
  assert.equal(outcomes.get("done"), counters.handoffs);
  for (const outcome of outcomes.keys()) assert.match(outcome, /^(done|no-slot|session-ended|no-session)$/);
  assert.equal(counters.unacknowledged, 0);
});

describe("what a client says behind what makes its manager hand it over", () => {
  /** Lines are messages; `login` gives a session to `battle` at each line that says so. */
  const settings = { listen: ["tcp://127.0.0.1:0?manager=login&framing=line"] };

  function handOverAt(manager: ManagerServer, line: string, to: string): void {
    manager.on("message", (session, payload) => {
      if (payload.toString() === line) manager.handoff(session, to, line).catch(() => {});
    });
  }

  /** Messages as they came, each with a line end behind it again. */
  function recordLines(manager: ManagerServer): () => string {
    let heard = "";
    manager.on("message", (_session, payload) => {
      heard += `${payload}\n`;
    });
    return () => heard;
  }

  test("is the new one's, behind its join, and counted once", async (t) => {
    const { login, battle, player, session, gateway } = await startJoined(t, { settings });
    handOverAt(login, "go", "battle");
    const [atLogin, atBattle] = [recordLines(login), recordLines(battle)];
    const joined: string[] = [];
    battle.on("join", (_session, data) => joined.push(`${atBattle()}${data}`));
    player.send(`hello\ngo\n${lines(1000)}`);
    await until(() => atBattle() === lines(1000), "everything behind the handoff has come");
    assert.deepEqual(joined, ["go"], "once, and nothing before it");
    player.send("1001\n");
    await until(() => atBattle() === lines(1001), "what is said later comes behind it");
    assert.equal(atLogin(), "hello\ngo\n");
    assert.equal(login.session(session), undefined);
    const left = next<[Session, SessionEnd]>(battle, "leave");
    player.end();
    const { inBytes, inMsgs } = (await left)[1];
    const said = `hello\ngo\n${lines(1001)}`;
    assert.deepEqual([inBytes, inMsgs], [said.replaceAll("\n", "").length, 1003]);
    assert.equal(gateway.counters.inMsgs, 1003);
  });

  test("is the old one's after all, in order, where the handoff is refused", async (t) => {
    const { login, battle, player } = await startJoined(t, { settings });
    await battle.close();
    handOverAt(login, "go", "battle");
    const atLogin = recordLines(login);
    player.send(`go\n${lines(500)}`);
    await until(() => atLogin() === `go\n${lines(500)}`, "it has come back");
    player.send("501\n");
    await until(() => atLogin() === `go\n${lines(501)}`, "and goes on");
  });

  test("goes to and fro with it, as often as it is handed on", async (t) => {
    const { login, battle, player } = await startJoined(t, { settings });
    handOverAt(login, "there", "battle");
    handOverAt(battle, "back", "login");
    const [atLogin, atBattle] = [recordLines(login), recordLines(battle)];
    player.send("1\nthere\n2\nback\n3\nthere\n4\nback\n5\n");
    await until(() => atLogin().endsWith("5\n"), "the last has come");
    assert.deepEqual([atLogin(), atBattle()], ["1\nthere\n3\nthere\n5\n", "2\nback\n4\nback\n"]);
  });

  test("is handed on by whoever gives the session away as it joins", async (t) => {
    const { login, battle, player } = await startJoined(t, { settings });
    handOverAt(login, "go", "battle");
    battle.on("join", (session) => void battle.handoff(session, "login", "no"));
    const [atLogin, atBattle] = [recordLines(login), recordLines(battle)];
    player.send(`go\n${lines(100)}`);
    await until(() => atLogin() === `go\n${lines(100)}`, "it has come back");
    assert.equal(atBattle(), "");
  });

  test("is told to nobody twice and lost to nobody when the link is cut in the middle", async (t) => {
    const { login, battle, player, gateway } = await startJoined(t, { settings });
    const [atLogin, atBattle] = [recordLines(login), recordLines(battle)];
    const { link } = managerOf(gateway, "login");
    login.on("message", (session, payload) => {
      if (payload.toString() !== "go") return;
      login.handoff(session, "battle").catch(() => {});
      // The Handoff is said and not sent: so much of what follows is read before the link is gone.
      link.abort();
    });
    const up = next(login, "gatewayUp");
    player.send(`go\n${lines(1000)}`);
    await until(() => atBattle() === lines(1000), "everything behind the handoff has come");
    await up;
    player.send("1001\n");
    await until(() => atBattle() === lines(1001), "and what is said later");
    assert.equal(atLogin(), "go\n");
  });
});

describe("a session that is handed over", () => {
  test("keeps its user, its groups and its client, and is in without being asked for", async (t) => {
    const { login, battle, session, player, gateway } = await startJoined(t, { battle: { admit: true } });
    login.bind(session, "ann");
    login.addToGroup(session, "red");
    login.send(session, "from login\n");
    const joined = next<[Session, Buffer?]>(battle, "join");
    await login.handoff(session, "battle", Buffer.from("level 3"));
    const [moved, data] = await joined;
    assert.deepEqual([moved.user, [...moved.groups], moved.admitted], ["ann", ["red"], true]);
    assert.deepEqual([data?.toString(), moved.rejoined], ["level 3", false]);
    assert.deepEqual(moved.from, { manager: "login", session: session.id });
    assert.equal(battle.sendToUser("ann", "to ann\n"), 1);
    assert.equal(battle.sendToGroup("red", "to red\n"), 1);
    await player.expect("from login\nto ann\nto red\n");
    assert.equal(login.sendToUser("ann", "nobody hears\n"), 0);
    login.broadcast("nobody hears\n");
    player.send("hello");
    assert.deepEqual(await next(battle, "message"), [moved, Buffer.from("hello")]);
    assert.equal(gateway.sessions.connectedCount, 1);
    await player.expect("from login\nto ann\nto red\n");
  });

  test("may be so while the gateway drains", async (t) => {
    const { login, battle, session, player } = await startJoined(t);
    const draining = [next(login, "gatewayDraining"), next(battle, "gatewayDraining")];
    login.shutdown(session.gateway, { drainMs: 60_000 });
    await Promise.all(draining);
    const joined = next<[Session]>(battle, "join");
    await login.handoff(session, "battle");
    const [moved] = await joined;
    battle.send(moved, "a little longer");
    await player.expect("a little longer");
    const left = next<[Session, SessionEnd]>(battle, "leave");
    player.end();
    assert.equal((await left)[1].reason, "client-closed");
  });

  test("comes back", async (t) => {
    const { login, battle, session, player } = await startJoined(t);
    battle.on("join", (moved) => void battle.handoff(moved, "login", Buffer.from("spoils")));
    const joined = next<[Session, Buffer?]>(login, "join");
    await login.handoff(session, "battle");
    const [back, data] = await joined;
    assert.notEqual(back.id, session.id);
    assert.deepEqual([back.from?.manager, data?.toString()], ["battle", "spoils"]);
    login.send(back, "welcome back");
    await player.expect("welcome back");
  });
});

describe("a handoff that can't be", () => {
  /** The session has stayed, and works. */
  async function assertStays(login: ManagerServer, session: Session, player: TestClient): Promise<void> {
    assert.equal(login.send(session, "still here"), true);
    await player.expect("still here");
    player.send("so am I");
    assert.deepEqual(await next(login, "message"), [session, Buffer.from("so am I")]);
  }

  async function assertRefused(pair: Awaited<ReturnType<typeof startJoined>>, code: string, to = "battle") {
    const { login, session, player, gateway } = pair;
    await assert.rejects(login.handoff(session, to), (error: HandoffError) => {
      assert.ok(error instanceof HandoffError);
      assert.equal(error.code, code);
      assert.notEqual(error.message, "");
      return true;
    });
    assert.deepEqual([gateway.counters.handoffs, gateway.counters.handoffsRefused], [0, 1]);
    await assertStays(login, session, player);
  }

  test("because there is no manager of that name", async (t) => {
    await assertRefused(await startJoined(t), "unknown-manager", "nobody");
  });

  test("because it has the session already", async (t) => {
    await assertRefused(await startJoined(t), "same-manager", "login");
  });

  test("because the other one has no link", async (t) => {
    const pair = await startJoined(t);
    await pair.battle.close();
    await until(() => !managerOf(pair.gateway, "battle").link.up, "its link is gone");
    await assertRefused(pair, "no-manager");
  });

  test("because the other one is full", async (t) => {
    const pair = await startJoined(t, { battle: { capacity: 1 } });
    const { login, battle } = pair;
    const [joined, moved] = [next<[Session]>(login, "join"), next(battle, "join")];
    await pair.client();
    await login.handoff((await joined)[0], "battle");
    await moved;
    await assert.rejects(login.handoff(pair.session, "battle"), { code: "no-slot" });
    await assertStays(login, pair.session, pair.player);
  });

  test("because the session waits to be admitted, until it is", async (t) => {
    const { login, battle, session } = await startJoined(t, { login: { admit: true } });
    await assert.rejects(login.handoff(session, "battle"), { code: "not-admitted" });
    const moved = next(battle, "join");
    login.admit(session);
    await login.handoff(session, "battle");
    await moved;
  });

  test("because all that is to be told of it is too much for one frame", async (t) => {
    const { login, session, player } = await startJoined(t, { settings: { maxGroupsPerSession: 256 } });
    for (let group = 0; group < 40; group++) login.addToGroup(session, String(group).padEnd(128, "x"));
    await assert.rejects(login.handoff(session, "battle", Buffer.alloc(61_440)), { code: "too-big" });
    await assertStays(login, session, player);
    await login.handoff(session, "battle", Buffer.alloc(50_000));
  });

  test("because the client has left", async (t) => {
    const { login, session, player, gateway } = await startJoined(t);
    const left = next<[Session, SessionEnd]>(login, "leave");
    player.reset();
    await until(() => gateway.sessions.connectedCount === 0, "the gateway knows it");
    await assert.rejects(login.handoff(session, "battle"), (error: HandoffError) =>
      /^(session-ended|no-session)$/.test(error.code),
    );
    assert.equal((await left)[1].by, "client");
    await assertAllFree(gateway);
  });
});

describe("a session whose manager does not come back", () => {
  test("goes to another one by itself, where the gateway is set so, and tells whose it was", async (t) => {
    const settings = { failover: true, holdMs: 50 };
    const { login, battle, session, player, gateway } = await startJoined(t, { settings });
    login.bind(session, "ann");
    await until(() => gateway.sessions.directory.userCount === 1, "it is ann");
    const joined = next<[Session, Buffer?]>(battle, "join");
    await login.close();
    const [moved, data] = await joined;
    assert.deepEqual([moved.rejoined, moved.user, data], [true, "ann", undefined]);
    assert.deepEqual(moved.from, { manager: "login", session: session.id });
    assert.notEqual(moved.id, session.id);
    battle.send(moved, "go on");
    await player.expect("go on");
    assert.deepEqual([gateway.counters.failovers, gateway.counters.handoffs], [1, 0]);
  });
});
