import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { GatewayView, SessionView } from "../../manager-stub/api-views.ts";
import type { Gateway, ManagerServerOptions, Session, SessionEnd } from "../../manager-stub/index.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { TestClient } from "../helpers/client.ts";
import { type Rig, type Settings, startManager, startRig, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { type Answer, startApi } from "./api.ts";
import { JOIN, RawGateway, session as sessionOf } from "./raw-gateway.ts";

interface GatewayList {
  readonly gateways: readonly GatewayView[];
}

interface SessionPage {
  readonly sessions: readonly SessionView[];
  readonly next: number | null;
}

interface SetUp {
  readonly settings?: Settings;
  readonly manager?: ManagerServerOptions;
}

/** A manager with its API, and a gateway that is up. */
async function setUp(t: TestContext, options: SetUp = {}) {
  const rig = await startRig(t, {
    ...options,
    settings: { name: "edge", halfCloseMs: 0, ...options.settings },
  });
  const api = await startApi(t, rig.manager);
  /** A client that is in, and its session. */
  const join = async () => {
    const joined = next<[Session]>(rig.manager, "join");
    const player = await rig.client();
    const [session] = await joined;
    return { player, session, path: `/api/sessions/${session.gateway}/${session.id}` };
  };
  return { ...rig, api, join };
}

/** Another gateway of the same manager. */
async function second(t: TestContext, { manager, link }: Rig) {
  const up = next<[Gateway]>(manager, "gatewayUp");
  await startTestGateway(t, link, { name: "edge-2" });
  const [view] = await up;
  const port = view.endpoints[0]?.port ?? 0;
  const join = async () => {
    const joined = next<[Session]>(manager, "join");
    const player = await TestClient.connect(port);
    t.after(() => player.close());
    const [session] = await joined;
    return { player, session };
  };
  return { view, port, join };
}

describe("GET /api/gateways", () => {
  test("lists nobody at first", async (t) => {
    const { manager } = await startRig(t);
    await manager.close();
    const api = await startApi(t, manager);
    const { status, headers, body } = await api.get("/api/gateways");
    assert.deepEqual(
      [status, headers["content-type"], headers["cache-control"]],
      [200, "application/json", "no-store"],
    );
    assert.deepEqual(body, { gateways: [] });
  });

  test("lists each gateway with how it is", async (t) => {
    const rig = await setUp(t, { manager: { capacity: 9 } });
    const other = await second(t, rig);
    await rig.join();
    const { body } = await rig.api.get<GatewayList>("/api/gateways");
    const [first, last] = body.gateways;
    assert.equal(body.gateways.length, 2);
    assert.deepEqual(first, {
      id: 1,
      name: "edge",
      pid: process.pid,
      health: "up",
      draining: false,
      sessions: 1,
      capacity: 9,
      endpoints: [{ transport: "tcp", host: "127.0.0.1", port: rig.port, name: rig.view.endpoints[0]?.name }],
      registeredAt: new Date(rig.view.registeredAt).toISOString(),
      vitals: null,
    });
    assert.deepEqual([last?.id, last?.name, last?.sessions], [2, "edge-2", 0]);
    assert.equal(last?.endpoints[0]?.port, other.port);
  });

  test("shows the last heartbeat as it came", async (t) => {
    const { api, view } = await setUp(t, { manager: { pingMs: 100 } });
    await until(() => view.vitals !== undefined, "a heartbeat has come");
    const seen = view.vitals?.seq ?? 0;
    const [gateway] = (await api.get<GatewayList>("/api/gateways")).body.gateways;
    const { seq = 0, sessions, capacity, rssBytes = 0 } = gateway?.vitals ?? {};
    assert.ok(seq >= seen);
    assert.deepEqual([sessions, capacity], [0, 10_000]);
    assert.ok(rssBytes > 1_000_000);
  });
});

describe("the heartbeat in GET /api/gateways", () => {
  test("counts by name who was turned away, and whose session ended", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link);
    const counts = { refused: 3, refusals: { banned: 2, "no-slot": 1 }, ends: { dropped: 4 } };
    gateway.ping({ seq: 7, ...counts });
    const api = await startApi(t, manager);
    await until(() => manager.gateway(1)?.vitals !== undefined, "a heartbeat has come");
    const [one] = (await api.get<GatewayList>("/api/gateways")).body.gateways;
    assert.deepEqual(one?.vitals, { seq: 7, at: 2, sessions: 0, capacity: 10, ...counts });
  });
});

