/**
 * A gateway's sessions, its managers at the end of a wire each, and a few clients, in one order of what they do; and what must
 * hold in each. The gateway and its clients are one party, since what a client does can as well be done when the gateway gets
 * to see it; the managers are the others.
 */

import assert from "node:assert/strict";
import { pino } from "pino";
import { ByListener } from "../../gateway/choice/by-listener.ts";
import type { Unheard } from "../../gateway/links/unacknowledged.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { type SessionCommands, sessionCommands } from "../../gateway/routers/commands.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { Sessions } from "../../gateway/slots/sessions.ts";
import type { Slot } from "../../gateway/slots/slot.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { FakeConnection } from "../helpers/fake-connection.ts";
import { addOpenManager, GAME, LIMITS, startKeeping } from "../helpers/sessions.ts";
import { type Guest, type House, isOpen, Ledger } from "./crossing-ledger.ts";
import { CrossingManager, type Said, type Told, type Word } from "./crossing-manager.ts";
import type { Course, Move } from "./every-order.ts";
import { SWEEP_MS } from "./support.ts";

/** What a client may do once, after it has come. */
export type ClientAct = "says" | "halfCloses" | "closes" | "resets";

/** What may happen to the gateway once. `waits`: every deadline that is set comes. */
export type GatewayAct = "ends" | "cuts" | "waits" | `closes ${string}` | `opens ${string}`;

export interface Cast {
  /** By manager, the words that it may say. */
  readonly words: Readonly<Record<string, readonly Word[]>>;
  /** By client, what it may do; the manager that it goes to is `a`. */
  readonly clients: readonly (readonly ClientAct[])[];
  readonly gateway?: readonly GatewayAct[];
  /** How many slots there are for all. */
  readonly slots?: number;
  /** How many sessions each manager takes, where not as many as there are slots. */
  readonly capacities?: Readonly<Record<string, number>>;
  /** The managers that want to be asked. */
  readonly asking?: readonly string[];
  /** The deadline of an acknowledgement is one that can come. */
  readonly acknowledgedInTime?: boolean;
}

/** Shorter than a sweep: at each all of them have come. */
const SOON_MS = 10;
const silent = pino({ enabled: false });

/** A move of the gateway's or of its clients: its name, and how it is made. */
type OwnMove = readonly [name: string, make: (world: CrossingWorld) => void];

interface Client {
  readonly guest: Guest;
  readonly connection: FakeConnection;
  readonly left: ClientAct[];
  came: boolean;
}

interface Party {
  /** What its manager was told, in the order of the numbers. */
  readonly log: Told[];
  readonly manager: CrossingManager;
  readonly roster: Roster;
  readonly house: House;
  readonly commands: SessionCommands;
}

export class CrossingWorld implements Course<CrossingWorld> {
  readonly #cast: Cast;
  readonly #clock = new FakeClock();
  readonly #counters = new Counters();
  readonly #sessions: Sessions;
  readonly #parties = new Map<string, Party>();
  readonly #ledger: Ledger;
  readonly #clients: readonly Client[];
  readonly #gatewayLeft: GatewayAct[];
  /** What the gateway has said to its managers since the last move. */
  readonly #said: string[] = [];

