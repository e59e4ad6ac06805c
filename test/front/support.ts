/** What the tests of the front share: a gateway with its manager, whose manager remembers what it hears. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Logger } from "pino";
import type { Gateway } from "../../gateway/gateway.ts";
import type {
  Gateway as GatewayView,
  ManagerServerOptions,
  Session,
  SessionEnd,
} from "../../manager-stub/index.ts";
import { TestClient } from "../helpers/client.ts";
import type { FakeClock } from "../helpers/fake-clock.ts";
import { type Rig, type Settings, startManager, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";
import { WebSocketClient } from "../helpers/ws-client.ts";

export interface Front extends Omit<Rig, "client"> {
  readonly joins: Session[];
  readonly messages: { readonly session: Session; readonly text: string }[];
  readonly ends: { readonly session: Session; readonly end: SessionEnd }[];
  /** The port of the listener of a name. */
  portOf(name: string): number;
  /** Who was turned away, and how often. */
  refusals(): Record<string, number>;
  /** The session that joined as the `nth`, counted from 1. */
  joined(nth?: number): Promise<Session>;
  /** The session that ended as the `nth`, and why. */
  ended(nth?: number): Promise<SessionEnd>;
  /** Waits until so many messages have come, and gives all texts. */
  heard(count: number): Promise<string[]>;
  /** A plain client of a listener; the first one's if none is named. It is closed with the test. */
  dial(name?: string, host?: string): Promise<TestClient>;
  /** A WebSocket of a listener. It is closed with the test. */
  dialWeb(
    name?: string,
    path?: string,
    options?: Parameters<typeof WebSocketClient.connect>[2],
  ): Promise<WebSocketClient>;
  /** Waits until exactly these were turned away. */
  untilRefused(refusals: Record<string, number>): Promise<void>;
}

export interface FrontSetUp {
  readonly settings?: Settings;
  readonly manager?: ManagerServerOptions;
  /** The gateway's clock, where the test turns its hands. */
  readonly clock?: FakeClock | undefined;
  readonly log?: Logger | undefined;
}

/** The longest heartbeat: a link that is silent while a test turns the clock is not dead. */
const SLOW_PING_MS = 600_000;

/** A rig whose gateway has another clock or log. */
async function startOwnRig(t: TestContext, { settings = {}, manager: options = {}, clock, log }: FrontSetUp) {
  const { manager, link } = await startManager(t, { pingMs: SLOW_PING_MS, ...options });
  const up = next<[GatewayView]>(manager, "gatewayUp");
  if (clock !== undefined) t.after(() => keepGoing(clock, gateway));
  const extra = { ...(clock !== undefined && { clock }), ...(log !== undefined && { log }) };
  const gateway = await startTestGateway(t, link, settings, extra);
  const [view] = await up;
  return { manager, gateway, view, port: view.endpoints[0]?.port ?? 0, link };
}

/** Lets time pass until a gateway that is about to end has. */
function keepGoing(clock: FakeClock, gateway: Gateway): void {
  let over = false;
  gateway.ended.then(() => {
    over = true;
  });
  void until(() => {
    clock.advance(100);
    return over;
  }, "the gateway has ended");
}

/** Starts a gateway with these listeners, and a manager that lets everybody do as they like. */
export async function startFront(
  t: TestContext,
  listen: string | readonly (string | object)[],
  setUp: FrontSetUp = {},
): Promise<Front> {
  const rig = await startOwnRig(t, { ...setUp, settings: { listen: [listen].flat(), ...setUp.settings } });
  const joins: Session[] = [];
  const messages: Front["messages"] = [];
  const ends: Front["ends"] = [];
  rig.manager.on("join", (session) => joins.push(session));
  rig.manager.on("message", (session, payload) => messages.push({ session, text: payload.toString() }));
  rig.manager.on("leave", (session, end) => ends.push({ session, end }));

  const portOf = (name: string) => {
    const endpoint = rig.view.endpoints.find((one) => one.name === name);
    if (endpoint === undefined) throw new Error(`there is no listener '${name}'`);
    return endpoint.port;
  };
  const first = () => rig.view.endpoints[0]?.name ?? "";
  const refusals = () =>
    Object.fromEntries(Object.entries(rig.gateway.counters.refusals).filter(([, count]) => count > 0));
  return {
    ...rig,
    joins,
    messages,
    ends,
    portOf,
    refusals,
    async joined(nth = 1) {
      await until(() => joins.length >= nth, `client ${nth} has joined`);
      return nthOf(joins, nth);
    },
    async ended(nth = 1) {
      await until(() => ends.length >= nth, `session ${nth} has ended`);
      return nthOf(ends, nth).end;
    },
    async heard(count) {
      await until(() => messages.length >= count, `${count} messages have come`);
      return messages.map(({ text }) => text);
    },
    async dial(name = first(), host) {
      const client = await TestClient.connect(portOf(name), host);
      t.after(() => client.close());
      return client;
    },
    async dialWeb(name = first(), path = "/", options = {}) {
      const client = await WebSocketClient.connect(`ws://127.0.0.1:${portOf(name)}${path}`, [], options);
      t.after(() => client.close());
      return client;
    },
    async untilRefused(wanted) {
      const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, n) => sum + n, 0);
      await until(() => total(refusals()) >= total(wanted), `${JSON.stringify(wanted)} are refused`);
      assert.deepEqual(refusals(), wanted);
    },
  };
}

function nthOf<T>(list: readonly T[], nth: number): T {
  const one = list[nth - 1];
  if (one === undefined) throw new Error(`there is no ${nth}. one`);
  return one;
}
