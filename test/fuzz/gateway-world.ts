/**
 * The gateway's end of a link in a world of its own: the real link, sessions and router, with clients that
 * do as they please, under a clock whose hands the fuzzer turns. What the gateway says is heard as a manager
 * would hear it, and held to the protocol, over as many links as an epoch has.
 */

import assert from "node:assert/strict";
import { pino } from "pino";
import type { ManagerChoice } from "../../gateway/choice/choice.ts";
import { type LinkLoss, ManagerLink, type ManagerLinkHandler } from "../../gateway/links/manager-link.ts";
import type { Unacknowledged, Unheard } from "../../gateway/links/unacknowledged.ts";
import { Counters } from "../../gateway/metrics/counters.ts";
import { sessionCommands } from "../../gateway/routers/commands.ts";
import { ManagerRouter } from "../../gateway/routers/manager.ts";
import type { Roster } from "../../gateway/slots/roster.ts";
import type { Gate, Sessions } from "../../gateway/slots/sessions.ts";
import type { EndCause, SessionRouter, Slot } from "../../gateway/slots/slot.ts";
import type { Secret } from "../../link/secret.ts";
import type { Register, Registered } from "../../proto/bodies.ts";
import { fromGatewayBounds, isNumberedFromGateway } from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromGatewayHandler, readFromGateway } from "../../proto/from-gateway.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { GAME, LIMITS, startKeeping } from "../helpers/sessions.ts";
import { FakeStream } from "../link/fake-stream.ts";
import { FuzzClient } from "./fuzz-client.ts";
import type { Random } from "./random.ts";

export const MAX_CAPACITY = 48;

/** The most sessions that the other manager allows. */
const ELSEWHERE_CAPACITY = 12;

const MAX_PAST = 100;

const log = pino({ level: "silent" });

/** Clients come from so many addresses. */
const ADDRESSES = 24;

const limits = {
  ...LIMITS,
  registerTimeoutMs: 1000,
  linkBufferBytes: 4096,
  retainBytes: 6000,
  maxFrame: 128 * 1024,
  maxCapacity: MAX_CAPACITY,
  userPolicy: "refuse-new",
  reconnectMinMs: 1,
  reconnectMaxMs: 10,
  clientBufferBytes: 16 * 1024,
  halfCloseMs: 200,
  flushTimeoutMs: 300,
  ackTimeoutMs: 400,
  admitTimeoutMs: 150,
} as const;

/** Counts who is in, and keeps addresses out that were banned on the present link. */
class BanGate implements Gate {
  inside = 0;
  /** Who is in may have to go. */
  changed = () => {};
  readonly #banned = new Set<string>();

  enter(address: string): "banned" | undefined {
    if (this.#banned.has(address)) return "banned";
    this.inside++;
    return undefined;
  }

  leave(): void {
    this.inside--;
  }

  tolerates(address: string): "banned" | undefined {
    return this.#banned.has(address) ? "banned" : undefined;
  }

  ban(address: string, ms: number): void {
    if (ms === 0) return;
    this.#banned.add(address);
    this.changed();
  }

  pardon(): void {
    this.#banned.clear();
  }
}

/** New clients go to the manager that is fuzzed, and to no other. */
const OWN: ManagerChoice = {
  needsOpening: false,
  choose: (_applicant, open) => open.find(({ name }) => name === "fuzzed") ?? "no-manager",
};

/**
 * Another manager of the gateway, which is always there: it counts what it is told, and gives its sessions back by and by.
 */
class Elsewhere implements SessionRouter {
  readonly isCrowded = false;
  readonly sessions = new Set<number>();
  /** Those that have ended, which it has yet to acknowledge. */
  readonly #ended: number[] = [];
  inBytes = 0;
  movedIn = 0;
  /** How many messages have come with sessions, that the manager before had not taken. */
  comeAlong = 0;

  joined({ session, transfer, connection, admitted, rejoins }: Slot): void {
    assert.ok(transfer?.manager === "fuzzed" && transfer.session !== session, "it comes from the other one");
    assert.deepEqual([admitted, rejoins, this.sessions.has(session)], [true, false, false]);
    assert.ok(connection instanceof FuzzClient);
    connection.wasSession(transfer.session);
    this.sessions.add(session);
    this.movedIn++;
  }

