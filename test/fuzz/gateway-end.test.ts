/** Whatever a manager sends, a gateway takes it or ends the link for a reason that has a name. */

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { Secret } from "../../link/secret.ts";
import type { Registered } from "../../proto/bodies.ts";
import { FromManager, HEADER_BYTES, isNumberedFromManager, readCount } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toGateway } from "../../proto/from-manager.ts";
import { managerBodies } from "../proto/body-specs.ts";
import { frame, sessionFrame } from "../proto/support.ts";
import { anyBody, type Fault, managerFaults, mutate, pieces } from "./frames.ts";
import { MARK_OF_ALL, markOf } from "./fuzz-client.ts";
import { GatewayWorld, MAX_CAPACITY, TOO_BIG } from "./gateway-world.ts";
import { ReaderWatch } from "./leaks.ts";
import { Random } from "./random.ts";
import { describeFuzz, type Fuzz } from "./suite.ts";

/** Every code that a link may end with, beside those of protocol errors. */
const lossCode =
  /^(unknown-type|frame-too-big|bad-length|bad-map|bad-body|bad-ack|unexpected-frame|finished|link-closed|link-dead|register-timeout|link-ECONNRESET|link-ECONNREFUSED|secret-missing|manager-unproven|manager-bad-proof|rejected-.*)$/s;

const faults = managerFaults();
const epoch = Buffer.alloc(16, 7);

/** More frames than any epoch here has. */
const MUCH = 1_000_000_000;

const registration = {
  id: 1,
  capacity: 1,
  epoch,
  pingMs: 100,
  maxFrame: 65_536,
  resumed: false,
  received: 0,
};

/** Appends one frame of a manager's. */
type Speech = (batch: FrameBatch) => void;

function fault(name: string, code: Fault["code"], speech: Speech): Fault {
  const batch = new FrameBatch();
  speech(batch);
  return { name, code, bytes: Buffer.concat(batch.take()) };
}

/** Whole frames that have no place before the gateway is registered. */
const earlyFaults: readonly Fault[] = [
  fault("an early Msg", "unexpected-frame", (batch) => toGateway.message(batch, 0x00100000, epoch)),
  fault("an early MsgAll", "unexpected-frame", (batch) => toGateway.messageAll(batch, epoch)),
  fault("an early Drop", "unexpected-frame", (batch) => toGateway.drop(batch, 0x00100000)),
  fault("an early DropDiscard", "unexpected-frame", (batch) => toGateway.dropDiscard(batch, 0x00100000)),
  fault("an early MsgMany", "unexpected-frame", (batch) => toGateway.messageMany(batch, [], epoch)),
  fault("an early Bind", "unexpected-frame", (batch) => toGateway.bind(batch, 0x00100000, "ann")),
  fault("an early GroupAdd", "unexpected-frame", (batch) => toGateway.addToGroup(batch, 0x00100000, "a")),
  fault("an early GroupRemove", "unexpected-frame", (batch) => toGateway.removeFromGroup(batch, 1, "a")),
  fault("an early MsgGroup", "unexpected-frame", (batch) => toGateway.messageGroup(batch, "a", epoch)),
  fault("an early MsgUser", "unexpected-frame", (batch) => toGateway.messageUser(batch, "a", epoch)),
  fault("an early Admit", "unexpected-frame", (batch) => toGateway.admit(batch, 0x00100000)),
  fault("an early Handoff", "unexpected-frame", (batch) => toGateway.handoff(batch, 1, { manager: "a" })),
  fault("an early Shutdown", "unexpected-frame", (batch) => toGateway.shutdown(batch)),
  fault("an early Pong", "unexpected-frame", (batch) => toGateway.pong(batch, { seq: 0, at: 0 })),
  fault("an early Ack", "unexpected-frame", (batch) => toGateway.ack(batch, 0)),
];

