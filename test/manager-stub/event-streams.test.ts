import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { ApiEvents } from "../../manager-stub/api-views.ts";
import type { ManagerServer, Session } from "../../manager-stub/index.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { startManager, startRig, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { type Api, startApi } from "./api.ts";
import { startJoined } from "./joined.ts";
import { JOIN, LEFT, session } from "./raw-gateway.ts";

/** What an event may tell, whichever it is. */
type Data = Partial<Omit<ApiEvents["gatewayDown"] & ApiEvents["leave"], "gateway" | "session">>;

type Told = readonly [name: string, data: Data];

/** A page that listens. */
class Listener {
  readonly response: IncomingMessage;
  readonly events: Told[] = [];
  readonly comments: string[] = [];
  closed = false;
  #rest = "";

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding("utf8");
    response.on("data", (part: string) => this.#read(part));
    response.on("error", () => {});
    response.on("close", () => {
      this.closed = true;
    });
  }

  static async open(t: TestContext, api: Api): Promise<Listener> {
    const asked = api.open("GET", "/api/events").end();
    t.after(() => asked.destroy());
    const [response] = await next<[IncomingMessage]>(asked, "response");
    asked.on("error", () => {});
    const listener = new Listener(response);
    await until(() => listener.comments.length > 0, "the stream begins");
    return listener;
  }

  /** Waits until so many events were told, and gives them. */
  async untilCount(count: number): Promise<readonly Told[]> {
    await until(() => this.closed || this.events.length >= count, `${count} events are told`);
    return this.events;
  }

  #read(part: string): void {
    const blocks = (this.#rest + part).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, name, data] = /^event: (\w+)\ndata: ([^\n]*)$/.exec(block) ?? [];
      if (name === undefined || data === undefined) this.comments.push(block);
      else this.events.push([name, JSON.parse(data)]);
    }
  }
}

describe("GET /api/events", () => {
  test("is a stream of events that says at once that it is there", async (t) => {
    const { manager } = await startManager(t);
    const { response, comments } = await Listener.open(t, await startApi(t, manager));
    const { statusCode, headers } = response;
    assert.deepEqual(
      [statusCode, headers["content-type"], headers["cache-control"]],
      [200, "text/event-stream", "no-store"],
    );
    assert.deepEqual(comments, [": the events from here on"]);
  });

  test("tells the life of a client, what it says as text, or as base64 when it is not", async (t) => {
    const { manager, view, client } = await startRig(t, { settings: { halfCloseMs: 0 } });
    const listener = await Listener.open(t, await startApi(t, manager));
    const joined = next<[Session]>(manager, "join");
    const player = await client();
    const { localPort: port } = player.socket;
    const [{ id, joinedAt }] = await joined;
    const notText = Buffer.from([0xff, 0xfe, 0x00]);
    const parts = ['line\u2028\n\n"grüß"\u0000', "\ufeffmark", notText];
    for (const [index, part] of parts.entries()) {
      player.send(part);
      await listener.untilCount(index + 2);
    }
    player.close();
    const events = await listener.untilCount(5);
    const end = events.at(-1)?.[1].end;
    const described = {
      gateway: 1,
      session: id,
      addr: "127.0.0.1",
      port,
      transport: "tcp",
      listener: view.endpoints[0]?.name,
      user: null,
      from: null,
      joinedAt: new Date(joinedAt).toISOString(),
    };
    assert.deepEqual(events, [
      ["join", described],
      ["message", { gateway: 1, session: id, text: parts[0] }],
      ["message", { gateway: 1, session: id, text: parts[1] }],
      ["message", { gateway: 1, session: id, base64: notText.toString("base64") }],
      ["leave", { ...described, end }],
    ]);
    const inBytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
    assert.deepEqual([end?.by, end?.inBytes, end?.inMsgs], ["client", inBytes, 3]);
  });

  test("tells which manager had a client before", async (t) => {
    const { manager, gateway } = await startJoined(t);
    const listener = await Listener.open(t, await startApi(t, manager));
    const from = { from: "login", fromSession: 2_097_159 };
    gateway.send((batch) => toManager.join(batch, session(0), { ...JOIN, ...from }));
    const [joined] = await listener.untilCount(1);
    assert.deepEqual(joined?.[1].from, { manager: "login", session: 2_097_159 });
  });

  test("tells gateways that come, drain and go, and connections that are refused", async (t) => {
    const { manager, link } = await startManager(t);
    const listener = await Listener.open(t, await startApi(t, manager));
    const gateway = await startTestGateway(t, link, { name: "edge" });
    await listener.untilCount(1);
    await startTestGateway(t, link, { name: "edge", reconnectMinMs: 5000 });
    await listener.untilCount(2);
    gateway.drain("the test says so");
    const events = await listener.untilCount(4);
    const told = events.slice(0, 4).map(([name, { id, name: who, health, draining, code, message }]) => {
      return [name, id, who, health, draining, code, message];
    });
    const taken = "a gateway named 'edge' is registered already";
    assert.deepEqual(told, [
      ["gatewayUp", 1, "edge", "up", false, undefined, undefined],
      ["refused", undefined, undefined, undefined, undefined, "rejected-name-taken", taken],
      ["gatewayDraining", 1, "edge", "up", true, undefined, undefined],
      ["gatewayDown", 1, "edge", "down", true, "link-closed", "the gateway closed the link"],
    ]);
  });

  test("tells a gateway that is suspect", async (t) => {
    const { manager, view } = await startRig(t);
    const listener = await Listener.open(t, await startApi(t, manager));
    manager.emit("gatewaySuspect", view);
    const [[name, { id }] = ["", {}]] = await listener.untilCount(1);
    assert.deepEqual([name, id], ["gatewaySuspect", 1]);
  });

  test("tells everybody who listens, and no longer who has gone", async (t) => {
    const { manager } = await startManager(t);
    const api = await startApi(t, manager);
    const [stays, goes] = [await Listener.open(t, api), await Listener.open(t, api)];
    manager.emit("refused", "a", "b");
    await Promise.all([stays.untilCount(1), goes.untilCount(1)]);
    goes.response.destroy();
    manager.emit("refused", "c", "d");
    assert.deepEqual(await stays.untilCount(2), [
      ["refused", { code: "a", message: "b" }],
      ["refused", { code: "c", message: "d" }],
    ]);
  });

  test("costs nothing once nobody listens", async (t) => {
    const { manager } = await startManager(t);
    const api = await startApi(t, manager);
    const listener = await Listener.open(t, api);
    listener.response.destroy();
    await until(() => api.sockets.size === 0, "it has gone");
    const unseen = new Proxy({} as Session, {
      get() {
        throw new Error("it is described for nobody");
      },
    });
    manager.emit("join", unseen);
  });

  test("keeps an idle stream open with a comment", async (t) => {
    const { manager } = await startManager(t);
    const api = await startApi(t, manager);
    t.mock.timers.enable({ apis: ["setInterval"] });
    const listener = await Listener.open(t, api);
    t.mock.timers.tick(15_000);
    await until(() => listener.comments.length > 1, "the comment comes");
    assert.equal(listener.comments[1], ": still here");
  });
});