  canTell({ transfer }: Slot): boolean {
    return transfer?.data?.length !== TOO_BIG;
  }

  message({ session, transfer }: Slot, _bytes: Buffer, start: number, end: number): void {
    assert.ok(this.sessions.has(session), "a message of a session that is not there");
    // What comes with the session was said to the other manager, and told there too.
    if (transfer === undefined) this.inBytes += end - start;
    else this.comeAlong++;
  }

  unheard(_slot: Slot, received: number): Unheard {
    return { received, forEach() {} };
  }

  disconnected({ session }: Slot, { reason }: EndCause): void {
    assert.ok(this.sessions.delete(session), "a session has left that was not there");
    if (reason !== "handoff") this.#ended.push(session);
  }

  acknowledge(roster: Roster): void {
    for (const session of this.#ended.splice(0)) roster.drop(session);
  }
}

/** Data of this length is more than the other manager takes. */
export const TOO_BIG = 77;

export class GatewayWorld {
  readonly clock = new FakeClock();
  readonly counters = new Counters();
  readonly link: ManagerLink;
  readonly sessions: Sessions;
  readonly roster: Roster;
  readonly elsewhere = new Elsewhere();
  readonly #elsewhereRoster: Roster;
  /** How the present link ended. */
  loss: LinkLoss | undefined;
  /** The heartbeat's interval of the present link, milliseconds. */
  pingMs = 0;
  stream = new FakeStream();
  /** What a manager knows of the sessions of the present epoch. */
  readonly live = new Set<number>();
  readonly unacknowledged = new Set<number>();
  /** Those of the sessions that wait to be admitted, and those that were. */
  readonly asking = new Set<number>();
  readonly admitted = new Set<number>();
  /** Messages of sessions that had to be admitted, over all links. */
  admittedMessages = 0;
  /** Links that went on with an epoch, sessions that were announced again, and times that clients had to wait. */
  resumed = 0;
  rejoined = 0;
  /** Sessions that came back from the other manager, as it was told. */
  movedBack = 0;
  lostBytes = 0;
  behind = 0;
  /** Sessions that have ended, on this link or one before. */
  readonly past: number[] = [];
  readonly clients = new Set<FuzzClient>();
  /** The present link's nonce, as it was registered with, and the proof that was answered. */
  nonce: Uint8Array = Buffer.alloc(0);
  proof: Uint8Array | undefined;
  /** Whether what clients get is looked at: not when what was sent to them was spoiled. */
  checkClients = true;
  /** Whether clients are held when the present link is lost. */
  holding = false;

  /** The epoch, as its manager has it: how many frames it has handled, and what it has said itself. */
  epoch: Uint8Array = Buffer.alloc(16);
  received = 0;
  readonly said: Buffer[] = [];
  /** How many of these the gateway was given whole, and how many it has acknowledged. */
  fed = 0;
  acknowledged = 0;
  /** Nothing that the manager has said in this epoch was spoiled. */
  epochClean = true;
  /** What the present link's `Register` has asked for. */
  resume: Register["resume"];
  /** What the gateway can still ask for. */
  #resumable = false;
  /** The first link of the epoch has not yet told that it listens. */
  #rejoining = false;
  #firstLink = false;
  /** Bytes of messages that were heard in the epoch, and those of all clients before it. */
  #heardBytes = 0;
  #inBytesBefore = 0;

  readonly #random: Random;
  /** The one buffer that the link is read into, like a real one's. */
  #readBuffer = Buffer.alloc(0);
  #ear: FrameReader;
  #registered = false;
  readonly #gate = new BanGate();

