/**
 * The manager's end of links in a world of its own: the real link and the real picture of its gateway, with an owner
 * that answers at random and holds both to what they promise, under timers that the fuzzer drives. What the manager says
 * is heard as a gateway would hear it, over as many links as an epoch has.
 */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Secret } from "../../link/secret.ts";
import { GatewayLink, type GatewayLinkOwner } from "../../manager-stub/gateway-link.ts";
import { HandoffError } from "../../manager-stub/handoff.ts";
import { type GatewayOwner, RegisteredGateway } from "../../manager-stub/registered-gateway.ts";
import type { Session } from "../../manager-stub/session.ts";
import type * as body from "../../proto/bodies.ts";
import { MAX_HANDOFF_BYTES } from "../../proto/bodies.ts";
import { fromManagerBounds, isNumberedFromManager, MIN_MAX_FRAME, SESSION_BYTES } from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromManagerHandler, readFromManager } from "../../proto/from-manager.ts";
import { FakeStream } from "../link/fake-stream.ts";
import { markOf } from "./fuzz-client.ts";
import { HandTimers } from "./hand-timers.ts";
import type { Random } from "./random.ts";

export const options = {
  pingMs: 200,
  maxFrame: 96 * 1024,
  sendBufferBytes: 48 * 1024,
  registerTimeoutMs: 1000,
  resumeMs: 700,
} as const;

export const secret = new Secret("a secret for the fuzzer");

/** The most sessions that a gateway is given. */
export const MAX_CAPACITY = 24;

/** What a gateway knows of a session of its own. */
export interface GatewaySession {
  readonly id: number;
  ended: boolean;
  /** What it says is read. */
  admitted: boolean;
  /** It is to be another manager's, and that was not answered yet. */
  leaving: boolean;
  /** Its end is not to be acknowledged. */
  handedOver: boolean;
  /** `Drop` frames and `DropDiscard` frames that came for it. */
  drops: number;
  discards: number;
}

/** A session that has just joined. */
export function newSession(id: number, admitted: boolean): GatewaySession {
  return { id, ended: false, admitted, leaving: false, handedOver: false, drops: 0, discards: 0 };
}

/** What becomes of a handoff: that it is done, or why not. */
const outcomes = ["done", "refused", "session-ended", "gateway-lost", "under-way", "no-session"] as const;

export class ManagerWorld {
  readonly timers = new HandTimers();
  link: GatewayLink;
  stream = new FakeStream();
  /** The gateway that the manager has, whether it has a link or not. */
  gateway: RegisteredGateway | undefined;
  /** Whether the present link is that gateway's. */
  registered = false;
  /** How the present link ended. */
  loss: { readonly code: string; readonly message: string } | undefined;
  capacity = 0;
  /** Whether the gateway's sessions wait to be admitted. */
  admission = false;
  /** The gateway's sessions that have not ended, and all that ever were in this epoch, by their id. */
  readonly live = new Map<number, GatewaySession>();
  readonly known = new Map<number, GatewaySession>();
  /** Whether the gateway's frames came as they were meant, on the present link and in the whole epoch. */
  clean = true;
  epochClean = true;
  /** What `Register` is answered with next. */
  rejectNext: body.Rejected | undefined;
  /** Whether the present link has a secret, and what it was challenged with. */
  hasSecret = false;
  challenge: body.Challenge | undefined;
  /** What the present link was answered with. */
  answer: body.Registered | undefined;
  /** The epoch, as its gateway has it: how many frames it has handled, and what it has said itself. */
  epoch: Uint8Array | undefined;
  received = 0;
  readonly said: Buffer[] = [];
  /** How many of these the manager was given whole, and how many it has acknowledged. */
  fed = 0;
  acknowledged = 0;
  /** Everything that was counted over all links. */
  readonly counts = {
    joins: 0,
    rejoins: 0,
    messages: 0,
    lefts: 0,
    pongs: 0,
    drops: 0,
    admits: 0,
    acks: 0,
    lost: 0,
    resumed: 0,
    gone: 0,
    saidWhileLost: 0,
    movedIn: 0,
  };
  /** What has become of handoffs, over all links, and how many there were. */
  readonly handoffs: Record<string, number> = Object.fromEntries(outcomes.map((outcome) => [outcome, 0]));
  handoffsBegun = 0;