/** Answers that have their place, were they right. */
const wrongAnswers: readonly Fault[] = [
  fault("too large a capacity", "bad-body", (batch) => {
    toGateway.registered(batch, { ...registration, capacity: MAX_CAPACITY + 1 });
  }),
  fault("a link that is resumed", "bad-body", (batch) => {
    toGateway.registered(batch, { ...registration, resumed: true });
  }),
];

/** Whole frames that have no place once it is. */
const lateFaults: readonly Fault[] = [
  fault("a second Registered", "unexpected-frame", (batch) => toGateway.registered(batch, registration)),
  fault("a late Rejected", "unexpected-frame", (batch) => {
    toGateway.rejected(batch, { code: "version", message: "no" });
  }),
  fault("a late Challenge", "unexpected-frame", (batch) => {
    toGateway.challenge(batch, { nonce: epoch, proof: Buffer.alloc(32) });
  }),
  fault("an Ack for what was never said", "bad-ack", (batch) => toGateway.ack(batch, MUCH)),
  fault("a Handoff behind what was never said", "bad-ack", (batch) => {
    toGateway.handoff(batch, 0x00100000, { manager: "elsewhere", received: MUCH });
  }),
];

/** A number that is drawn is mostly one that no frame has. */
const { received: _, ...unnumbered } = managerBodies.Handoff.keys;
const unnumberedHandoff = { ...managerBodies.Handoff, keys: unnumbered };

class GatewayFuzz implements Fuzz {
  readonly world: GatewayWorld;
  frames = 0;
  links = 0;
  /** What the link did last, for the failure message. */
  story: string[] = [];
  readonly #secret: Secret | undefined;
  readonly #early: readonly Fault[];
  readonly #random: Random;
  readonly #batch = new FrameBatch();
  readonly #readers = new ReaderWatch();
  /** Whether clients are admitted, one by one, in the present epoch. */
  #admission: boolean | undefined;
  /** How many frames the manager has acknowledged in it. */
  #released = 0;

  constructor(seed: number, secret?: Secret) {
    this.#secret = secret;
    this.#early = secret === undefined ? [...earlyFaults, ...wrongAnswers] : earlyFaults;
    this.#random = new Random(seed);
    this.world = new GatewayWorld(this.#random, secret);
  }

  get seen(): Readonly<Record<string, number>> {
    const { admittedMessages, resumed, rejoined, lostBytes, behind, movedBack, counters } = this.world;
    const { joins, outMsgs, staleFrames, unacknowledged, handoffsRefused, refusals, ends } = counters;
    return {
      joins,
      outMsgs,
      staleFrames,
      unacknowledged,
      admittedMessages,
      resumed,
      rejoined,
      lostBytes,
      behind,
      movedAway: this.world.elsewhere.movedIn,
      comeAlong: this.world.elsewhere.comeAlong,
      movedBack,
      handoffsRefused,
      managerBehind: refusals["manager-behind"],
      noSlot: refusals["no-slot"],
      banned: refusals.banned,
      clientClosed: ends["client-closed"],
      clientReset: ends["client-reset"],
      dropped: ends.dropped,
      dropDiscarded: ends["drop-discarded"],
      slowConsumer: ends["slow-consumer"],
      denied: ends.denied,
      notAdmitted: ends["not-admitted"],
    };
  }

  close(): void {
    this.#readers.close();
    this.world.letGo();
    this.world.sessions.stop();
    assert.equal(this.world.clock.timerCount, 0);
  }

  /** A link that is registered, or about to be, and meets one fault: its end must have the fault's code. */
  async meet({ name, bytes, code }: Fault, registered: boolean): Promise<void> {
    this.story = [`${registered ? "registered" : "registering"}: ${name}`];
    await this.#begin();
    if (registered) await this.#register();
    this.#feed(bytes, 1);
    await this.#end(code);
  }

  /** A link that takes a random course. */
  async wander(): Promise<void> {
    const random = this.#random;
    this.story = [];
    await this.#wait();
    this.world.holding = random.chance(0.7);
    await this.#begin();
    if (random.chance(0.05)) return this.#resumeWrongly();
    if (random.chance(0.95)) await this.#register();
    for (let left = random.below(12); left > 0 && this.world.open; left--) await this.#step();
    await this.#finish();
  }

  /** What happens to clients that are held, before there is another link. */
  async #wait(): Promise<void> {
    const { world } = this;
    const random = this.#random;
    if (!world.holding) return;
    for (let left = random.below(3); left > 0; left--) {
      world.stirClients();
      world.clock.advance(random.below(150));
      await turn();
    }
    if (random.chance(0.8)) return;
    this.story.push("nobody waits for them any more");
    world.letGo();
    world.holding = false;
    world.settle();
  }