  constructor(random: Random, secret?: Secret) {
    this.#random = random;
    this.#ear = this.#newEar();
    this.link = new ManagerLink({
      dial: (read) => this.stream.open(read),
      identity: () => ({ name: "fuzzed", pid: 1, endpoints: [] }),
      vitals: () => ({
        sessions: this.roster.liveCount,
        capacity: this.sessions.table.capacity,
        slots: this.sessions.slotCounts(),
      }),
      get handler() {
        return handler;
      },
      limits,
      secret,
      clock: this.clock,
      random: () => random.next(),
    });
    const { counters, clock } = this;
    this.sessions = startKeeping({ choice: OWN, gate: this.#gate, limits, counters, clock });
    this.roster = this.sessions.addManager("fuzzed", new ManagerRouter(this.link, this.clock));
    this.#elsewhereRoster = this.sessions.addManager("elsewhere", this.elsewhere);
    this.#elsewhereRoster.resize(ELSEWHERE_CAPACITY);
    this.#elsewhereRoster.closedFor = undefined;
    const handler: ManagerLinkHandler = {
      ...sessionCommands(this.roster, this.link, counters, log),
      shutdown() {},
      registered: (registered, unacknowledged) => this.#letIn(registered, unacknowledged),
      readDone: () => this.sessions.flush(),
      congested: (congested) => this.roster.setPaused(congested),
      behind: (behind) => {
        if (behind) this.behind++;
        this.roster.behind = behind;
      },
      acknowledged: () => this.roster.acknowledged(),
      lost: (loss) => this.#lost(loss),
    };
    this.#gate.changed = () => this.sessions.recheck();
  }

  /** Whether the present link can still be fed. */
  get open(): boolean {
    return !this.stream.destroyed;
  }

  /** Begins a new link. */
  dial(): void {
    this.stream = new FakeStream();
    this.#ear = this.#newEar();
    this.#registered = false;
    this.loss = undefined;
    this.proof = undefined;
    this.pingMs = 0;
    this.checkClients = true;
    this.resume = undefined;
    this.#gate.pardon();
    this.link.dial();
  }

  /** The manager is about to begin a new epoch: it knows nobody. */
  beginEpoch(epoch: Uint8Array): void {
    this.epoch = epoch;
    this.epochClean = true;
    this.received = 0;
    this.said.length = 0;
    this.fed = 0;
    this.acknowledged = 0;
    this.live.clear();
    this.unacknowledged.clear();
    this.asking.clear();
    this.admitted.clear();
    this.#rejoining = true;
    this.#firstLink = true;
    this.#heardBytes = 0;
  }

  /** Gives the link a piece of what its manager sends; the memory is used again if the gateway lets it. */
  feed(piece: Buffer): void {
    if (this.#readBuffer.length < piece.length) this.#readBuffer = Buffer.alloc(Math.max(1024, piece.length));
    piece.copy(this.#readBuffer);
    const reusable = this.stream.feed(this.#readBuffer, piece.length);
    if (reusable) this.#readBuffer.fill(0, 0, piece.length);
    else this.#readBuffer = Buffer.alloc(0);
  }

  /** Hears what the gateway wrote. */
  hear(): void {
    for (const bytes of this.stream.writes.splice(0)) this.#ear.push(bytes);
    const allHeard = this.link.up && this.link.queuedBytes === 0;
    if (allHeard && this.epochClean)
      assert.equal(this.#heardBytes, this.#inBytes - this.#inBytesBefore, "what clients said");
  }

  /** What clients have said to the manager that is fuzzed. */
  get #inBytes(): number {
    return this.counters.inBytes - this.elsewhere.inBytes;
  }

  /** Of what the gateway wrote, the end never arrives. */
  loseInTransit(): void {
    const written = Buffer.concat(this.stream.writes.splice(0));
    this.#ear.push(written.subarray(0, this.#random.below(written.length + 1)));
    this.#ear.stop();
  }

  /** The manager is about to say `Admit`. */
  admits(session: number): void {
    if (this.asking.delete(session)) this.admitted.add(session);
  }

  /** A few things that happen to clients. */
  stirClients(): void {
    const random = this.#random;
    for (let left = random.below(9); left > 0; left--) {
      const [client] = random.chance(0.3) ? [this.#newClient()] : [random.pick([...this.clients, undefined])];
      if (client === undefined) continue;
      const event = random.below(12);
      if (event < 6) client.says(random.bytes(random.chance(0.05) ? 3000 : random.below(60)));
      else if (event < 7) client[random.chance(0.5) ? "halfCloses" : "leaves"]();
      else if (event < 8) this.#end(client, random.pick([undefined, "ECONNRESET", "EPIPE", "ETIMEDOUT"]));
      else if (event < 9) client.stuck = true;
      else client.unstick();
    }
    if (random.chance(0.3)) this.#giveBack();
    if (random.chance(0.3)) this.elsewhere.acknowledge(this.#elsewhereRoster);
    this.#endClients();
  }

  /** The other manager hands one of its sessions over in its turn, where that can be. */
  #giveBack(): void {
    const random = this.#random;
    const session = random.pick([...this.elsewhere.sessions, undefined]);
    if (session === undefined) return;
    const data = random.chance(0.5) ? undefined : random.bytes(random.below(50));
    const { refusal } = this.roster;
    const { staleFrames } = this.counters;
    const refused = this.#elsewhereRoster.handOff(session, { manager: "fuzzed", data });
    // It may be about to end.
    if (this.counters.staleFrames > staleFrames) return;
    if (refusal !== undefined) assert.equal(refused, refusal === "no-slot" ? "no-slot" : "no-manager");
    assert.equal(this.elsewhere.sessions.has(session), refused !== undefined);
  }

  /** Nobody waits for the clients any more. */
  letGo(): void {
    this.roster.detach("manager-lost");
    this.link.forget();
    this.#resumable = false;
  }

  /** Asserts that the link has left nothing behind but clients that are held, if they are. */
  settle(): void {
    assert.ok(this.loss !== undefined, "the link has not ended");
    assert.deepEqual([this.link.down, this.link.up, this.stream.destroyed], [true, false, true]);
    this.#readBuffer = Buffer.alloc(0);
    if (!this.holding) this.#clearOut();
    // One client may be about to be refused.
    const most = this.holding ? 2 : 1;
    assert.ok(this.clock.timerCount <= most, "timers are left beside the sweep");
  }

  /** Ends every client, and asserts that nothing is left of them. */
  #clearOut(): void {
    for (const client of this.clients) this.#end(client);
    this.elsewhere.acknowledge(this.#elsewhereRoster);
    assert.equal(this.elsewhere.sessions.size, 0, "the other manager has sessions left");
    const { table, liveCount, connectedCount } = this.sessions;
    assert.deepEqual([liveCount, connectedCount, table.usedCount], [0, 0, 0], "sessions are left");
    const { userCount, groupCount } = this.sessions.directory;
    assert.deepEqual([userCount, groupCount], [0, 0], "names are left");
    assert.equal(this.#gate.inside, 0, "addresses are counted that have left");
  }

  #letIn({ capacity, pingMs, admit, resumed }: Registered, unacknowledged: Unacknowledged | undefined): void {
    assert.equal(unacknowledged === undefined, resumed);
    this.pingMs = pingMs;
    this.#resumable = true;
    this.roster.admission = admit === true;
    this.roster.resize(capacity);
    if (unacknowledged === undefined) {
      this.resumed++;
      this.#firstLink = false;
    } else {
      this.#inBytesBefore = this.#inBytes;
      this.roster.orphan(unacknowledged);
    }
    this.roster.release();
    while (this.roster.adriftCount > 0) this.roster.rejoin(5);
    this.link.listening([]);
    this.roster.closedFor = undefined;
  }

  #lost(loss: LinkLoss): void {
    assert.equal(this.loss, undefined, "a link was lost twice");
    this.loss = loss;
    this.roster.closedFor = "no-manager";
    if (loss.kind === "protocol-error") this.#resumable = false;
    if (this.holding) this.roster.hold();
    else this.letGo();
  }

  #newClient(): FuzzClient | undefined {
    if (this.clients.size > MAX_CAPACITY + 8) return undefined;
    const random = this.#random;
    const client = new FuzzClient(`192.0.2.${random.below(ADDRESSES)}`);
    client.checked = this.checkClients;
    this.clients.add(client);
    this.sessions.accept(client, GAME);
    if (random.chance(0.2)) client.blurts(random.bytes(random.below(60)));
    return client;
  }

  /** Connections that the gateway ended, and that nothing holds up, are gone after a while. */
  #endClients(): void {
    for (const client of this.clients) {
      client.checked &&= this.checkClients;
      const through = client.ended || (client.finishing && !client.stuck);
      if (through && this.#random.chance(0.7)) this.#end(client);
    }
  }

  #end(client: FuzzClient, code?: string): void {
    this.clients.delete(client);
    client.goes(code);
  }

  #newEar(): FrameReader {
    const handler = this.#manager();
    return new FrameReader(fromGatewayBounds, limits.maxFrame, (type, bytes, start, end) => {
      readFromGateway(handler, type, bytes, start, end);
      if (isNumberedFromGateway(type)) this.received++;
    });
  }

  /** A gateway asks to go on where it can, and says truly how far it has come. */
  #asks(resume: Register["resume"]): void {
    this.resume = resume;
    assert.equal(resume !== undefined, this.#resumable, "whether it asks to go on");
    if (resume === undefined) return;
    assert.deepEqual(Buffer.from(resume.epoch), Buffer.from(this.epoch));
    if (this.epochClean) assert.equal(resume.received, this.fed, "how many frames it has handled");
  }

  /** A manager's ear: what the gateway says must make sense. */
  #manager(): FromGatewayHandler {
    return {
      register: ({ nonce, resume }) => {
        assert.equal(this.#registered, false, "Register twice");
        this.#registered = true;
        this.nonce = nonce;
        this.#asks(resume);
      },
      proof: ({ proof }) => {
        assert.ok(this.#registered && this.proof === undefined && this.pingMs === 0, "a Proof out of place");
        this.proof = proof;
      },
      listening: () => {
        assert.ok(this.#registered && this.pingMs > 0, "Listening before Registered");
        this.#rejoining = false;
      },
      ack: (frames) => {
        assert.ok(frames >= this.acknowledged, "fewer frames are acknowledged than before");
        if (this.epochClean) assert.ok(frames <= this.fed, "frames are acknowledged that never came");
        this.acknowledged = frames;
      },
      ping: ({ sessions }) => assert.ok(sessions <= MAX_CAPACITY),
      draining: () => assert.fail("nobody asked for Draining"),
      join: (session, { rejoin = false, admitted = false, lostBytes = 0, from, fromSession }) => {
        assert.equal(from === undefined, fromSession === undefined);
        if (from !== undefined) {
          assert.ok(from === "elsewhere" && admitted, "one that was handed over is in");
          this.movedBack++;
        }
        if (this.#firstLink) assert.equal(rejoin, this.#rejoining, "rejoins come first, before Listening");
        if (rejoin) this.rejoined++;
        this.lostBytes += lostBytes;
        assert.ok(
          !this.live.has(session) && !this.unacknowledged.has(session),
          "a CLJoin for a session that is there",
        );
        this.live.add(session);
        if (this.roster.admission && !admitted) this.asking.add(session);
      },
      message: (session, _bytes, start, end) => {
        this.#heardBytes += end - start;
        assert.ok(this.live.has(session), "a Msg of a session that is not there");
        if (this.admitted.has(session)) this.admittedMessages++;
        if (this.checkClients) assert.ok(!this.asking.has(session), "a Msg of a session that is not let in");
      },
      bindRefused: (session) =>
        assert.ok(this.live.has(session), "a BindRefused of a session that is not there"),
      handoffRefused: (session) =>
        assert.ok(this.live.has(session), "a HandoffRefused of a session that is not there"),
      disconnected: (session, { reason, by }) => {
        this.asking.delete(session);
        this.admitted.delete(session);
        assert.ok(this.live.delete(session), "a CLDisconnected of a session that is not there");
        if (reason === "handoff") assert.equal(by, "manager");
        else this.unacknowledged.add(session);
        this.past.push(session);
        if (this.past.length > MAX_PAST) this.past.shift();
      },
    };
  }
}
