/** Whatever a gateway sends, a manager takes it or ends the link for a reason that has a name. */

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { FromGateway, HEADER_BYTES, isNumberedFromGateway } from "../../proto/frame.ts";
import { FrameBatch } from "../../proto/frame-batch.ts";
import { toManager } from "../../proto/from-gateway.ts";
import { decodeMap } from "../../proto/map-body.ts";
import { sessionId } from "../../proto/session-id.ts";
import { type BodySpec, gatewayBodies } from "../proto/body-specs.ts";
import { anyBody, type Fault, gatewayFaults, mutate, pieces } from "./frames.ts";
import { markOf } from "./fuzz-client.ts";
import { ReaderWatch } from "./leaks.ts";
import {
  type GatewaySession,
  MAX_CAPACITY,
  ManagerWorld,
  newSession,
  options,
  secret,
} from "./manager-world.ts";
import { Random } from "./random.ts";
import { describeFuzz, type Fuzz } from "./suite.ts";

/** Every code that a link may end with, beside those of protocol errors. */
const lossCode =
  /^(unknown-type|frame-too-big|bad-length|bad-map|bad-body|bad-ack|unexpected-frame|link-closed|link-dead|register-timeout|send-buffer|manager-closed|link-ECONNRESET|rejected-.*)$/s;

const faults = gatewayFaults();
const nonce = Buffer.alloc(16, 7);
const join = { addr: "192.0.2.1", port: 50_000, transport: "tcp", listener: "fuzzed", at: 1_767_225_600_000 };
const ended = {
  reason: "client-closed",
  by: "client",
  inBytes: 1,
  outBytes: 2,
  inMsgs: 3,
  outMsgs: 4,
  unsentBytes: 0,
  ms: 5,
} as const;

/** Of a session that another manager had. */
const moved = { admitted: true, from: "elsewhere", fromSession: sessionId(3, 3) };

/** More frames than any epoch here has. */
const MUCH = 1_000_000_000;

const refused = { manager: "elsewhere", code: "refused", message: "no" };
/** Of a session that another manager has. */
const movedOn = { ...ended, by: "manager", reason: "handoff" } as const;
const drained = { reason: "fuzzed", drainMs: 0 };
const registration = { version: 1, name: "fuzzed", pid: 1, endpoints: [], maxFrame: 65_536, nonce };

/** Appends one frame of a gateway's. */
type Speech = (batch: FrameBatch) => void;

/** Whole frames, the last of which has no place. */
function outOfPlace(name: string, ...speeches: readonly Speech[]): Fault {
  const batch = new FrameBatch();
  for (const speech of speeches) speech(batch);
  return { name, bytes: Buffer.concat(batch.take()), code: "unexpected-frame" };
}

const stranger = sessionId(7, 1000);
const joins: Speech = (batch) => toManager.join(batch, stranger, join);
const speaks: Speech = (batch) => toManager.message(batch, stranger, nonce, 0, nonce.length);
const leaves: Speech = (batch) => toManager.disconnected(batch, stranger, ended);
const refuses: Speech = (batch) => toManager.handoffRefused(batch, stranger, refused);
const registers: Speech = (batch) => toManager.register(batch, registration);
const proves: Speech = (batch) => toManager.proof(batch, { proof: Buffer.alloc(32, 7) });

/** Out of place before a gateway is registered. */
const earlyFaults: readonly Fault[] = [
  outOfPlace("an early CLJoin", joins),
  outOfPlace("an early Msg", speaks),
  outOfPlace("an early CLDisconnected", leaves),
  outOfPlace("an early HandoffRefused", refuses),
  outOfPlace("an early Ping", (batch) => toManager.ping(batch, { seq: 1, at: 0, sessions: 0, capacity: 0 })),
  outOfPlace("an early Listening", (batch) => toManager.listening(batch, [])),
  outOfPlace("an early Draining", (batch) => toManager.draining(batch, drained)),
  outOfPlace("an early Proof", proves),
  outOfPlace("an early Ack", (batch) => toManager.ack(batch, 0)),
  outOfPlace("Register twice", registers, registers),
];

