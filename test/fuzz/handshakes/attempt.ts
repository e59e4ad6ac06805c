/** Carries out what one connection of the fuzzer does, with the real sockets of a client. */

import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { createSecureContext, type TLSSocket, connect as tlsConnect } from "node:tls";
import { readTlsFile } from "../../helpers/tls-files.ts";
import type { CipherFault, ClientHello, Plan } from "./plan.ts";

/** Where to connect: a port of 127.0.0.1, or a path. */
export type Place = number | string;

/** A client that does nothing any more leaves after so long, unless the gateway has to end it. */
const PATIENCE_MS = 500;
/** That long for the gateway to do what it has to: its deadlines are far shorter. */
const LAST_MS = 20_000;

const withoutCertificate = createSecureContext();
const withCertificate = createSecureContext({
  cert: readTlsFile("client.crt"),
  key: readTlsFile("client.key"),
});

export interface Outcome {
  readonly receivedBytes: number;
  /** The gateway had to end it, and did not. */
  readonly wasLeft: boolean;
}

/** What of a plan can be carried out anywhere. */
export type Manner = Omit<Plan, "number" | "listener"> & {
  readonly listener: Pick<Plan["listener"], "wantsCertificate">;
};

/** Does as the plan says; resolves when the connection is gone. */
export function carryOut(plan: Manner, place: Place): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  new Attempt(plan, place, resolve).begin();
  return promise;
}