  readonly #random: Random;
  readonly #joined = new Set<Session>();
  #lastSerial = 0;
  #lastId = 0;
  /** Bytes of messages to clients that were said in this epoch, and that were heard. */
  #sentBytes = 0;
  #heardBytes = 0;
  #ear: FrameReader;

  constructor(random: Random) {
    this.#random = random;
    this.#ear = this.#newEar();
    this.link = this.accept();
  }

  get open(): boolean {
    return !this.stream.destroyed;
  }

  /** A gateway has connected. */
  accept(): GatewayLink {
    this.stream = new FakeStream();
    this.#ear = this.#newEar();
    this.answer = undefined;
    this.registered = false;
    this.loss = undefined;
    this.clean = true;
    this.rejectNext = undefined;
    this.hasSecret = this.#random.chance(0.3);
    this.challenge = undefined;
    const linkOptions = { ...options, ...(this.hasSecret && { secret }) };
    this.link = new GatewayLink(this.stream as unknown as Socket, linkOptions, this.#linkOwner);
    return this.link;
  }

  /** Gives the link a piece of what its gateway sends. */
  feed(piece: Buffer): void {
    this.stream.feed(piece);
  }

  /** Hears what the manager wrote. */
  hear(): void {
    for (const bytes of this.stream.writes.splice(0)) this.#ear.push(bytes);
    const allHeard = this.registered && this.open && this.link.stream.queuedBytes === 0;
    if (allHeard && this.epochClean) assert.equal(this.#heardBytes, this.#sentBytes, "what clients are sent");
  }

  /** Of what the manager wrote, the end never arrives. */
  loseInTransit(): void {
    const written = Buffer.concat(this.stream.writes.splice(0));
    this.#ear.push(written.subarray(0, this.#random.below(written.length + 1)));
    this.#ear.stop();
  }

  /** Asserts that every session that ended was acknowledged, once: by then everything was heard. */
  assertAcknowledged(): void {
    for (const { id, ended, handedOver, drops, discards } of this.known.values()) {
      if (ended && !handedOver)
        assert.ok(drops + discards > 0, `the end of session ${id} was not acknowledged`);
    }
  }

  /** Says something on the manager's own account, whether there is a link or not. */
  speakUp(): void {
    const random = this.#random;
    const { gateway } = this;
    if (gateway === undefined) return;
    if (!gateway.connected) this.counts.saidWhileLost++;
    const session = random.pick([...gateway.sessions, undefined]);
    const event = random.below(17);
    if (session === undefined) return;
    if (event >= 14) this.#handOff(gateway, session.id);
    else if (event >= 12) this.#admit(session);
    else if (event < 6) this.#send(session.id, Buffer.alloc(random.below(200), 1));
    else if (event < 8) gateway.sendAll(Buffer.alloc(random.below(200), 1));
    else if (event < 10)
      gateway.drop(session.id, random.chance(0.3), random.chance(0.5) ? {} : { reason: "fuzzed" });
    else if (event < 11) gateway.shutdown({});
    else this.#send(random.u32(), Buffer.alloc(1));
  }

  #send(id: number, payload: Buffer): void {
    if (this.gateway?.send(id, payload) === true) this.#sentBytes += payload.length;
  }

  /** Gives a session, or one that is not there, to another manager, and sees what comes of it. */
  #handOff(gateway: RegisteredGateway, session: number): void {
    const random = this.#random;
    const data = random.chance(0.5) ? undefined : random.bytes(random.below(50));
    this.handoffsBegun++;
    gateway.handOff(random.chance(0.9) ? session : random.u32(), { manager: "elsewhere", data }).then(
      () => this.#handedOver("done"),
      (error: unknown) => {
        assert.ok(error instanceof HandoffError, `${error}`);
        this.#handedOver(error.code);
      },
    );
  }