describe("a listener that does not read", () => {
  const PART = "x".repeat(64 * 1024);

  /** Tells more than a listener may leave unread, as fast as one who reads can take it. */
  async function tellMuch(manager: ManagerServer, done: () => boolean): Promise<number> {
    let told = 0;
    for (; !done() && told < 1000; told++) {
      manager.emit("refused", String(told), PART);
      await turn();
    }
    return told;
  }

  test("is cut off, and the one beside it misses nothing", async (t) => {
    const { manager } = await startManager(t);
    const api = await startApi(t, manager);
    const [slow, reader] = [await Listener.open(t, api), await Listener.open(t, api)];
    const { localPort } = slow.response.socket;
    const cutOff = () => ![...api.sockets].some((socket) => socket.remotePort === localPort);
    assert.equal(cutOff(), false);
    slow.response.pause();
    const told = await tellMuch(manager, cutOff);
    assert.ok(cutOff(), "it was cut off");
    assert.ok(told * PART.length > 16 * 1024 * 1024, "not before 16 MiB");
    const events = await reader.untilCount(told);
    assert.deepEqual(
      events.map(([, { code }]) => Number(code)),
      Array.from({ length: told }, (_, index) => index),
    );
    slow.response.resume();
    await until(() => slow.closed, "it sees its end");
    assert.equal(slow.response.complete, false);
  });

  test("is not one that is told of ten thousand sessions in one turn", async (t) => {
    const { manager, view } = await startRig(t);
    const listener = await Listener.open(t, await startApi(t, manager));
    const from = { gateway: view.id, addr: "203.0.113.9", port: 1, transport: "tcp", listener: "game" };
    const state = { rejoined: false, lostBytes: 0, admitted: true, dropped: true };
    const one = { ...from, framing: "none", groups: new Set<string>(), joinedAt: 0, ...state };
    for (let id = 0; id < 10_000; id++) {
      const session: Session = { ...one, id, serial: id };
      manager.emit("leave", session, LEFT);
    }
    const events = await listener.untilCount(10_000);
    assert.equal(events.length, 10_000);
    assert.equal(listener.closed, false);
  });
});
