/**
 * The manager's end of a link in a world of its own: the real link, with an owner that answers at random and
 * holds the link to what it promises, under timers that the fuzzer drives. What the manager says is heard as
 * a gateway would hear it.
 */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Secret } from "../../link/secret.ts";
import { GatewayLink, type GatewayLinkOwner } from "../../manager-stub/gateway-link.ts";
import type { Session } from "../../manager-stub/session.ts";
import type * as body from "../../proto/bodies.ts";
import { fromManagerBounds, MIN_MAX_FRAME, SESSION_BYTES } from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { type FromManagerHandler, readFromManager } from "../../proto/from-manager.ts";
import { FakeStream } from "../link/fake-stream.ts";
import { markOf } from "./fuzz-client.ts";
import { HandTimers } from "./hand-timers.ts";
import type { Random } from "./random.ts";

export const options = {
  pingMs: 200,
  maxFrame: 96 * 1024,
  sendBufferBytes: 24 * 1024,
  registerTimeoutMs: 1000,
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
  /** `Drop` frames and `DropDiscard` frames that came for it. */
  drops: number;
  discards: number;
}

export class ManagerWorld {
  readonly timers = new HandTimers();
  link: GatewayLink;
  stream = new FakeStream();
  /** How the present link ended. */
  loss: { readonly code: string; readonly message: string } | undefined;
  capacity = 0;
  /** Whether the present link's sessions wait to be admitted. */
  admission = false;
  /** The gateway's sessions that have not ended, and all that ever were, by their id. */
  readonly live = new Map<number, GatewaySession>();
  readonly known = new Map<number, GatewaySession>();
  /** Whether the gateway's frames came as they were meant. */
  clean = true;
  /** What `Register` is answered with next. */
  rejectNext: body.Rejected | undefined;
  /** Whether the present link has a secret, and what it was challenged with. */
  hasSecret = false;
  challenge: body.Challenge | undefined;
  /** Everything that was counted over all links. */
  readonly counts = { joins: 0, messages: 0, lefts: 0, pongs: 0, drops: 0, admits: 0 };

  readonly #random: Random;
  readonly #joined = new Set<Session>();
  #answered = false;
  #lastSerial = 0;
  #lastId = 0;
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
    this.#answered = false;
    this.loss = undefined;
    this.capacity = 0;
    this.clean = true;
    this.rejectNext = undefined;
    this.admission = this.#random.chance(0.4);
    this.live.clear();
    this.known.clear();
    this.hasSecret = this.#random.chance(0.3);
    this.challenge = undefined;
    const linkOptions = { ...options, admit: this.admission, ...(this.hasSecret && { secret }) };
    this.link = new GatewayLink(this.stream as unknown as Socket, linkOptions, this.#owner());
    return this.link;
  }

  /** Gives the link a piece of what its gateway sends. */
  feed(piece: Buffer): void {
    this.stream.feed(piece);
  }

  /** Hears what the manager wrote. */
  hear(): void {
    for (const bytes of this.stream.writes.splice(0)) this.#ear.push(bytes);
  }

  /** Asserts that every session that ended was acknowledged, once: by then everything was heard. */
  assertAcknowledged(): void {
    for (const { id, ended, drops, discards } of this.known.values()) {
      if (ended) assert.ok(drops + discards > 0, `the end of session ${id} was not acknowledged`);
    }
  }

  /** Says something on the manager's own account. */
  speakUp(): void {
    const random = this.#random;
    const { link } = this;
    const session = random.pick([...link.sessions, undefined]);
    const event = random.below(14);
    if (session === undefined) return;
    if (event >= 12) this.#admit(session);
    else if (event < 6) link.send(session.id, Buffer.alloc(random.below(200), 1));
    else if (event < 8) link.sendAll(Buffer.alloc(random.below(200), 1));
    else if (event < 10)
      link.drop(session.id, random.chance(0.3), random.chance(0.5) ? {} : { reason: "fuzzed" });
    else if (event < 11) link.shutdown({});
    else link.send(random.u32(), Buffer.alloc(1));
  }