/** Out of place once it is. */
const lateFaults: readonly Fault[] = [
  outOfPlace("a second Register", registers),
  outOfPlace("a late Proof", proves),
  outOfPlace("a Msg of a stranger", speaks),
  outOfPlace("a Msg of nobody", (batch) => toManager.message(batch, 0, nonce, 0, nonce.length)),
  outOfPlace("a CLDisconnected of a stranger", leaves),
  outOfPlace("a HandoffRefused of a stranger", refuses),
  outOfPlace("a HandoffRefused that nothing was asked for", joins, refuses),
  outOfPlace("a CLJoin of nobody", (batch) => toManager.join(batch, 0, join)),
  outOfPlace("a CLJoin of generation 0", (batch) => toManager.join(batch, 0xfffff, join)),
  outOfPlace("CLJoin twice", joins, joins),
  outOfPlace("CLDisconnected twice", joins, leaves, leaves),
  outOfPlace("a Msg after CLDisconnected", joins, leaves, speaks),
  outOfPlace("CLJoin beyond the capacity", (batch) => {
    for (let slot = 0; slot <= MAX_CAPACITY; slot++) toManager.join(batch, sessionId(9, 2000 + slot), join);
  }),
  {
    ...outOfPlace("an Ack for what was never said", (batch) => toManager.ack(batch, MUCH)),
    code: "bad-ack",
  },
];