  constructor(cast: Cast) {
    this.#cast = cast;
    const { words, clients, gateway = [], slots = 1, acknowledgedInTime = false } = cast;
    this.#sessions = startKeeping({
      choice: new ByListener(new Set(Object.keys(words))),
      limits: {
        ...LIMITS,
        maxCapacity: slots,
        admitTimeoutMs: SOON_MS,
        halfCloseMs: SOON_MS,
        flushTimeoutMs: SOON_MS,
        ackTimeoutMs: acknowledgedInTime ? SOON_MS : Number.POSITIVE_INFINITY,
      },
      counters: this.#counters,
      clock: this.#clock,
    });
    const houses = new Map<string, House>();
    this.#ledger = new Ledger(houses);
    for (const [name, said] of Object.entries(words)) {
      const party = this.#addParty(new CrossingManager(name, said));
      this.#parties.set(name, party);
      houses.set(name, party.house);
    }
    this.#clients = clients.map((acts) => ({
      guest: { said: [], got: "", held: "", halfClosed: false, cut: false, cause: undefined },
      connection: new FakeConnection(),
      left: [...acts],
      came: false,
    }));
    this.#gatewayLeft = [...gateway];
  }

  moves(): readonly Move<CrossingWorld>[] {
    const managers = [...this.#parties.values()].map(({ manager }) => manager);
    // What it can do nobody changes, and nobody sees it before the gateway reads it.
    const hearing = managers.find(({ toHear }) => toHear.length > 0);
    if (hearing !== undefined) return movesOfManager(hearing);
    const ofGateway: OwnMove[] = this.#clients.flatMap((client, i) => this.#movesOf(client, i));
    for (const act of new Set(this.#gatewayLeft)) ofGateway.push([act, (world) => world.#happen(act)]);
    for (const { name, toRead } of managers) {
      // A read brings as many frames as are there, or fewer.
      for (let count = 1; count <= toRead.length; count++)
        ofGateway.push([`reads ${count} of ${name}`, (world) => world.#read(name, count)]);
    }
    return [
      ...ofGateway.map(([name, make]) => ({ party: "gateway", name, make })),
      ...managers.flatMap(movesOfManager),
    ];
  }

  /** Who is still there goes, and all that is on a wire comes to its end. */
  end(): void {
    for (const client of this.#clients)
      if (client.came && !client.connection.gone) this.#goes(client, "client-closed");
    this.check();
    while (!this.#isQuiet()) {
      for (const party of this.#parties.values()) {
        while (party.manager.toHear.length > 0) party.manager.hear();
        this.#read(party.manager.name, party.manager.toRead.length);
        this.check();
      }
    }
    for (const { manager } of this.#parties.values()) manager.checkDone();
    assert.equal(this.#sessions.table.usedCount, 0, "capacity leaked");
    assert.equal(
      this.#counters.unacknowledged,
      this.#ledger.unacknowledged,
      "an acknowledgement was not taken for one",
    );
    for (const { guest } of this.#clients) this.#checkHeard(guest);
    this.#sessions.stop();
  }

  check(): void {
    const { table } = this.#sessions;
    const [said, says] = [this.#said, this.#ledger.says].map((frames) => frames.splice(0).join("\n"));
    assert.equal(said, says, "a manager was told something else");
    assert.equal(
      this.#counters.staleFrames,
      this.#ledger.staleFrames,
      "a frame was taken for stale, or was not",
    );
    const freed = table.slots.filter(({ phase }) => phase === "freed").map(({ index }) => index);
    assert.equal(
      table.freeList.toSorted().join(),
      freed.join(),
      "the free list does not hold the freed slots",
    );
    for (const { session, phase } of table.slots) assert.equal(session === 0, phase === "freed");
    for (const [name, { roster }] of this.#parties) {
      assert.equal(roster.sessionCount, this.#ledger.count(name), `${name} has another number of sessions`);
      assert.equal(roster.liveCount, this.#ledger.count(name, "open"), `${name} has another number in use`);
    }
    for (const { connection, guest } of this.#clients) {
      assert.equal(connection.delivered.join(""), guest.got, "a client got something else than it was sent");
      const { finishing, ending, gone } = connection;
      assert.equal(ending !== undefined, guest.cut, "a connection was cut, or was not");
      const stay = this.#ledger.stayOf(guest);
      if (stay !== undefined && !gone)
        assert.equal(!finishing && !guest.cut, isOpen(stay), "a connection was ended, or was not");
    }
  }

  manager(name: string): CrossingManager {
    return this.#party(name).manager;
  }

  /** Nothing is on a wire. */
  #isQuiet(): boolean {
    return [...this.#parties.values()].every(
      ({ manager: { toHear, toRead } }) => toHear.length + toRead.length === 0,
    );
  }

  #addParty(manager: CrossingManager): Party {
    const { name } = manager;
    const log: Told[] = [];
    const tell = (told: Told): void => {
      log.push(told);
      manager.toHear.push(told);
    };
    const { slots = 1, capacities = {}, asking = [] } = this.#cast;
    const house = { capacity: capacities[name] ?? slots, admission: asking.includes(name), closed: false };
    const roster = addOpenManager(
      this.#sessions,
      name,
      {
        joined: (slot) => tell(this.#joined(manager, slot)),
        message: ({ session }, bytes, start, end) => {
          const text = bytes.toString("utf8", start, end);
          this.#said.push(`${name}: ${session} says ${text}`);
          tell({ kind: "message", session, text });
        },
        unheard: ({ session }, received) => unheard(log, session, received),
        disconnected: ({ session, transfer }, cause) => {
          this.#said.push(`${name}: ${session} ended by ${cause.by} ${cause.reason}`);
          tell({ kind: "end", session, cause, received: transfer?.unheard?.received });
        },
      },
      house.capacity,
    );
    roster.admission = house.admission;
    const link = {
      bindRefused: () => {},
      handoffRefused: (session: number, { code }: { readonly code: string }) => {
        this.#said.push(`${name}: ${session} stays, ${code}`);
        tell({ kind: "refused", session });
      },
    };
    return { log, manager, roster, house, commands: sessionCommands(roster, link, this.#counters, silent) };
  }

  #joined({ name }: CrossingManager, slot: Slot): Told {
    const { session, transfer, connection } = slot;
    const from = transfer && ` from ${transfer.manager} ${transfer.session} with ${transfer.data ?? ""}`;
    this.#said.push(`${name}: join${from ?? ""}`);
    const guest = this.#clients.find((client) => client.connection === connection)?.guest;
    assert.ok(guest !== undefined);
    const before = this.#ledger.stayOf(guest);
    assert.ok(before === undefined || before.state === "over", "two managers have one session");
    assert.ok(!this.#ledger.stays.some((stay) => stay.session === session), "an id was given twice");
    const { state } = this.#ledger.joined(name, session, guest);
    return { kind: "join", session, asks: state === "asking" };
  }

  #movesOf({ came, left, connection, guest }: Client, place: number): OwnMove[] {
    const moves: OwnMove[] = [];
    const can = (act: ClientAct | "comes" | "goes") =>
      moves.push([`client ${place} ${act}`, (world) => world.#act(place, act)]);
    if (!came && this.#hasRoom()) can("comes");
    if (!came || connection.gone) return moves;
    const ended = connection.ending !== undefined;
    for (const act of new Set(left)) {
      const isHeard = act === "closes" || act === "resets" || (!ended && !guest.halfClosed);
      if (isHeard && (act !== "says" || !connection.paused)) can(act);
    }
    // Who is told of its end, or cut, is gone some time later.
    const isToGo = ended || connection.finishing;
    if (isToGo && !left.includes("closes")) can("goes");
    return moves;
  }

  #hasRoom(): boolean {
    const { usedCount, capacity } = this.#sessions.table;
    return usedCount < capacity && this.#ledger.refusalOf("a") === undefined;
  }

  #act(place: number, act: ClientAct | "comes" | "goes"): void {
    const client = this.#clients[place];
    assert.ok(client !== undefined);
    const { guest, connection, left } = client;
    if (act === "comes") {
      this.#come(client);
      return;
    }
    if (act !== "goes") left.splice(left.indexOf(act), 1);
    if (act === "halfCloses") {
      this.#ledger.halfCloses(guest);
      connection.halfCloses();
    } else if (act === "says") {
      const text = `${place}.${left.length};`;
      this.#ledger.talks(guest, text);
      connection.says(text);
    } else {
      this.#goes(client, act === "resets" ? "client-reset" : "client-closed");
    }
  }

  #come(client: Client): void {
    client.came = true;
    this.#ledger.comes("a");
    this.#sessions.accept(client.connection, { ...GAME, manager: "a" });
  }

  #goes({ guest, connection }: Client, reason: "client-closed" | "client-reset"): void {
    this.#ledger.goes(guest, reason);
    connection.goes(reason === "client-reset" ? "ECONNRESET" : undefined);
  }

  #happen(act: GatewayAct): void {
    this.#gatewayLeft.splice(this.#gatewayLeft.indexOf(act), 1);
    if (act === "waits") {
      this.#ledger.waits(this.#cast.acknowledgedInTime === true);
      this.#clock.advance(SWEEP_MS);
    } else if (act === "ends") {
      this.#ledger.ends();
      this.#sessions.endAll("shutdown");
    } else if (act === "cuts") {
      this.#ledger.cuts();
      this.#sessions.cutAll("shutdown");
    } else {
      this.#open(act.slice(act.indexOf(" ") + 1), act.startsWith("opens"));
    }
  }

  #party(name: string): Party {
    const party = this.#parties.get(name);
    assert.ok(party !== undefined);
    return party;
  }

  #open(name: string, open: boolean): void {
    const party = this.#party(name);
    party.house.closed = !open;
    party.roster.closedFor = open ? undefined : "no-manager";
  }

  #read(name: string, count: number): void {
    const { manager, commands } = this.#party(name);
    for (const said of manager.toRead.splice(0, count)) {
      this.#ledger.reads(said, textsBehind(this.#party(name).log, said));
      carryOut(commands, said);
    }
    this.#ledger.flush();
    this.#sessions.flush();
  }

  /** What a client said came once and in order, to whoever had it. */
  #checkHeard(guest: Guest): void {
    const heard = this.#ledger.stays
      .filter((stay) => stay.guest === guest)
      .flatMap(({ manager, session }) => this.#party(manager).manager.heardFrom(session));
    assert.deepEqual(heard, guest.said, "what a client said was lost, doubled or out of order");
  }
}

/** What the client of a session said behind so many of the frames. */
function unheard(log: readonly Told[], session: number, received: number): Unheard {
  const texts = textsBehind(log, { session, received });
  return {
    received,
    forEach(visit) {
      for (const bytes of texts.map((text) => Buffer.from(text))) visit(bytes, 0, bytes.length);
    },
  };
}

function textsBehind(log: readonly Told[], { session, received = log.length }: Partial<Said>): string[] {
  const behind = log.slice(received).filter((told) => told.session === session);
  return behind.flatMap((told) => (told.kind === "message" ? [told.text] : []));
}

function carryOut(commands: SessionCommands, { word, session, text, received }: Said): void {
  const bytes = Buffer.from(text);
  if (word === "send") commands.message(session, bytes, 0, bytes.length);
  else if (word === "drop") commands.drop(session, {});
  else if (word === "discard") commands.dropDiscard(session, {});
  else if (word === "admit") commands.admit(session);
  else commands.handoff(session, { manager: word.slice("handoff to ".length), data: bytes, received });
}

function movesOfManager(manager: CrossingManager): Move<CrossingWorld>[] {
  const { name: party } = manager;
  return manager.choices().map((choice) => ({
    party,
    name: choice === "hear" ? choice : `${choice.word} ${choice.session}`,
    make: (world) => world.manager(party).choose(choice),
  }));
}
