/** Users and groups over real sockets: a manager and a gateway, clients of every kind, and links that are cut. */

import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { signTicket } from "../../gateway/guard/ticket.ts";
import { type Gateway as GatewayView, ManagerServer, type Session } from "../../manager-stub/index.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { type AnyClient, TestClient } from "../helpers/client.ts";
import { startRawManager } from "../helpers/raw-manager.ts";
import {
  type Rig,
  type Settings,
  socketPath,
  startManager,
  startRig,
  startTestGateway,
} from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";

const SECRET = "a secret for the tickets of these tests";
const LISTEN = [
  "tcp://127.0.0.1:0?name=plain",
  "tcp://127.0.0.1:0?name=framed&framing=u16be",
  "ws://127.0.0.1:0?name=web",
];

function ticketFor(user: string): string {
  return signTicket({ user, expiresAtMs: Date.now() + 60_000 }, Buffer.from(SECRET));
}

function portOf({ view }: Pick<Rig, "view">, name: string): number {
  return view.endpoints.find((one) => one.name === name)?.port ?? 0;
}

/** What a client of a listener gets when it is sent `text`. */
function onTheWire(listener: string, text: string): string {
  if (listener !== "framed") return text;
  const prefix = Buffer.alloc(2);
  prefix.writeUInt16BE(text.length);
  return `${prefix}${text}`;
}

/** A client of one of the listeners, and its session. It is closed with the test. */
async function joined(t: TestContext, rig: Pick<Rig, "manager" | "view">, listener: string) {
  const port = portOf(rig, listener);
  const found = next<[Session]>(rig.manager, "join");
  const client: AnyClient =
    listener === "web"
      ? await WebSocketClient.connect(`ws://127.0.0.1:${port}`)
      : await TestClient.connect(port);
  t.after(() => client.close());
  const [session] = await found;
  return { client, session, listener };
}

describe("a group over real sockets", () => {
  test("of hundreds of clients of every kind gets one message, each as it is framed, in order", async (t) => {
    const rig = await startRig(t, { settings: { listen: LISTEN } });
    const { manager, gateway } = rig;
    const members: Awaited<ReturnType<typeof joined>>[] = [];
    const others: typeof members = [];
    const kinds = ["plain", "framed", "web"];
    for (let i = 0; i < 330; i++) {
      const one = await joined(t, rig, kinds[i % 3] ?? "");
      (i % 11 === 0 ? others : members).push(one);
    }
    for (const { session } of members) assert.equal(manager.addToGroup(session, "room"), true);
    manager.broadcast("a");
    assert.equal(manager.sendToGroup("room", "bb"), members.length);
    manager.broadcast("c");
    const texts = (list: typeof members, ...said: string[]) =>
      Promise.all(
        list.map(({ client, listener }) =>
          client.expect(said.map((text) => onTheWire(listener, text)).join("")),
        ),
      );
    await texts(members, "a", "bb", "c");
    await texts(others, "a", "c");
    assert.equal(gateway.sessions.directory.group("room").size, members.length);
    assert.equal(gateway.counters.outMsgs, 2 * 330 + members.length);
  });

  test("and many by their ids, and a user, get what is theirs", async (t) => {
    const rig = await startRig(t, { settings: { listen: LISTEN } });
    const { manager } = rig;
    const clients = [
      await joined(t, rig, "plain"),
      await joined(t, rig, "framed"),
      await joined(t, rig, "web"),
    ];
    const [plain, framed, web] = clients;
    assert.ok(plain && framed && web);
    manager.bind(framed.session, "ann");
    manager.bind(web.session, "ann");
    assert.equal(manager.sendMany([plain.session, framed.session], "many"), 2);
    assert.equal(manager.sendToUser("ann", "ann"), 2);
    manager.unbind(web.session);
    assert.equal(manager.sendToUser("ann", "!"), 1);
    await plain.client.expect("many");
    await framed.client.expect(["many", "ann", "!"].map((text) => onTheWire("framed", text)).join(""));
    await web.client.expect("ann");
  });
});