  #handedOver(outcome: string): void {
    // A gateway may have other reasons than those that are known; what was mutated has.
    const known = outcome in this.handoffs ? outcome : "other";
    this.handoffs[known] = (this.handoffs[known] ?? 0) + 1;
  }

  /** Whether some handoff has come to nothing yet. */
  get handsOver(): boolean {
    const settled = Object.values(this.handoffs).reduce((sum, count) => sum + count, 0);
    return settled < this.handoffsBegun;
  }

  /** Lets a session in: once, and not where nobody asked. */
  #admit(session: Session): void {
    const admits = !session.admitted && this.gateway?.reaches(session.id) === true;
    assert.equal(this.gateway?.admit(session.id), admits);
    if (admits) assert.equal(session.admitted, true);
  }

  /** The gateway begins a new epoch: the manager knows none of its sessions. */
  beginEpoch(epoch: Uint8Array): void {
    this.epoch = epoch;
    this.epochClean = this.clean;
    this.received = 0;
    this.said.length = 0;
    this.fed = 0;
    this.acknowledged = 0;
    this.live.clear();
    this.known.clear();
    this.#sentBytes = 0;
    this.#heardBytes = 0;
  }

  /** Asserts that the link has left nothing behind but a gateway that may come back, if it may. */
  settle(): void {
    assert.ok(this.loss !== undefined, "the link has not ended");
    assert.equal(this.stream.destroyed, true);
    const { gateway } = this;
    if (gateway !== undefined) {
      assert.deepEqual([gateway.health, gateway.connected], ["lost", false]);
      assert.equal(gateway.sessionCount, this.#joined.size);
    } else {
      assert.equal(this.#joined.size, 0, "sessions are left");
    }
    assert.equal(this.timers.clock.timerCount, gateway === undefined ? 0 : 1, "timers are left");
  }

  readonly #linkOwner: GatewayLinkOwner = {
    register: (link, register) => {
      assert.equal(link, this.link);
      assert.equal(this.challenge !== undefined, this.hasSecret, "nobody registers without a proof");
      if (this.rejectNext !== undefined) return this.rejectNext;
      const gateway = this.#resumed(link, register) ?? this.#takeOn(link, register);
      this.registered = true;
      return gateway;
    },
    refused: (link, code, message) => {
      assert.equal(link, this.link);
      assert.equal(this.registered, false, "a link is refused that was registered");
      this.#ended(code, message);
    },
    closed() {},
  };

  #resumed(link: GatewayLink, register: body.Register): RegisteredGateway | undefined {
    const { resume } = register;
    if (resume === undefined || this.gateway?.epoch.equals(resume.epoch) !== true) return undefined;
    this.gateway.resume(link, register, resume.received);
    this.counts.resumed++;
    return this.gateway;
  }

  #takeOn(link: GatewayLink, register: body.Register): RegisteredGateway {
    this.gateway?.giveUp("replaced", "another has come");
    assert.equal(this.gateway, undefined);
    this.capacity = this.#random.between(1, MAX_CAPACITY);
    this.admission = this.#random.chance(0.4);
    const decided = { id: ++this.#lastId, capacity: this.capacity };
    const gatewayOptions = { ...options, admit: this.admission };
    this.gateway = new RegisteredGateway(register, decided, gatewayOptions, this.#gatewayOwner);
    this.gateway.begin(link);
    return this.gateway;
  }

  #ended(code: string, message: string): void {
    assert.equal(this.loss, undefined, "a link has gone twice");
    this.loss = { code, message };
  }

  readonly #gatewayOwner: GatewayOwner = {
    nextSerial: () => ++this.#lastSerial,
    healthChanged: ({ health }) => assert.match(health, /^(up|suspect)$/),
    drains: ({ ending }) => assert.equal(ending, true),
    joined: (session, data) => {
      if (session.from !== undefined) this.counts.movedIn++;
      if (this.epochClean && data !== undefined) assert.ok(data.length <= MAX_HANDOFF_BYTES);
      assert.ok(this.loss === undefined && this.gateway?.find(session.id) === session);
      assert.ok(session.admitted || this.admission);
      if (!session.admitted && this.#random.chance(0.7)) this.#admit(session);
      this.#joined.add(session);
      this.counts.joins++;
      if (session.rejoined) this.counts.rejoins++;
    },
    message: (session, payload) => this.#message(session, payload),
    bindRefused: (session) => assert.ok(this.#joined.has(session), "a session was refused that is not there"),
    left: (session, { reason, by }) => {
      assert.ok(this.#joined.delete(session), "a session has left that was not there");
      assert.ok(session.dropped && reason !== undefined && by !== undefined);
      this.counts.lefts++;
    },
    lost: (gateway, code, message) => {
      assert.deepEqual([gateway, gateway.health], [this.gateway, "lost"]);
      this.counts.lost++;
      this.#ended(code, message);
    },
    gone: (gateway, code, message) => {
      assert.deepEqual([gateway, gateway.health], [this.gateway, "down"]);
      assert.equal(this.#joined.size, 0, "a gateway has gone before its sessions");
      this.gateway = undefined;
      this.counts.gone++;
      // Else it was lost before, or another link has come in its place.
      if (this.registered && this.loss === undefined) this.#ended(code, message);
    },
  };

  #message(session: Session, payload: Buffer): void {
    assert.ok(this.#joined.has(session), "a message of a session that is not there");
    assert.ok(session.admitted, "a message of a session that is not let in");
    if (this.epochClean) {
      const mark = markOf(session.id);
      for (const byte of payload)
        if (byte !== mark) assert.fail(`session ${session.id} said what another did`);
    }
    this.counts.messages++;
    const answer = this.#random.below(20);
    if (answer < 5) this.#echo(session, payload);
    else if (answer < 6) this.speakUp();
  }

  #echo(session: Session, payload: Buffer): void {
    try {
      this.#send(session.id, payload);
    } catch (error) {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.ok(session.framing !== "none" && payload.length > MIN_MAX_FRAME - SESSION_BYTES, error.message);
    }
  }

  #newEar(): FrameReader {
    const handler = this.#gatewaysEar();
    return new FrameReader(fromManagerBounds, options.maxFrame, (type, bytes, start, end) => {
      readFromManager(handler, type, bytes, start, end);
      if (isNumberedFromManager(type)) this.received++;
    });
  }

  /** A gateway's ear: what the manager says must make sense. */
  #gatewaysEar(): FromManagerHandler {
    let answered = false;
    const answer = () => {
      assert.equal(answered, false, "a second answer to Register");
      answered = true;
    };
    const find = (id: number) => {
      const session = this.known.get(id);
      if (this.epochClean) assert.ok(session !== undefined, "a frame for a session that never was");
      return session;
    };
    /** One that the manager has not just given away. */
    const findOwn = (id: number) => {
      const session = find(id);
      if (this.epochClean) assert.equal(session?.leaving, false, "a frame for a session that is given away");
      return session;
    };
    return {
      registered: (registered) => {
        answer();
        assert.equal(registered.admit ?? false, this.admission);
        this.answer = registered;
        if (!registered.resumed) this.beginEpoch(registered.epoch);
      },
      rejected: answer,
      ack: (frames) => {
        assert.ok(answered && frames >= this.acknowledged, "fewer frames are acknowledged than before");
        if (this.epochClean) assert.ok(frames <= this.fed, "frames are acknowledged that never came");
        this.acknowledged = frames;
        this.counts.acks++;
      },
      message: (id, _bytes, start, end) => {
        this.#heardBytes += end - start;
        findOwn(id);
      },
      messageAll: () => assert.ok(answered),
      messageMany: (ids) => ids.forEach(find),
      bind: find,
      addToGroup: find,
      removeFromGroup: find,
      messageGroup: () => assert.ok(answered),
      messageUser: () => assert.ok(answered),
      shutdown: () => assert.ok(answered),
      challenge: (challenge) => {
        assert.ok(this.hasSecret && this.challenge === undefined && !answered, "a Challenge out of place");
        this.challenge = challenge;
      },
      pong: () => {
        assert.ok(answered);
        this.counts.pongs++;
      },
      admit: (id) => {
        const session = findOwn(id);
        this.counts.admits++;
        assert.ok(this.admission, "nobody asked to be let in");
        if (session === undefined) return;
        // In a spoiled CLJoin it may not have been said that the session is let in already.
        if (this.epochClean) assert.equal(session.admitted, false, "a second Admit");
        session.admitted = true;
      },
      drop: (id) => {
        const session = findOwn(id);
        this.counts.drops++;
        if (session !== undefined) assert.equal(++session.drops + session.discards, 1, "a second Drop");
      },
      handoff: (id) => {
        const session = findOwn(id);
        if (session === undefined) return;
        if (this.epochClean)
          assert.equal(session.drops + session.discards, 0, "a Handoff of one that is dropped");
        session.leaving = !session.ended;
      },
      dropDiscard: (id) => {
        const session = findOwn(id);
        if (session !== undefined) session.discards++;
      },
    };
  }
}