describe("GET /api/sessions", () => {
  test("lists each client with where it came from", async (t) => {
    const { api, view, join } = await setUp(t);
    const { player, session } = await join();
    const { body } = await api.get("/api/sessions");
    assert.deepEqual(body, {
      sessions: [
        {
          gateway: 1,
          session: session.id,
          addr: "127.0.0.1",
          port: player.socket.localPort,
          transport: "tcp",
          listener: view.endpoints[0]?.name,
          user: null,
          from: null,
          joinedAt: new Date(session.joinedAt).toISOString(),
        },
      ],
      next: null,
    });
  });

  test("tells who a client is, by its ticket", async (t) => {
    const { manager, link } = await startManager(t);
    const gateway = await RawGateway.registered(t, link);
    gateway.send((batch) => toManager.join(batch, sessionOf(0), { ...JOIN, transport: "wss", user: "anna" }));
    await gateway.sync();
    const api = await startApi(t, manager);
    const [session] = (await api.get<SessionPage>("/api/sessions")).body.sessions;
    assert.deepEqual([session?.user, session?.transport], ["anna", "wss"]);
  });

  test("gives pages, in the order in which they joined, that nobody who stays is missing from", async (t) => {
    const { api, manager, join } = await setUp(t);
    const joined: Awaited<ReturnType<typeof join>>[] = [];
    for (let i = 0; i < 8; i++) joined.push(await join());
    const ids = joined.map(({ session }) => session.id);
    const leaves = async (index: number) => {
      const left = next(manager, "leave");
      joined[index]?.player.close();
      await left;
    };
    const page = async (query: string) => {
      const { body } = await api.get<SessionPage>(`/api/sessions?${query}`);
      return { ids: body.sessions.map((one) => one.session), after: body.next };
    };
    const first = await page("limit=3");
    assert.deepEqual(first.ids, ids.slice(0, 3));
    await leaves(2);
    await leaves(3);
    const secondPage = await page(`limit=3&after=${first.after}`);
    assert.deepEqual(secondPage.ids, ids.slice(4, 7));
    const late = await join();
    const last = await page(`limit=3&after=${secondPage.after}`);
    assert.deepEqual(last, { ids: [ids[7], late.session.id], after: null });
    assert.deepEqual(await page("limit=7"), {
      ids: [ids[0], ids[1], ...ids.slice(4), late.session.id],
      after: null,
    });
    assert.equal(
      (await page("limit=6")).after,
      joined[7]?.session.serial,
      "a page that is full says where it ends",
    );
  });

  test("may be of one gateway, by its id or its name", async (t) => {
    const rig = await setUp(t);
    const other = await second(t, rig);
    const { session } = await rig.join();
    const listed = async (gateway: string | number) => {
      const { body } = await rig.api.get<SessionPage>(`/api/sessions?gateway=${gateway}`);
      return body.sessions.map((one) => one.session);
    };
    assert.deepEqual(await listed(1), [session.id]);
    assert.deepEqual(await listed("edge"), [session.id]);
    assert.deepEqual(await listed(other.view.id), []);
    assert.deepEqual(await listed("edge-2"), []);
  });

  test("pages over the sessions of several gateways as over one", async (t) => {
    const rig = await setUp(t);
    const other = await second(t, rig);
    const gateways: number[] = [];
    for (const { join } of [rig, other, rig, other]) gateways.push((await join()).session.gateway);
    const listed: number[] = [];
    let after: number | null = 0;
    for (let pages = 0; after !== null; pages++) {
      assert.ok(pages < 4);
      const page: Answer<SessionPage> = await rig.api.get(`/api/sessions?limit=1&after=${after}`);
      assert.equal(page.body.sessions.length, 1);
      listed.push(...page.body.sessions.map((one) => one.gateway));
      after = page.body.next;
    }
    assert.deepEqual(listed, gateways);
    assert.deepEqual(gateways, [1, 2, 1, 2]);
  });
});

describe("POST /api/sessions/:gateway/:session/send", () => {
  test("sends text, and says how many bytes it was", async (t) => {
    const { api, join } = await setUp(t);
    const { player, path } = await join();
    const { status, body } = await api.post(`${path}/send`, { text: "grüß\n" });
    assert.deepEqual([status, body], [200, { sent: 7 }]);
    await player.expect("grüß\n");
  });

  test("sends bytes that are not text", async (t) => {
    const { api, join } = await setUp(t);
    const { player, path } = await join();
    const bytes = Buffer.from([0xff, 0x00, 0x0a, 0x80]);
    const { body } = await api.post(`${path}/send`, { base64: bytes.toString("base64") });
    assert.deepEqual(body, { sent: 4 });
    await until(() => player.receivedBytes >= 4, "the client has them");
    assert.deepEqual(player.received, bytes);
  });

  test("knows the gateway by its name too, however it is spelled", async (t) => {
    const { api, join } = await setUp(t, { settings: { name: "edge/1 ü" } });
    const { player, session } = await join();
    const { status } = await api.post(`/api/sessions/${encodeURIComponent("edge/1 ü")}/${session.id}/send`, {
      text: "hi",
    });
    assert.equal(status, 200);
    await player.expect("hi");
  });
});