describe("a user who comes a second time", () => {
  const listen = ["ws://127.0.0.1:0?name=web&ticket=query"];
  const start = (t: TestContext, settings: Settings) =>
    startRig(t, { settings: { listen, ticketSecret: SECRET, ...settings } });
  const come = (t: TestContext, rig: Rig, user: string) => {
    const client = new WebSocketClient(`ws://127.0.0.1:${rig.port}/?ticket=${ticketFor(user)}`);
    t.after(() => client.close());
    return client;
  };

  test("takes the place of the first, who is told why, as the manager is", async (t) => {
    const rig = await start(t, { userPolicy: "kick-old" });
    const told: string[] = [];
    rig.manager.on("join", ({ user, serial }) => told.push(`join ${serial} ${user}`));
    rig.manager.on("leave", ({ user, serial }, { by, reason }) =>
      told.push(`leave ${serial} ${user} ${by} ${reason}`),
    );
    const first = come(t, rig, "ann");
    await until(() => told.length === 1, "the first has joined");
    const second = come(t, rig, "ann");
    await until(() => first.closed && told.length === 3, "the first has left");
    assert.deepEqual([first.closeCode, first.closeReason], [1008, "replaced"]);
    assert.deepEqual(told.sort(), ["join 1 ann", "join 2 ann", "leave 1 ann gateway replaced"]);
    assert.equal(rig.manager.sendToUser("ann", "hi"), 1);
    await second.expect("hi");
  });

  test("is answered with 409 when the first is to stay, and the manager hears of nobody", async (t) => {
    const rig = await start(t, { userPolicy: "refuse-new" });
    const here = next<[Session]>(rig.manager, "join");
    const first = come(t, rig, "ann");
    await here;
    rig.manager.on("join", ({ user }) => assert.notEqual(user, "ann", "ann is in already"));
    const second = come(t, rig, "ann");
    await until(() => second.closed, "the second is refused");
    assert.deepEqual([second.status, rig.gateway.counters.refusals["user-taken"]], [409, 1]);
    const bob = next<[Session]>(rig.manager, "join");
    const another = come(t, rig, "bob");
    const [session] = await bob;
    const refused = next<[Session, string]>(rig.manager, "bindRefused");
    assert.equal(rig.manager.bind(session, "ann"), true);
    assert.deepEqual(await refused, [session, "ann"]);
    assert.equal(session.user, undefined);
    assert.equal(rig.manager.send(session, "still here"), true);
    await another.expect("still here");
    assert.equal(rig.manager.sendToUser("ann", "hi"), 1);
    await first.expect("hi");
  });
});