class ManagerFuzz implements Fuzz {
  readonly world: ManagerWorld;
  frames = 0;
  links = 0;
  /** What the link did last, for the failure message. */
  story: string[] = [];
  readonly #random: Random;
  readonly #batch = new FrameBatch();
  readonly #readers = new ReaderWatch();
  /** Links that were replaced by another while they were open. */
  #replaced = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.world = new ManagerWorld(this.#random);
  }

  get seen(): Readonly<Record<string, number>> {
    return { ...this.world.counts, ...this.world.handoffs, replaced: this.#replaced };
  }

  async close(): Promise<void> {
    if (this.world.loss === undefined) this.world.link.abort();
    await turn();
    this.world.timers.clock.advance(options.resumeMs);
    assert.equal(this.world.gateway, undefined);
    assert.equal(this.world.counts.lefts, this.world.counts.joins, "each join has its leave");
    await turn();
    assert.equal(this.world.handsOver, false, "each handoff has come to something");
    this.#readers.close();
    this.world.timers.restore();
  }

  /** A link that is registered, or about to be, and meets one fault: its end must have the fault's code. */
  async meet({ name, bytes, code }: Fault, registered: boolean): Promise<void> {
    await this.#begin();
    this.story = [`${registered ? "registered" : "registering"}: ${name}`];
    if (registered) await this.#register();
    this.#feed(bytes, 1);
    await this.#end(code);
  }

  /** A link that takes a random course. */
  async wander(): Promise<void> {
    const random = this.#random;
    this.story = [];
    await this.#wait();
    await this.#begin();
    if (random.chance(0.05)) {
      await this.#beRejected();
      return;
    }
    if (this.world.hasSecret && random.chance(0.1)) {
      await this.#failToProve();
      return;
    }
    if (random.chance(0.05)) {
      await this.#resumeWrongly();
      return;
    }
    if (random.chance(0.95)) await this.#register();
    for (let left = random.below(12); left > 0 && this.world.open; left--) await this.#step();
    if (this.#mayResume && random.chance(0.2)) await this.#replace();
    await this.#finish();
  }

  /** What a manager does while its gateway is lost. */
  async #wait(): Promise<void> {
    const { world } = this;
    const random = this.#random;
    for (let left = random.below(4); left > 0; left--) world.speakUp();
    if (random.chance(0.2)) world.timers.clock.advance(options.resumeMs);
    await turn();
  }

  /** Whether the gateway can go on with what the manager has of it, and the manager with what it has. */
  get #mayResume(): boolean {
    const { gateway, epoch, epochClean, clean } = this.world;
    return gateway !== undefined && epoch !== undefined && gateway.epoch.equals(epoch) && epochClean && clean;
  }

  /** The gateway has another link, while the manager takes the old one for open. */
  async #replace(): Promise<void> {
    const { world } = this;
    if (!world.open || !world.registered) return;
    this.story.push("replaced");
    this.#replaced++;
    const { stream } = world;
    await turn();
    world.loseInTransit();
    await this.#begin();
    await this.#register(1);
    assert.equal(stream.destroyed, true, "the old link is open");
    await this.#step();
  }

  async #begin(): Promise<void> {
    if (this.links > 0) this.world.accept();
    this.links++;
    await turn();
  }

  /** Registers, and goes on with the epoch where it can, mostly. */
  async #register(resuming = 0.8): Promise<void> {
    const { world } = this;
    const { epoch, received } = world;
    const before = [...world.live.values()];
    const resumes = this.#mayResume && epoch !== undefined && this.#random.chance(resuming);
    const resume = resumes ? { epoch, received } : undefined;
    await this.#apply((batch) => {
      if (resume === undefined) this.#sayRegister(batch);
      else toManager.register(batch, { ...registration, resume });
    });
    assert.ok(world.registered, "the gateway is not registered");
    await turn();
    world.hear();
    const { answer } = world;
    assert.ok(answer !== undefined);
    assert.equal(answer.resumed, resumes);
    if (resumes) this.#sayAgain(answer.received);
    else this.#rejoin(before);
    await turn();
    world.hear();
  }

  /** Says again what the manager has not got. */
  #sayAgain(handled: number): void {
    const { world } = this;
    const { said } = world;
    // What came behind a Handoff that is not answered it asks for once more, and passes over.
    if (world.handsOver) assert.ok(handled <= world.fed && handled >= world.acknowledged);
    else assert.equal(handled, world.fed, "how many frames the manager has handled");
    this.story.push(`resumed: ${handled} of ${said.length} handled`);
    world.fed = said.length;
    this.#feed(Buffer.concat(said.slice(handled)), said.length - handled);
  }

  /** Announces sessions to a manager that does not know them. */
  #rejoin(sessions: readonly GatewaySession[]): void {
    const { world } = this;
    const kept = sessions.filter(() => this.#random.chance(0.7));
    const bytes = this.#bytesOf(1, (batch) => {
      for (const { id, admitted } of kept) {
        const session = newSession(id, admitted || !world.admission);
        world.live.set(id, session);
        world.known.set(id, session);
        toManager.join(batch, id, { ...join, rejoin: true, admitted, lostBytes: this.#random.below(100) });
      }
      toManager.listening(batch, []);
    });
    this.#say(bytes, kept.length + 1);
  }

  /** A gateway that wants to go on, and has something wrong: what it had is given up. */
  async #resumeWrongly(): Promise<void> {
    const { gateway } = this.world;
    if (gateway === undefined) return this.#endOf(undefined);
    this.story.push("resumed wrongly");
    const resume = { epoch: gateway.epoch, received: MUCH };
    await this.#apply((batch) => toManager.register(batch, { ...registration, resume }));
    await this.#endOf("bad-ack");
    assert.equal(this.world.gateway, undefined);
  }

  /** Registers, and proves what has to be proven. */
  async #apply(speech: Speech = (batch) => this.#sayRegister(batch)): Promise<void> {
    const register = this.#bytesOf(1, speech);
    this.#feed(register, 1);
    if (!this.world.hasSecret) return;
    await turn();
    this.world.hear();
    const { nonce = Buffer.alloc(0), proof = Buffer.alloc(32) } = this.world.challenge ?? {};
    const nonces = { register: this.#nonceOf(register), challenge: nonce };
    assert.ok(secret.isProven(proof, "manager", nonces), "the manager's proof is wrong");
    this.#feed(
      this.#bytesOf(1, (batch) => toManager.proof(batch, { proof: secret.prove("gateway", nonces) })),
      1,
    );
  }

  /** The nonce in a Register, whatever else is in it. */
  #nonceOf(register: Buffer): Uint8Array {
    const map = decodeMap(register, 8, register.length);
    return map.get("nonce") as Uint8Array;
  }

  async #failToProve(): Promise<void> {
    this.story.push("a wrong Proof");
    const speeches = [registers, proves];
    for (const speech of speeches) this.#feed(this.#bytesOf(1, speech), 1);
    return this.#endOf("rejected-bad-secret");
  }

  #sayRegister(batch: FrameBatch): void {
    if (this.#random.chance(0.8)) toManager.register(batch, registration);
    else this.#raw(batch, FromGateway.Register, gatewayBodies.Register);
  }

  async #beRejected(): Promise<void> {
    this.story.push("rejected");
    this.world.rejectNext = { code: "name-taken", message: "no" };
    await this.#apply();
    if (this.#random.chance(0.5))
      this.#feed(
        this.#bytesOf(1, (batch) => toManager.draining(batch, drained)),
        1,
      );
    await this.#endOf("rejected-name-taken");
  }

  /** Some frames, what the manager says by itself, and some time. */
  async #step(): Promise<void> {
    const { world } = this;
    const random = this.#random;
    const wasUp = world.registered;
    const count = random.between(1, 14);
    const bytes = this.#bytesOf(count, (batch) => this.#anything(batch));
    if (random.chance(0.04)) this.#feed(this.#spoil(bytes), count);
    else this.#say(bytes, count);
    if (random.chance(0.3)) world.speakUp();
    if (random.chance(0.1)) this.#squeeze();
    if (random.chance(0.5)) world.timers.clock.advance(random.below(150));
    await turn();
    world.hear();
    if (!wasUp || !world.clean) return;
    if (!world.open)
      assert.equal(
        world.loss?.code,
        "send-buffer",
        `good frames have ended the link: ${world.loss?.message}`,
      );
    else if (!world.stream.holding) world.assertAcknowledged();
  }

  /** The stream to the gateway takes nothing for a while, or goes on. */
  #squeeze(): void {
    const { stream } = this.world;
    stream.holding = !stream.holding;
    if (!stream.holding) stream.takeHeld();
  }

  /** One frame that has its place. */
  #anything(batch: FrameBatch): void {
    const random = this.#random;
    const { live } = this.world;
    const kind = random.below(100);
    const [session] = live.size === 0 ? [] : [random.pick([...live.values()])];
    if (kind < 15) this.#join(batch);
    else if (kind < 22)
      toManager.ping(batch, { seq: this.frames, at: 0, sessions: live.size, capacity: this.world.capacity });
    else if (kind < 25) this.#raw(batch, FromGateway.Ping, gatewayBodies.Ping);
    else if (kind < 28) this.#raw(batch, FromGateway.Listening, gatewayBodies.Listening);
    else if (kind < 29) this.#raw(batch, FromGateway.Draining, gatewayBodies.Draining);
    else if (kind < 35) this.#ack(batch);
    else if (session === undefined) toManager.listening(batch, []);
    else if (kind < 46) this.#leave(batch, session);
    else if (kind < 70 && session.leaving) this.#answerHandoff(batch, session);
    else if (!session.admitted) toManager.listening(batch, []);
    else {
      const payload = Buffer.alloc(this.#payloadLength(), markOf(session.id));
      toManager.message(batch, session.id, payload, 0, payload.length);
    }
  }

  /** Acknowledges all that was heard, or some of it, which may be less than before. */
  #ack(batch: FrameBatch): void {
    const { received } = this.world;
    toManager.ack(batch, this.#random.chance(0.8) ? received : this.#random.below(received + 1));
  }

  #join(batch: FrameBatch): void {
    const random = this.#random;
    const { live, known, capacity } = this.world;
    const id = sessionId(random.between(1, 4095), random.below(64));
    if (known.has(id) || live.size >= capacity) {
      toManager.listening(batch, []);
      return;
    }
    const kind = random.below(10);
    // One that another manager has let in is in.
    const session = newSession(id, kind === 0 || !this.world.admission);
    live.set(id, session);
    known.set(id, session);
    if (kind === 0) toManager.join(batch, id, { ...join, ...moved, data: random.bytes(random.below(50)) });
    else if (kind < 8) toManager.join(batch, id, join);
    else batch.sessionFrame(FromGateway.CLJoin, id, anyBody(random, gatewayBodies.CLJoin));
  }

  #leave(batch: FrameBatch, session: GatewaySession): void {
    const { id } = session;
    session.ended = true;
    session.leaving = false;
    this.world.live.delete(id);
    if (this.#random.chance(0.8)) {
      toManager.disconnected(batch, id, ended);
      return;
    }
    const body = anyBody(this.#random, gatewayBodies.CLDisconnected);
    session.handedOver = decodeMap(body, 0, body.length).get("reason") === movedOn.reason;
    batch.sessionFrame(FromGateway.CLDisconnected, id, body);
  }

  /** Hands a session over, or does not. */
  #answerHandoff(batch: FrameBatch, session: GatewaySession): void {
    const { id, admitted } = session;
    if (!admitted || this.#random.chance(0.4)) {
      session.leaving = false;
      toManager.handoffRefused(batch, id, refused);
      return;
    }
    session.ended = true;
    session.handedOver = true;
    this.world.live.delete(id);
    const received = this.#random.pick([undefined, 0, this.world.fed, MUCH]);
    toManager.disconnected(batch, id, { ...movedOn, received });
  }

  #payloadLength(): number {
    const random = this.#random;
    if (random.chance(0.001)) return random.below(70_000);
    return random.chance(0.1) ? random.below(2000) : random.below(64);
  }

  #raw(batch: FrameBatch, type: number, spec: BodySpec): void {
    batch.frame(type, anyBody(this.#random, spec));
  }

  #bytesOf(count: number, speech: Speech): Buffer {
    for (let said = 0; said < count; said++) speech(this.#batch);
    const chunks = this.#batch.take();
    const bytes = Buffer.concat(chunks);
    this.#batch.recycle(chunks);
    return bytes;
  }

  /** From here on the gateway's bytes are not those that it meant. */
  #spoil(bytes: Buffer): Buffer {
    this.story.push("spoiled");
    this.world.clean = false;
    this.world.epochClean = false;
    return mutate(this.#random, bytes);
  }

  /** What the gateway means: it keeps what is numbered, to say it again. All of it arrives, or `length` bytes. */
  #say(bytes: Buffer, frames: number, length = bytes.length): void {
    const { world } = this;
    // What is said too early is lost, and the gateway takes it for said.
    if (!world.registered) world.epochClean = false;
    for (let at = 0; at < bytes.length; ) {
      const end = at + HEADER_BYTES + bytes.readUInt32LE(at + 4);
      if (isNumberedFromGateway(bytes.readUInt32LE(at))) {
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
    const { clean } = world;
    switch (random.below(11)) {
      case 0: {
        const fault = random.pick(faults);
        this.story.push(fault.name);
        this.#feed(fault.bytes, 1);
        return this.#endOf(clean ? fault.code : undefined);
      }
      case 1: {
        const { name, bytes, code } = random.pick(world.registered ? lateFaults : earlyFaults);
        this.story.push(name);
        this.#feed(bytes, 1);
        return this.#endOf(clean ? code : undefined);
      }
      case 2:
        this.story.push("noise");
        this.#feed(random.bytes(random.between(1, 300)), 1);
        return this.#endOf(undefined);
      case 3:
        this.story.push("the gateway ends its side");
        world.stream.feedEnd();
        return this.#endOf(world.stream.holding ? undefined : "link-closed");
      case 4:
        this.story.push("the stream breaks");
        world.stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
        return this.#endOf("link-ECONNRESET");
      case 5:
        this.story.push("silence");
        return this.#endOf(world.registered ? "link-dead" : "register-timeout");
      case 6:
        this.story.push("abort");
        world.link.abort();
        return this.#endOf("manager-closed");
      case 7:
        this.story.push("the manager closes the gateway");
        if (world.registered) world.gateway?.close();
        else world.link.close();
        return this.#endOf("manager-closed");
      case 8:
      case 9:
        return this.#cut();
      default:
        this.story.push("close");
        world.link.close();
        return this.#endOf("manager-closed");
    }
  }

  /** The stream breaks in the middle of what the gateway says. */
  async #cut(): Promise<void> {
    const { world } = this;
    if (world.registered && world.clean) {
      const count = this.#random.between(1, 9);
      const bytes = this.#bytesOf(count, (batch) => this.#anything(batch));
      const length = this.#random.below(bytes.length + 1);
      this.story.push(`cut after ${length} of ${bytes.length} bytes`);
      this.#say(bytes, count, length);
    }
    const broken = world.open;
    world.stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    return this.#endOf(broken ? "link-ECONNRESET" : "send-buffer");
  }

  /** The link must end by now, or at the latest when its time is up. */
  async #endOf(code: string | undefined): Promise<void> {
    await turn();
    // The first check may find that something was heard since the last.
    for (const ms of [options.pingMs, Math.max(options.registerTimeoutMs, 4 * options.pingMs)]) {
      if (this.world.loss === undefined) this.world.timers.clock.advance(ms);
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

describeFuzz("the manager's end of a link", (seed) => new ManagerFuzz(seed), {
  always: faults,
  early: earlyFaults,
  late: lateFaults,
});