  /** Lets a session in: once, and not where nobody asked. */
  #admit(session: Session): void {
    const admits = this.admission && !session.admitted && !session.dropped;
    assert.equal(this.link.admit(session.id), admits);
    if (admits) assert.equal(session.admitted, true);
  }

  /** Asserts that the link has left nothing behind. */
  settle(): void {
    assert.ok(this.loss !== undefined, "the link has not ended");
    assert.equal(this.stream.destroyed, true);
    assert.deepEqual([this.#joined.size, this.link.sessionCount], [0, 0], "sessions are left");
    assert.equal(this.link.health, "down");
    assert.equal(this.timers.clock.timerCount, 0, "timers are left");
  }

  #owner(): GatewayLinkOwner {
    return {
      register: () => {
        assert.equal(this.challenge !== undefined, this.hasSecret, "nobody registers without a proof");
        if (this.rejectNext !== undefined) return this.rejectNext;
        this.capacity = this.#random.between(1, MAX_CAPACITY);
        return { id: ++this.#lastId, capacity: this.capacity };
      },
      nextSerial: () => ++this.#lastSerial,
      healthChanged: (link) => assert.match(link.health, /^(up|suspect)$/),
      drains: (link) => assert.equal(link.ending, true),
      joined: (session) => {
        assert.ok(this.loss === undefined && this.link.find(session.id) === session);
        assert.equal(session.admitted, !this.admission);
        if (this.#random.chance(0.7)) this.#admit(session);
        this.#joined.add(session);
        this.counts.joins++;
      },
      message: (session, payload) => this.#message(session, payload),
      bindRefused: (session) =>
        assert.ok(this.#joined.has(session), "a session was refused that is not there"),
      left: (session, { reason, by }) => {
        assert.ok(this.#joined.delete(session), "a session has left that was not there");
        assert.ok(session.dropped && reason !== undefined && by !== undefined);
        this.counts.lefts++;
      },
      gone: (link, code, message) => {
        assert.equal(this.loss, undefined, "a link has gone twice");
        assert.equal(link, this.link);
        assert.equal(this.#joined.size, 0, "a link has gone before its sessions");
        this.loss = { code, message };
      },
    };
  }

  #message(session: Session, payload: Buffer): void {
    assert.ok(this.#joined.has(session), "a message of a session that is not there");
    assert.ok(session.admitted, "a message of a session that is not let in");
    if (this.clean) {
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
      this.link.send(session.id, payload);
    } catch (error) {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.ok(session.framing !== "none" && payload.length > MIN_MAX_FRAME - SESSION_BYTES, error.message);
    }
  }

  #newEar(): FrameReader {
    const handler = this.#gateway();
    return new FrameReader(fromManagerBounds, options.maxFrame, (type, bytes, start, end) => {
      readFromManager(handler, type, bytes, start, end);
    });
  }

  /** A gateway's ear: what the manager says must make sense. */
  #gateway(): FromManagerHandler {
    const answer = () => {
      assert.equal(this.#answered, false, "a second answer to Register");
      this.#answered = true;
    };
    const find = (id: number) => {
      const session = this.known.get(id);
      if (this.clean) assert.ok(session !== undefined, "a frame for a session that never was");
      return session;
    };
    return {
      registered: ({ admit = false }) => {
        answer();
        assert.equal(admit, this.admission);
      },
      rejected: answer,
      message: find,
      messageAll: () => assert.ok(this.#answered),
      messageMany: (ids) => ids.forEach(find),
      bind: find,
      addToGroup: find,
      removeFromGroup: find,
      messageGroup: () => assert.ok(this.#answered),
      messageUser: () => assert.ok(this.#answered),
      shutdown: () => assert.ok(this.#answered),
      challenge: (challenge) => {
        assert.ok(
          this.hasSecret && this.challenge === undefined && !this.#answered,
          "a Challenge out of place",
        );
        this.challenge = challenge;
      },
      pong: () => {
        assert.ok(this.#answered);
        this.counts.pongs++;
      },
      admit: (id) => {
        const session = find(id);
        this.counts.admits++;
        assert.ok(this.admission, "nobody asked to be let in");
        if (session === undefined) return;
        assert.equal(session.admitted, false, "a second Admit");
        session.admitted = true;
      },
      drop: (id) => {
        const session = find(id);
        this.counts.drops++;
        if (session !== undefined) assert.equal(++session.drops + session.discards, 1, "a second Drop");
      },
      dropDiscard: (id) => {
        const session = find(id);
        if (session !== undefined) session.discards++;
      },
    };
  }
}
