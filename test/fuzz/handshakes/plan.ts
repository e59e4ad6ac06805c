/**
 * What one connection of the fuzzer does, from its number and the run's seed alone, so that it can be done again by
 * itself. The first numbers go through everything that is valid, cut at each byte and ended in each way; all the others
 * are drawn at random.
 */

import { Random } from "../random.ts";
import { DENIED, type FuzzedListener, listeners } from "./listeners.ts";
import { earlyBytes, mutated, oddRequest } from "./mutations.ts";
import { proxyHeader, type Script, validScript, webRequest } from "./scripts.ts";

export const endings = ["fin", "reset", "fin-reset", "half-close", "silence"] as const;
export type Ending = (typeof endings)[number];

/**
 * When the end comes: in the same moment as the last byte, once that was written, when the gateway has said something,
 * or so many turns of the event loop behind it.
 */
export type Moment = "at-once" | "written" | "answered" | number;

const moments: readonly Moment[] = ["at-once", "written", "answered", 0, 1, 2, 5];

/** What is done to the bytes of a client's TLS itself. */
export interface CipherFault {
  /** Of what TLS writes, the connection ends behind so many bytes. */
  readonly cutAt: number | undefined;
  /** One of these bytes is spoiled. */
  readonly spoiltAt: number | undefined;
}

export interface Plan {
  readonly number: number;
  readonly listener: FuzzedListener;
  /** The address that the client comes from. */
  readonly from: string;
  /** What is said in the open, in so many writes. */
  readonly open: readonly Buffer[];
  /** And what inside TLS; undefined where none is begun. */
  readonly inside: readonly Buffer[] | undefined;
  readonly cipherFault: CipherFault | undefined;
  /** Turns of the event loop between two writes; 0: in the same one. */
  readonly gapTurns: number;
  readonly ending: Ending;
  readonly moment: Moment;
  /** The gateway has to end it, whatever the client does not do. */
  readonly mustBeEnded: boolean;
}

/** What a TLS client says first; none of it is secret or needs an answer. */
export type ClientHello = Buffer;

/** What is said by one of those that are systematic: all that is right, with something odd in a request, or TLS that goes no further. */
type Kind = "right" | "with-length" | "in-chunks" | "hello";

/** The odd requests, which are right but for a body that they announce. */
const kindHeaders: Readonly<Partial<Record<Kind, Readonly<Record<string, string>>>>> = {
  "with-length": { "Content-Length": "5" },
  "in-chunks": { "Transfer-Encoding": "chunked" },
};

/** A script that is cut behind so many bytes. */
interface Cut {
  readonly listener: FuzzedListener;
  readonly kind: Kind;
  readonly at: number;
  readonly ending: Ending;
  /** Undefined: one that is drawn. */
  readonly moment?: Moment;
}

/** Plain addresses of clients: so many that none of them is crowded. */
const ADDRESSES = 60;
/** What is systematic is gone through in steps of this; a prime that its length is no multiple of. */
const STRIDE = 7919;

const CROWDED = "127.0.0.70";

/**
 * Listeners whose scripts are cut at each byte in every way of ending it. The others have parts of theirs in common with
 * these, or shake hands over TLS, which costs as much as ten connections.
 */
const thorough = ["tcp", "tcp-u16", "tcp-u32", "tcp-line", "tcp-v1", "tcp-v2", "unix", "unix-any", "ws"];

export class Planner {
  readonly #seed: number;
  readonly #hello: ClientHello;
  readonly #cuts: readonly Cut[];

  constructor(seed: number, hello: ClientHello) {
    this.#seed = seed;
    this.#hello = hello;
    this.#cuts = listeners.flatMap((listener) => this.#cutsOf(listener));
  }

  /** How many connections go through all that is valid, cut at each byte. */
  get systematicCount(): number {
    return this.#cuts.length;
  }