describe("POST /api/broadcast", () => {
  test("reaches every client of every gateway, or of one", async (t) => {
    const rig = await setUp(t);
    const other = await second(t, rig);
    const here = [(await rig.join()).player, (await rig.join()).player];
    const { player: there } = await other.join();
    const to = async (body: unknown) => (await rig.api.post("/api/broadcast", body)).body;
    assert.deepEqual(await to({ text: "all;" }), { gateways: 2, sessions: 3 });
    assert.deepEqual(await to({ text: "one;", gateway: 1 }), { gateways: 1, sessions: 2 });
    assert.deepEqual(await to({ base64: "dHdvOw==", gateway: "edge-2" }), { gateways: 1, sessions: 1 });
    for (const player of here) await player.expect("all;one;");
    await there.expect("all;two;");
  });

  test("reaches nobody when nobody is there", async (t) => {
    const { api } = await setUp(t);
    assert.deepEqual((await api.post("/api/broadcast", { text: "" })).body, { gateways: 1, sessions: 0 });
  });
});

describe("POST /api/sessions/:gateway/:session/drop", () => {
  test("ends the client, who still gets what was sent before", async (t) => {
    const { api, manager, join } = await setUp(t);
    const { player, path } = await join();
    const left = next<[Session, SessionEnd]>(manager, "leave");
    await api.post(`${path}/send`, { text: "bye" });
    const { status, body } = await api.post(`${path}/drop`, { reason: "kicked", code: 4001 });
    assert.deepEqual([status, body], [200, { dropped: true }]);
    await player.untilEnded();
    await player.expect("bye");
    player.close();
    assert.equal((await left)[1].reason, "dropped");
  });

  test("keeps the client's address out when it says for how long", async (t) => {
    const { api, gateway, join, client } = await setUp(t);
    const { player, path } = await join();
    assert.equal((await api.post(`${path}/drop`, { banMs: 3_600_000 })).status, 200);
    await player.untilEnded();
    const again = await client();
    await until(() => again.closed || again.ended, "it is turned away");
    assert.equal(gateway.counters.refusals.banned, 1);
  });

  test("needs no body", async (t) => {
    const { api, join } = await setUp(t);
    const { player, path } = await join();
    assert.equal((await api.post(`${path}/drop`)).status, 200);
    await player.untilEnded();
  });

  test("resets the client at once when it is to discard", async (t) => {
    const { api, manager, join } = await setUp(t);
    const { player, path } = await join();
    const left = next<[Session, SessionEnd]>(manager, "leave");
    assert.equal((await api.post(`${path}/drop`, { discard: true })).status, 200);
    await until(() => player.closed, "the client is reset");
    assert.equal(player.errorCode, "ECONNRESET");
    assert.equal((await left)[1].reason, "drop-discarded");
  });
});

describe("POST /api/gateways/:gateway/shutdown", () => {
  for (const key of ["1", "edge"]) {
    test(`ends the gateway ${key} in good order`, async (t) => {
      const { api, manager, gateway } = await setUp(t, { settings: { drainMs: 60_000 } });
      const [draining, down] = [next(manager, "gatewayDraining"), next<[Gateway]>(manager, "gatewayDown")];
      const { status, body } = await api.post(`/api/gateways/${key}/shutdown`, {
        reason: "update",
        drainMs: 0,
      });
      assert.deepEqual([status, body], [200, { shutdown: true }]);
      await draining;
      assert.equal((await gateway.ended).code, 0);
      assert.equal((await down)[0].name, "edge");
    });
  }

  test("lets its sessions go on for as long as it says, and shows that it drains", async (t) => {
    const { api, manager, join } = await setUp(t, { settings: { drainMs: 0 } });
    const { player, path } = await join();
    const draining = next(manager, "gatewayDraining");
    await api.post("/api/gateways/edge/shutdown", { drainMs: 60_000 });
    await draining;
    const [shown] = (await api.get<GatewayList>("/api/gateways")).body.gateways;
    assert.equal(shown?.draining, true);
    assert.equal((await api.post(`${path}/send`, { text: "still here" })).status, 200);
    await player.expect("still here");
    player.close();
    await next(manager, "gatewayDown");
    assert.deepEqual((await api.get("/api/gateways")).body, { gateways: [] });
  });
});