/** A stretch of the way between a gateway and its manager, that can be cut. */
async function startWire(t: TestContext, to: string) {
  const path = socketPath(t);
  const ends = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(one);
      one.pipe(other);
      one.on("error", () => {});
      one.on("close", () => {
        ends.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(path);
  await next(server, "listening");
  const cut = () => {
    for (const one of ends) one.destroy();
  };
  t.after(async () => {
    const closed = next(server, "close");
    server.close();
    cut();
    await closed;
  });
  return { link: `unix:${path}`, cut };
}

describe("names when the link is cut", () => {
  test("are changed all the same, in order, once the link goes on", async (t) => {
    const { manager, link } = await startManager(t);
    const wire = await startWire(t, link.slice("unix:".length));
    const up = next<[GatewayView]>(manager, "gatewayUp");
    const gateway = await startTestGateway(t, wire.link, { listen: LISTEN, userPolicy: "refuse-new" });
    const [view] = await up;
    const rig = { manager, view };
    const [first, second] = [await joined(t, rig, "plain"), await joined(t, rig, "web")];
    const refused: string[] = [];
    manager.on("bindRefused", ({ id }, user) => refused.push(`${id} ${user}`));
    const lost = next(manager, "gatewayLost");
    wire.cut();
    await lost;
    manager.bind(first.session, "ann");
    manager.bind(second.session, "ann");
    for (const { session } of [first, second]) manager.addToGroup(session, "room");
    manager.sendToGroup("room", "1");
    manager.removeFromGroup(second.session, "room");
    manager.sendToGroup("room", "2");
    manager.sendMany([first.session, second.session], "3");
    await first.client.expect("123");
    await second.client.expect("13");
    await until(() => refused.length > 0, "the second is refused");
    assert.deepEqual(refused, [`${second.session.id} ann`]);
    assert.deepEqual([first.session.user, second.session.user], ["ann", undefined]);
    assert.deepEqual([gateway.counters.joins, gateway.counters.rejoins], [2, 0]);
  });

  test("are told to a manager that takes the place of the one before", async (t) => {
    const path = `unix:${socketPath(t)}`;
    const before = new ManagerServer({ listen: path });
    await before.listen();
    const up = next<[GatewayView]>(before, "gatewayUp");
    const gateway = await startTestGateway(t, path, { listen: LISTEN, shutdownAckMs: 100 });
    const [view] = await up;
    const rig = { manager: before, view };
    const [first, second] = [await joined(t, rig, "framed"), await joined(t, rig, "web")];
    before.bind(first.session, "ann");
    for (const group of ["red", "blue"]) before.addToGroup(first.session, group);
    for (const group of ["blue", "green"]) before.addToGroup(second.session, group);
    before.removeFromGroup(second.session, "green");
    const { directory } = gateway.sessions;
    await until(
      () => directory.group("blue").size === 2 && directory.groupCount === 2,
      "the gateway has heard",
    );
    await before.close();

    const { manager } = await startManager(t, { listen: path });
    const again: Session[] = [];
    manager.on("join", (session) => again.push(session));
    await until(() => again.length === 2, "both are announced again");
    const told = again.map(({ id, user, groups, rejoined }) => ({ id, user, groups: [...groups], rejoined }));
    assert.deepEqual(told, [
      { id: first.session.id, user: "ann", groups: ["red", "blue"], rejoined: true },
      { id: second.session.id, user: undefined, groups: ["blue"], rejoined: true },
    ]);
    assert.equal(manager.sendToUser("ann", "u"), 1);
    assert.equal(manager.sendToGroup("blue", "g"), 2);
    await first.client.expect(["u", "g"].map((text) => onTheWire("framed", text)).join(""));
    await second.client.expect("g");
  });
});

describe("what crosses", () => {
  test("the ends of sessions does no harm, and leaves no name behind", async (t) => {
    const rig = await startRig(t, { settings: { halfCloseMs: 0 } });
    const { manager, gateway } = rig;
    let left = 0;
    manager.on("leave", () => left++);
    const players: TestClient[] = [];
    for (let i = 0; i < 60; i++) players.push(await rig.client());
    await until(() => rig.view.sessionCount === 60, "all have joined");
    const sessions = [...manager.sessions()];
    for (const [index, session] of sessions.entries()) {
      // Some leave, some are dropped, all while they are named and sent to.
      if (index % 3 === 0) players[index]?.close();
      manager.bind(session, `user ${index % 7}`);
      manager.addToGroup(session, `group ${index % 5}`);
      if (index % 3 === 1) manager.drop(session, { discard: index % 2 === 0 });
      manager.sendToGroup(`group ${index % 5}`, "g");
      manager.sendToUser(`user ${index % 7}`, "u");
      manager.sendMany(sessions, "m");
    }
    for (const player of players) player.close();
    await until(() => left === 60, "all have left");
    await until(() => gateway.sessions.table.usedCount === 0, "every slot is free");
    const { directory } = gateway.sessions;
    assert.deepEqual([directory.userCount, directory.groupCount], [0, 0]);
    assert.equal(rig.view.health, "up");
    for (let i = 0; i < 7; i++) assert.equal(manager.sendToUser(`user ${i}`, "x"), 0);
    for (let i = 0; i < 5; i++) assert.equal(manager.sendToGroup(`group ${i}`, "x"), 0);
  });

  test("what is stale is counted: each id of many, each name that nobody has, each session that is full", async (t) => {
    const raw = await startRawManager(t);
    const gateway = await startTestGateway(t, raw.link, { maxGroupsPerSession: 2 });
    const link = await raw.nextLink();
    assert.equal((await link.wait("register")).body.maxGroups, 2);
    link.register();
    const { body } = await link.wait("listening");
    const client = await TestClient.connect(body.endpoints[0]?.port ?? 0);
    t.after(() => client.close());
    const { session } = await link.wait("join");
    const nobody = session + 1;
    link.say((batch) => {
      for (const group of ["a", "b", "c", "b"]) toGateway.addToGroup(batch, session, group);
      toGateway.addToGroup(batch, nobody, "a");
      toGateway.bind(batch, nobody, "ann");
      toGateway.removeFromGroup(batch, nobody, "a");
      toGateway.messageMany(batch, [nobody, session, 0], Buffer.from("1"));
      toGateway.messageGroup(batch, "c", Buffer.from("2"));
      toGateway.messageUser(batch, "ann", Buffer.from("3"));
      toGateway.messageGroup(batch, "b", Buffer.from("4"));
    });
    await client.expect("14");
    const { staleFrames, unknownNames, groupsRefused } = gateway.counters;
    assert.deepEqual(
      { staleFrames, unknownNames, groupsRefused },
      {
        staleFrames: 5,
        unknownNames: 2,
        groupsRefused: 1,
      },
    );
    assert.equal(link.closed, false);
  });
});