  async #begin(): Promise<void> {
    this.links++;
    this.world.dial();
    this.world.stream.emit("connect");
    await turn();
    this.world.hear();
  }

  async #register(): Promise<void> {
    const random = this.#random;
    if (this.#secret !== undefined) await this.#challenge(this.#secret);
    const capacity = random.between(1, MAX_CAPACITY);
    const pingMs = random.between(100, 400);
    const registered = { ...registration, id: this.links, capacity, pingMs };
    const { world } = this;
    if (world.resume !== undefined && world.epochClean && random.chance(0.8))
      this.#resume(registered, world.resume.received);
    else this.#beginEpoch(registered);
    await turn();
    world.hear();
  }

  #beginEpoch(registered: typeof registration): void {
    this.story.push("a new epoch");
    this.world.beginEpoch(this.#random.bytes(16));
    this.#admission = this.#random.pick([undefined, false, true]);
    this.#released = 0;
    this.#answer({ ...registered, epoch: this.world.epoch, admit: this.#admission });
    assert.ok(this.world.link.up, "the gateway is not registered");
  }

  /** The manager goes on with the epoch, and says again what the gateway has not got. */
  #resume(registered: typeof registration, handled: number): void {
    const { world } = this;
    const { epoch, received, said } = world;
    this.story.push(`resumed: ${received} received, ${handled} of ${said.length} handled`);
    this.#answer({ ...registered, epoch, received, resumed: true, admit: this.#admission });
    assert.ok(world.link.up, "the gateway has not gone on");
    this.#released = Math.max(this.#released, received);
    this.#feed(Buffer.concat(said.slice(handled)), said.length - handled);
    world.fed = said.length;
  }

  #answer(registered: Registered): void {
    this.#feed(
      this.#bytesOf(1, (batch) => toGateway.registered(batch, registered)),
      1,
    );
  }

  /** A manager that claims to go on, and has something wrong. */
  async #resumeWrongly(): Promise<void> {
    if (this.#secret !== undefined) await this.#challenge(this.#secret);
    const { epoch, epochClean, received, resume } = this.world;
    const right = { ...registration, epoch, received, resumed: true };
    const wrong: (readonly [Registered, string])[] = [
      [{ ...right, epoch: this.#random.bytes(16) }, "bad-body"],
    ];
    if (resume !== undefined) wrong.push([{ ...right, received: MUCH }, "bad-ack"]);
    else wrong.push([right, "bad-body"]);
    if (resume !== undefined && epochClean && this.#released > 0)
      wrong.push([{ ...right, received: this.#released - 1 }, "bad-ack"]);
    const [answer, code] = this.#random.pick(wrong);
    this.story.push(`resumed wrongly: ${code}`);
    this.#answer(answer);
    return this.#endOf(code);
  }

  /** The manager proves that it has the secret, and hears the gateway's proof. */
  async #challenge(secret: Secret): Promise<void> {
    const { world } = this;
    const nonces = { register: world.nonce, challenge: this.#random.bytes(16) };
    const challenge = { nonce: nonces.challenge, proof: secret.prove("manager", nonces) };
    this.#feed(
      this.#bytesOf(1, (batch) => toGateway.challenge(batch, challenge)),
      1,
    );
    await turn();
    world.hear();
    assert.ok(world.proof !== undefined && secret.isProven(world.proof, "gateway", nonces), "no proof");
  }

  /** Some frames, what clients do, and some time. */
  async #step(): Promise<void> {
    const { world } = this;
    const random = this.#random;
    const wasUp = world.link.up;
    world.stirClients();
    await turn();
    world.hear();
    const count = random.between(1, 14);
    const bytes = this.#bytesOf(count, (batch) => this.#anything(batch));
    if (random.chance(0.04)) this.#feed(this.#spoil(bytes), count);
    else this.#say(bytes, count);
    if (wasUp && world.checkClients) assert.ok(world.open, "good frames have ended the link");
    if (random.chance(0.1)) this.#squeeze();
    if (random.chance(0.5)) world.clock.advance(random.below(100));
  }

  /** The stream to the manager takes nothing for a while, or goes on. */
  #squeeze(): void {
    const { stream } = this.world;
    stream.holding = !stream.holding;
    if (!stream.holding) stream.takeHeld();
  }

  /** One frame that has its place, mostly; sometimes one that is stale, which does no harm. */
  #anything(batch: FrameBatch): void {
    const random = this.#random;
    const { unacknowledged } = this.world;
    const kind = random.below(100);
    const session = this.#anySession();
    if (kind < 10) this.#admit(batch);
    else if (kind < 13) this.#handOff(batch, session);
    else if (kind < 60) toGateway.message(batch, session, this.#payload(markOf(session)));
    else if (kind < 70) toGateway.messageAll(batch, this.#payload(MARK_OF_ALL));
    else if (kind < 76) this.#named(batch, session);
    else if (kind < 82) this.#acknowledge(batch, unacknowledged);
    else if (kind < 84) toGateway.drop(batch, session);
    else if (kind < 87) toGateway.dropDiscard(batch, session);
    else if (kind < 90)
      this.#raw(batch, sessionFrame(FromManager.Drop, session, anyBody(random, managerBodies.Drop)));
    else if (kind < 92)
      this.#raw(batch, frame(FromManager.Shutdown, anyBody(random, managerBodies.Shutdown)));
    else if (kind < 96) toGateway.pong(batch, { seq: random.below(4), at: this.world.clock.wall() });
    else if (kind < 98) this.#raw(batch, frame(FromManager.Pong, anyBody(random, managerBodies.Pong)));
    else this.#ack(batch);
  }

  /** Acknowledges all that was heard, or some of it, which may be less than before. */
  #ack(batch: FrameBatch): void {
    const random = this.#random;
    const { received } = this.world;
    const frames = random.chance(0.8) ? received : random.below(received + 1);
    toGateway.ack(batch, frames);
  }

  /** Names a session, or sends to who is called so. */
  #named(batch: FrameBatch, session: number): void {
    const random = this.#random;
    const name = random.pick(["a", "b", "c", "d"]);
    const kind = random.below(6);
    if (kind === 0) toGateway.bind(batch, session, random.chance(0.2) ? "" : name);
    else if (kind === 1) toGateway.addToGroup(batch, session, name);
    else if (kind === 2) toGateway.removeFromGroup(batch, session, name);
    else if (kind === 3) toGateway.messageGroup(batch, name, this.#payload(MARK_OF_ALL));
    else if (kind === 4) toGateway.messageUser(batch, name, this.#payload(MARK_OF_ALL));
    else toGateway.messageMany(batch, [session, random.u32(), session], this.#payload(markOf(session)));
  }

  /** Mostly one that is there; else one that has ended, or never was. */
  #anySession(): number {
    const random = this.#random;
    const { live, past } = this.world;
    if (random.chance(0.9) && live.size > 0) return random.pick([...live]);
    return random.chance(0.7) && past.length > 0 ? random.pick(past) : random.u32();
  }

  /** Lets in one who waits for it, mostly. */
  #admit(batch: FrameBatch): void {
    const random = this.#random;
    const { asking } = this.world;
    const session = random.chance(0.9) && asking.size > 0 ? random.pick([...asking]) : this.#anySession();
    this.world.admits(session);
    toGateway.admit(batch, session);
  }

  /** Gives a session to the other manager, mostly. */
  #handOff(batch: FrameBatch, session: number): void {
    const random = this.#random;
    const manager = random.pick(["elsewhere", "elsewhere", "elsewhere", "fuzzed", "nowhere"]);
    const data = random.pick([undefined, random.bytes(random.below(50)), Buffer.alloc(TOO_BIG)]);
    const { received } = this.world;
    const read = random.pick([undefined, received, random.below(received + 1)]);
    if (random.chance(0.9)) toGateway.handoff(batch, session, { manager, data, received: read });
    else this.#raw(batch, sessionFrame(FromManager.Handoff, session, anyBody(random, unnumberedHandoff)));
  }

  #acknowledge(batch: FrameBatch, unacknowledged: Set<number>): void {
    for (const session of unacknowledged) {
      unacknowledged.delete(session);
      if (this.#random.chance(0.9)) toGateway.drop(batch, session);
      return;
    }
    toGateway.shutdown(batch);
  }

  #payload(mark: number): Buffer {
    const random = this.#random;
    const length = random.chance(0.002)
      ? random.below(70_000)
      : random.chance(0.1)
        ? random.below(2000)
        : random.below(64);
    return Buffer.alloc(length, mark);
  }

  #raw(batch: FrameBatch, bytes: Buffer): void {
    batch.frame(bytes.readUInt32LE(0), bytes.subarray(8));
  }

  #bytesOf(count: number, speech: Speech): Buffer {
    for (let said = 0; said < count; said++) speech(this.#batch);
    const chunks = this.#batch.take();
    const bytes = Buffer.concat(chunks);
    this.#batch.recycle(chunks);
    return bytes;
  }

  /** From here on the manager's bytes are not those that it meant. */
  #spoil(bytes: Buffer): Buffer {
    this.story.push("spoiled");
    this.world.checkClients = false;
    this.world.epochClean = false;
    for (const client of this.world.clients) client.checked = false;
    return mutate(this.#random, bytes);
  }

  /** What the manager means: it keeps what is numbered, to say it again. All of it arrives, or `length` bytes. */
  #say(bytes: Buffer, frames: number, length = bytes.length): void {
    const { world } = this;
    for (let at = 0; at < bytes.length; ) {
      const end = at + HEADER_BYTES + bytes.readUInt32LE(at + 4);
      const type = bytes.readUInt32LE(at);
      if (type === FromManager.Ack && end <= length && world.link.up)
        this.#released = Math.max(this.#released, readCount(bytes, at + HEADER_BYTES));
      if (isNumberedFromManager(type)) {
        world.said.push(bytes.subarray(at, end));
        if (end <= length) world.fed++;
      }
      at = end;
    }
    this.#feed(bytes.subarray(0, length), frames);
  }

  #feed(bytes: Buffer, frames: number): void {
    let fedBytes = 0;
    for (const piece of pieces(this.#random, bytes)) {
      if (!this.world.open) break;
      this.world.feed(piece);
      fedBytes += piece.length;
    }
    this.frames += Math.ceil((frames * fedBytes) / Math.max(1, bytes.length));
  }

  /** Brings the link to its end in one of many ways. */
  async #finish(): Promise<void> {
    const { world } = this;
    const random = this.#random;
    if (!world.open) return this.#end();
    const clean = world.checkClients;
    switch (random.below(12)) {
      case 0: {
        const fault = random.pick(faults);
        this.story.push(fault.name);
        this.#feed(fault.bytes, 1);
        return this.#endOf(clean ? fault.code : undefined);
      }
      case 1: {
        const { name, bytes, code } = random.pick(world.link.up ? lateFaults : this.#early);
        this.story.push(name);
        this.#feed(bytes, 1);
        return this.#endOf(clean ? code : undefined);
      }
      case 2:
        this.story.push("noise");
        this.#feed(random.bytes(random.between(1, 300)), 1);
        return this.#endOf(undefined);
      case 3:
        this.story.push("the manager ends its side");
        world.stream.feedEnd();
        return this.#endOf(world.stream.holding ? undefined : "link-closed");
      case 4:
        this.story.push("the stream breaks");
        world.stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
        return this.#endOf("link-ECONNRESET");
      case 5:
        this.story.push("silence");
        return this.#endOf(world.link.up ? "link-dead" : "register-timeout");
      case 6:
        this.story.push("abort");
        world.link.abort();
        return this.#endOf("finished");
      case 7:
        this.story.push("finish");
        world.link.finish();
        return this.#endOf("finished");
      case 8:
        return this.#reject(clean);
      case 9:
      case 10:
        return this.#cut();
      default:
        return this.#challengeWrongly(clean);
    }
  }

  /** The stream breaks in the middle of what the manager says. */
  async #cut(): Promise<void> {
    const { world } = this;
    if (world.link.up && world.epochClean) {
      const count = this.#random.between(1, 9);
      const bytes = this.#bytesOf(count, (batch) => this.#anything(batch));
      const length = this.#random.below(bytes.length + 1);
      this.story.push(`cut after ${length} of ${bytes.length} bytes`);
      this.#say(bytes, count, length);
    }
    world.stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    return this.#endOf("link-ECONNRESET");
  }

  async #challengeWrongly(clean: boolean): Promise<void> {
    const early = this.#secret === undefined ? "secret-missing" : "manager-bad-proof";
    const challenge = { nonce: this.#random.bytes(16), proof: this.#random.bytes(32) };
    this.story.push("a Challenge of somebody else");
    const code = this.world.link.up ? "unexpected-frame" : early;
    this.#feed(
      this.#bytesOf(1, (batch) => toGateway.challenge(batch, challenge)),
      1,
    );
    return this.#endOf(clean ? code : undefined);
  }

  async #reject(clean: boolean): Promise<void> {
    const { world } = this;
    const early = this.#secret === undefined ? "rejected-version" : "manager-unproven";
    const code = world.link.up ? "unexpected-frame" : early;
    this.story.push("Rejected");
    const rejected = { code: "version", message: "no" };
    this.#feed(
      this.#bytesOf(1, (batch) => toGateway.rejected(batch, rejected)),
      1,
    );
    return this.#endOf(clean ? code : undefined);
  }

  /** The link must end by now, or at the latest when its time is up. */
  async #endOf(code: string | undefined): Promise<void> {
    await turn();
    // The first check may find that something was heard since the last.
    for (const ms of [this.world.pingMs, Math.max(1000, 4 * this.world.pingMs)]) {
      if (this.world.loss === undefined) this.world.clock.advance(ms);
      await turn();
    }
    return this.#end(code);
  }

  async #end(code?: string): Promise<void> {
    await turn();
    const { world } = this;
    assert.ok(world.loss !== undefined, "the link goes on and on");
    assert.match(world.loss.code, lossCode);
    assert.notEqual(world.loss.message, "");
    if (code !== undefined) assert.equal(world.loss.code, code, world.loss.message);
    if (world.epochClean) world.loseInTransit();
    world.settle();
    this.#readers.assertEmpty();
  }
}

describeFuzz("the gateway's end of a link", (seed) => new GatewayFuzz(seed), {
  always: faults,
  early: [...earlyFaults, ...wrongAnswers],
  late: lateFaults,
  share: 0.4,
});

const secret = new Secret("a secret for the fuzzer");

describeFuzz("the gateway's end of a link with a secret", (seed) => new GatewayFuzz(seed, secret), {
  always: faults,
  early: earlyFaults,
  late: lateFaults,
  share: 0.1,
});
