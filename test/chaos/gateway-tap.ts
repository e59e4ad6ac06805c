/**
 * Listens in on what a gateway tells its managers, and works out from that alone what each manager must be told: who is
 * there and whose it was before, and for a new one how much of what each client said was never acknowledged
 * (docs/protocol.md, "Nothing lost when the link is cut" and "Handed to another manager").
 */

import type { Gateway } from "../../gateway/gateway.ts";
import type * as body from "../../proto/bodies.ts";
import type { Faults } from "./faults.ts";
import { type LinkListener, LinkTap, type Tally } from "./link-tap.ts";

/** A session as one manager was told of it. */
export interface TappedTenure {
  /** What tells the managers from each other. */
  readonly capacity: number;
  readonly session: number;
  /** What had been handed on of the client before. */
  readonly handed: number;
  /** Whose it was before, if another manager has handed it over. */
  readonly from: { readonly manager: string; readonly session: number } | undefined;
  /** What it was told at the end that went to the next manager instead, bytes. */
  takenBack: number;
}

/** A client's session, under all ids that it has had. */
export interface TappedSession extends Tally {
  readonly join: body.Join;
  /** Its id now, and the manager that has it. */
  id: number;
  manager: string;
  readonly tenures: TappedTenure[];
  /** Bytes that were handed to links, those of them that managers acknowledged, and those that none ever will. */
  handed: number;
  acknowledged: number;
  lost: number;
  /** Its end was handed to a link, or nobody is told of it any more. */
  ended: boolean;
  /** It waits to be announced again; when it ends meanwhile, nobody is told. */
  adrift: boolean;
  /** Its manager was told that another has it, which is to be told at once. */
  between: boolean;
}

/** What held when an epoch began. */
export interface Beginning {
  /** The sessions that are to be announced again, with what was handed of them and lost by then. */
  readonly sessions: ReadonlyMap<number, { readonly handed: number; readonly lost: number }>;
}

export class GatewayTap implements LinkListener {
  /** By every id that they have had. */
  readonly sessions = new Map<number, TappedSession>();
  /** The epochs, by what the manager said its capacity is. */
  readonly beginnings = new Map<number, Beginning>();
  handoffs = 0;
  /** How many of them took along what the client had said behind. */
  takenAlong = 0;
  readonly #gateway: Gateway;
  readonly #faults: Faults;
  readonly #links: readonly LinkTap[];

  constructor(gateway: Gateway, faults: Faults) {
    this.#gateway = gateway;
    this.#faults = faults;
    this.#links = gateway.managers.map((life) => new LinkTap(life, this, faults));
  }

  /** Frames that wait to be acknowledged. */
  get unacknowledged(): number {
    return this.#links.reduce((sum, { unacknowledged }) => sum + unacknowledged, 0);
  }

  get resumes(): number {
    return this.#links.reduce((sum, { resumes }) => sum + resumes, 0);
  }

  /** How many numbered frames were handled of the manager that told this capacity; all there are of one that goes on. */
  handledOf(capacity: number): number {
    const ended = this.#links.map(({ handledOf }) => handledOf.get(capacity));
    return ended.find((handled) => handled !== undefined) ?? Number.POSITIVE_INFINITY;
  }

  /** How a manager was told of a session. */
  tenure(session: number, capacity: number): TappedTenure | undefined {
    return this.sessions
      .get(session)
      ?.tenures.find((one) => one.session === session && one.capacity === capacity);
  }

  joined(link: LinkTap, id: number, join: body.Join): Tally {
    const session = this.#announced(link, id, join);
    const told = join.lostBytes ?? 0;
    const was = `session ${id} has lost ${session.lost}, not ${told}`;
    this.#faults.check(told === session.lost, "miscounted", was);
    const { from: manager, fromSession = 0 } = join;
    const from = manager === undefined ? undefined : { manager, session: fromSession };
    session.tenures.push({
      capacity: link.capacity,
      session: id,
      handed: session.handed,
      from,
      takenBack: 0,
    });
    this.sessions.set(id, session);
    return session;
  }

  said(link: LinkTap, id: number, bytes: number): Tally | undefined {
    const session = this.#known(link, id, "a message");
    if (session !== undefined) session.handed += bytes;
    return session;
  }

  disconnected(
    link: LinkTap,
    id: number,
    { inBytes, reason, received }: body.Disconnected,
  ): Tally | undefined {
    const session = this.#known(link, id, "an end");
    if (session === undefined) return undefined;
    const { handed } = session;
    const what = `session ${id} said ${handed}, not ${inBytes} bytes`;
    this.#faults.check(inBytes === handed, "miscounted", what);
    if (reason !== "handoff") {
      session.ended = true;
      return session;
    }
    session.between = true;
    const tenure = this.tenure(id, link.capacity);
    if (received === undefined || tenure === undefined) {
      this.#faults.add("mistold", `session ${id} was handed over, and from where on is not told`);
      return session;
    }
    // It is about to be handed to the other link, behind the join.
    tenure.takenBack = link.takeBack(session, received);
    session.handed -= tenure.takenBack;
    if (tenure.takenBack > 0) this.takenAlong++;
    return session;
  }

  began({ name, capacity }: LinkTap): void {
    const live = this.#gateway.sessions.table.slots.filter(
      ({ phase, roster }) => roster?.name === name && MOVES_ON.includes(phase),
    );
    const known = live.map(({ session }) => this.sessions.get(session)).filter((one) => one !== undefined);
    const sessions = new Map(known.map(({ id, handed, lost }) => [id, { handed, lost }]));
    this.#faults.check(!this.beginnings.has(capacity), "mistold", "a manager began anew without need");
    this.beginnings.set(capacity, { sessions });
    for (const session of this.sessions.values()) {
      if (session.ended || session.manager !== name) continue;
      session.adrift = sessions.has(session.id);
      session.ended = !session.adrift;
    }
  }

  /** The session that a manager is told of: a new one, one that is announced again, or one that was another manager's. */
  #announced({ name }: LinkTap, id: number, join: body.Join): TappedSession {
    const { rejoin = false, from, fromSession } = join;
    const known = this.sessions.get(fromSession ?? id);
    if (known === undefined) {
      this.#faults.check(!rejoin && from === undefined, "mistold", `join of ${id}, which was not there`);
      const tally = { handed: 0, acknowledged: 0, lost: 0 };
      const state = { ended: false, adrift: false, between: false };
      return { id, manager: name, join, tenures: [], ...tally, ...state };
    }
    const { between, adrift, manager } = known;
    const isDue = from === undefined ? rejoin && adrift : between && !rejoin;
    this.#faults.check(isDue, "mistold", `join of ${id} twice`);
    this.#faults.check(!known.ended, "mistold", `session ${id} is announced behind its end`);
    if (from !== undefined) {
      this.handoffs++;
      const isFrom = from === manager && fromSession === known.id && from !== name;
      this.#faults.check(isFrom, "mistold", `session ${id} of ${name} came from ${from} and not ${manager}`);
    }
    known.adrift = false;
    known.between = false;
    known.id = id;
    known.manager = name;
    return known;
  }

  #known({ name }: LinkTap, id: number, what: string): TappedSession | undefined {
    const session = this.sessions.get(id);
    const isThere = session?.id === id && session.manager === name && !session.between;
    if (isThere && !session.ended && !session.adrift) return session;
    this.#faults.add("mistold", `${what} of session ${id}, which is not there`);
    return undefined;
  }
}

/** The phases of a slot in which its session goes on, whatever becomes of its manager. */
const MOVES_ON: readonly string[] = ["inUse", "asking", "adrift"];