class Attempt {
  readonly #plan: Manner;
  readonly #raw: Socket;
  readonly #done: (outcome: Outcome) => void;
  #secure: TLSSocket | undefined;
  #receivedBytes = 0;
  #wasLeft = false;
  #hasEnded = false;
  /** The gateway has shut down its sending side. */
  #wasEnded = false;
  /** What is to be done at the gateway's first bytes. */
  #answered: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(plan: Manner, place: Place, done: (outcome: Outcome) => void) {
    this.#plan = plan;
    this.#done = done;
    const where =
      typeof place === "number"
        ? { port: place, host: "127.0.0.1", localAddress: plan.from }
        : { path: place };
    this.#raw = connect({ ...where, allowHalfOpen: true, noDelay: true });
  }

  begin(): void {
    const raw = this.#raw;
    raw.on("error", ignore);
    raw.on("close", () => {
      clearTimeout(this.#timer);
      this.#secure?.destroy();
      this.#done({ receivedBytes: this.#receivedBytes, wasLeft: this.#wasLeft });
    });
    raw.on("end", () => this.#ended());
    raw.once("connect", () => {
      if (this.#plan.inside === undefined) raw.on("data", (bytes: Buffer) => this.#received(bytes));
      this.#say(raw, this.#plan.open, () => {
        if (this.#plan.inside === undefined) this.#finish(raw);
        else this.#begin(this.#plan.inside);
      });
    });
  }

  /** Writes piece by piece, then goes on; the last piece may still be on its way. */
  #say(stream: Duplex, pieces: readonly Buffer[], then: () => void): void {
    const [first, ...rest] = pieces;
    if (first === undefined || this.#raw.destroyed) {
      then();
      return;
    }
    if (first.length > 0) stream.write(first);
    if (rest.length === 0) then();
    else afterTurns(this.#plan.gapTurns, () => this.#say(stream, rest, then));
  }

  /** Begins TLS, behind what was said in the open. */
  #begin(inside: readonly Buffer[]): void {
    const { cipherFault, listener } = this.#plan;
    const under =
      cipherFault === undefined ? this.#raw : new Tunnel(this.#raw, cipherFault, () => this.#end());
    const secure = tlsConnect({
      socket: under,
      rejectUnauthorized: false,
      secureContext: listener.wantsCertificate ? withCertificate : withoutCertificate,
    });
    this.#secure = secure;
    secure.on("error", ignore);
    secure.on("data", (bytes: Buffer) => this.#received(bytes));
    secure.on("end", () => this.#ended());
    // What TLS itself makes of it ends it in another way than the one that was planned.
    secure.on("close", () => this.#raw.destroy());
    secure.once("secureConnect", () => this.#say(secure, inside, () => this.#finish(secure)));
    this.#wait();
  }

  /** The gateway says nothing more. One that is silent does not answer that either. */
  #ended(): void {
    this.#wasEnded = true;
    this.#wait();
  }

  #received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.();
  }

  /** Ends it in the moment that is planned. */
  #finish(stream: Socket): void {
    const { moment } = this.#plan;
    this.#wait();
    if (moment === "at-once") this.#end();
    else if (moment === "answered") this.#whenAnswered();
    else if (moment === "written") stream.write("", () => this.#end());
    else afterTurns(moment, () => this.#end());
  }

  #whenAnswered(): void {
    if (this.#receivedBytes > 0) this.#end();
    else this.#answered = () => this.#end();
  }

  #end(): void {
    const raw = this.#raw;
    if (this.#hasEnded || raw.destroyed) return;
    this.#hasEnded = true;
    const top = this.#secure ?? raw;
    switch (this.#plan.ending) {
      case "fin":
        top.end();
        raw.destroySoon();
        break;
      case "reset":
        resetNow(raw);
        break;
      case "fin-reset":
        raw.end(() => resetNow(raw));
        break;
      case "half-close":
        if (this.#plan.cipherFault === undefined) top.end();
        else raw.end();
        break;
      case "silence":
        break;
    }
    this.#wait();
  }

  /** However it goes on, it ends. */
  #wait(): void {
    clearTimeout(this.#timer);
    // It may have waited for an answer in vain, and has not shut down then.
    const isThrough = this.#hasEnded || this.#plan.ending === "silence";
    const mustBeEnded = this.#plan.mustBeEnded && isThrough && !this.#wasEnded;
    this.#timer = setTimeout(
      () => {
        this.#wasLeft = mustBeEnded;
        this.#raw.destroy();
      },
      mustBeEnded ? LAST_MS : PATIENCE_MS,
    );
  }
}

function ignore(): void {}

function resetNow(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // A Unix socket has none.
    socket.destroy();
  }
}

function afterTurns(turns: number, run: () => void): void {
  if (turns === 0) run();
  else setImmediate(() => afterTurns(turns - 1, run));
}

/** What lies between a client's TLS and its socket, and spoils or cuts what goes through. */
class Tunnel extends Duplex {
  readonly #socket: Socket;
  readonly #fault: CipherFault;
  readonly #cut: () => void;
  #passed = 0;

  constructor(socket: Socket, fault: CipherFault, cut: () => void) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#fault = fault;
    this.#cut = cut;
    socket.on("data", (bytes) => this.push(bytes));
    socket.on("end", () => this.push(null));
    this.on("error", ignore);
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { cutAt = Number.POSITIVE_INFINITY, spoiltAt = -1 } = this.#fault;
    const start = this.#passed;
    this.#passed += bytes.length;
    const passing = Buffer.from(bytes.subarray(0, Math.max(0, cutAt - start)));
    const spoilt = spoiltAt - start;
    if (spoilt >= 0 && spoilt < passing.length) passing[spoilt] = (passing[spoilt] ?? 0) ^ 0x41;
    if (passing.length > 0 && this.#socket.writable) this.#socket.write(passing);
    if (this.#passed >= cutAt) this.#cut();
    done();
  }
}

/** What a TLS client says first. */
export function recordHello(): Promise<ClientHello> {
  const { promise, resolve } = Promise.withResolvers<ClientHello>();
  const recorder = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      resolve(Buffer.from(bytes));
      done();
    },
  });
  // The curve that is liked best now makes it five times as long, and says nothing more.
  const secureContext = createSecureContext({ ecdhCurve: "X25519" });
  const secure = tlsConnect({ socket: recorder, rejectUnauthorized: false, secureContext });
  secure.on("error", ignore);
  promise.then(() => secure.destroy());
  return promise;
}