  plan(number: number): Plan {
    const random = new Random(Math.imul(this.#seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    const { length } = this.#cuts;
    // Neighbours are of other listeners.
    const cut = number < length ? this.#cuts[(number * STRIDE) % length] : undefined;
    return cut === undefined ? this.#drawn(number, random) : this.#cut(number, random, cut);
  }

  /**
   * A valid script, cut at each byte: in every way of ending it, or in one at each byte and the next at its neighbour.
   * Whole it is ended in every way at every moment.
   */
  #cutsOf(listener: FuzzedListener): Cut[] {
    const isThorough = thorough.includes(listener.name);
    const each = (kind: Kind) =>
      Array.from({ length: lengthOf(this.#script(listener, kind)) }, (_, at) =>
        endings
          .filter((_, index) => isThorough || index === at % endings.length)
          .map((ending) => ({ listener, kind, at, ending })),
      ).flat();
    const whole = (kind: Kind) =>
      moments.flatMap((moment) =>
        endings.map((ending) => ({ listener, kind, at: Number.POSITIVE_INFINITY, ending, moment })),
      );
    return [
      ...each("right"),
      ...whole("right"),
      ...(listener.isSecure ? each("hello") : []),
      ...(listener.isWeb ? [...whole("with-length"), ...whole("in-chunks")] : []),
    ];
  }

  #script(listener: FuzzedListener, kind: Kind, number = 0): Script {
    // All of one length: a script is cut at the same bytes, whoever says it.
    const source = `203.0.113.${100 + (number % 100)}`;
    const script = validScript(listener, { text: "hey", source, headers: kindHeaders[kind] ?? {} });
    if (kind !== "hello") return script;
    const open = Buffer.concat([script.open, this.#hello]);
    return { open, inside: undefined, handshakeBytes: open.length + 1 };
  }

  #cut(number: number, random: Random, { listener, kind, at, ending, moment }: Cut): Plan {
    const script = this.#script(listener, kind, number);
    const { open, inside } = script;
    return {
      number,
      listener,
      from: addressOf(random),
      open: [open.subarray(0, at)],
      inside: inside === undefined || at < open.length ? undefined : [inside.subarray(0, at - open.length)],
      cipherFault: undefined,
      gapTurns: 0,
      ending,
      moment: moment ?? random.pick(["at-once", "written", 0, 1, 2] as const),
      mustBeEnded: ending === "half-close" || (ending === "silence" && at < script.handshakeBytes),
    };
  }

  #drawn(number: number, random: Random): Plan {
    const listener = random.pick(random.chance(0.25) ? listeners : plainListeners);
    const source = random.chance(0.05) ? DENIED[1] : `203.0.113.${random.below(250)}`;
    const { open, inside } = this.#spoiled(listener, source, random);
    const ending = random.pick(drawnEndings);
    const whole = random.chance(0.6);
    const cutAt = whole ? Number.POSITIVE_INFINITY : random.below(open.length + (inside?.length ?? 0));
    const isInside = inside !== undefined && cutAt >= open.length;
    return {
      number,
      listener,
      from: random.chance(0.03) ? DENIED[0] : random.chance(0.05) ? CROWDED : addressOf(random),
      open: pieces(random, open.subarray(0, cutAt)),
      inside: isInside ? pieces(random, inside.subarray(0, cutAt - open.length)) : undefined,
      cipherFault: isInside && random.chance(0.4) ? cipherFault(random) : undefined,
      gapTurns: random.pick([0, 0, 1, 3]),
      ending,
      moment: random.pick(moments),
      mustBeEnded: ending === "half-close",
    };
  }

  /** What a client says that is more or less right. */
  #spoiled(listener: FuzzedListener, source: string, random: Random): Omit<Script, "handshakeBytes"> {
    const valid = validScript(listener, { text: "x".repeat(random.pick([1, 3, 200, 2000])), source });
    const kind = random.below(10);
    if (kind < 3) return valid;
    const { open, inside } = valid;
    if (listener.isWeb && kind < 7) {
      const header = proxyHeader(listener.proxy, source);
      const request = webRequest(listener, source);
      const odd = random.chance(0.7) ? oddRequest(random, request) : request;
      const early = random.chance(0.6) ? earlyBytes(random, request) : Buffer.alloc(0);
      const said = Buffer.concat([Buffer.from(odd, "latin1"), early]);
      if (listener.isSecure) return { open: header, inside: said };
      return { open: Buffer.concat([header, said]), inside: undefined };
    }
    // Of a TLS client most is what it says inside; some begin with something else altogether.
    if (inside === undefined) return { open: mutated(random, open), inside };
    if (kind < 8) return { open, inside: mutated(random, inside) };
    const begun = Buffer.concat([open, kind < 9 ? this.#hello : inside]);
    return { open: mutated(random, begun), inside: undefined };
  }
}

/** Silence takes its time, and a reset is the worst. */
const drawnEndings: readonly Ending[] = [...endings, "reset", "reset", "reset", "fin-reset", "fin"];

const plainListeners = listeners.filter(({ isSecure }) => !isSecure);

function lengthOf({ open, inside }: Script): number {
  return open.length + (inside?.length ?? 0);
}

function addressOf(random: Random): string {
  return `127.0.0.${2 + random.below(ADDRESSES)}`;
}

function cipherFault(random: Random): CipherFault {
  // A client's first flight is some hundred bytes long, its second about eighty.
  const at = random.below(random.pick([100, 2000, 2500]));
  return random.chance(0.5) ? { cutAt: at, spoiltAt: undefined } : { cutAt: undefined, spoiltAt: at };
}

/** The same bytes in one to four writes. */
function pieces(random: Random, bytes: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.pick([0, 0, 1, 3]) }, () => random.below(bytes.length + 1));
  const ends = [...cuts.sort((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** What a connection does, for people. */
export function describePlan({ number, listener, from, open, inside, cipherFault, ...rest }: Plan): string {
  const said = (parts: readonly Buffer[]) =>
    JSON.stringify(Buffer.concat(parts).toString("latin1").slice(0, 400));
  const tls = inside === undefined ? "" : `, over TLS ${said(inside)} ${JSON.stringify(cipherFault ?? "")}`;
  const { gapTurns, ending, moment } = rest;
  const how = `${open.length} writes ${gapTurns} turns apart, ${ending} ${moment}`;
  return `connection ${number} to ${listener.name} from ${from}: ${said(open)}${tls}; ${how}`;
}
