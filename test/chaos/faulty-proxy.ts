/** Stands between a gateway and its manager, on Unix sockets, and does to each link what its plan says. */

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "../fuzz/random.ts";
import { next } from "../helpers/wait.ts";
import { type CutStyle, type Direction, drawFaults, type FaultPlan, NO_FAULTS } from "./fault-plan.ts";
import type { LinkObserver, ObservedLink } from "./link-observer.ts";

export interface FaultyProxyOptions {
  /** Where the gateway dials, and where the manager listens: paths. */
  readonly path: string;
  readonly target: string;
  readonly random: Random;
  readonly observer: LinkObserver;
}

/** How the links were ended, and how else they were disturbed. */
export interface ProxyCounts {
  links: number;
  cuts: number;
  stalls: number;
  cutsBy: Record<CutStyle, number>;
  /** Cuts in the middle of a link's first few frames. */
  earlyCuts: number;
}

/** A registration is not longer than this. */
const EARLY_BYTES = 200;
/** So many pieces are odd at first, in each direction. */
const PIECES = 30;
/** With more than this to be forwarded a side is not read. */
const QUEUE_BYTES = 1024 * 1024;

export class FaultyProxy {
  readonly counts: ProxyCounts = {
    links: 0,
    cuts: 0,
    stalls: 0,
    cutsBy: { both: 0, ended: 0, "gateway-first": 0, "manager-first": 0 },
    earlyCuts: 0,
  };
  /** Draws the faults of the next link; undefined: it has none. */
  faults: ((random: Random) => FaultPlan) | undefined;
  readonly #options: FaultyProxyOptions;
  readonly #server: Server;
  readonly #links = new Set<ProxiedLink>();

  constructor(options: FaultyProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#options.path);
    await next(this.#server, "listening");
  }

  /** From here on links are cut and hindered. */
  disturb(draw = drawFaults): void {
    this.faults = draw;
    for (const link of this.#links) link.plan = draw(this.#options.random);
  }

  /** From here on every link is a good one. */
  calm(): void {
    this.faults = undefined;
    for (const link of this.#links) link.heal();
  }

  async close(): Promise<void> {
    const closed = next(this.#server, "close");
    this.#server.close();
    for (const link of this.#links) link.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    const { target, random, observer } = this.#options;
    this.counts.links++;
    const plan = this.faults?.(random) ?? NO_FAULTS;
    const link: ProxiedLink = new ProxiedLink(socket, connect({ path: target, allowHalfOpen: true }), {
      plan,
      random,
      counts: this.counts,
      observed: observer.link(),
      gone: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }
}

interface ProxiedLinkOptions {
  readonly plan: FaultPlan;
  readonly random: Random;
  readonly counts: ProxyCounts;
  readonly observed: ObservedLink;
  readonly gone: () => void;
}

class ProxiedLink {
  plan: FaultPlan;
  readonly #options: ProxiedLinkOptions;
  readonly #sides: readonly Socket[];
  readonly #pipes: readonly Pipe[];
  #cut = false;
  #open = 2;

  constructor(gateway: Socket, manager: Socket, options: ProxiedLinkOptions) {
    this.#options = options;
    this.plan = options.plan;
    this.#sides = [gateway, manager];
    const { observed } = options;
    this.#pipes = [
      new Pipe(gateway, manager, this, "fromGateway", (bytes) => observed.fromGateway(bytes)),
      new Pipe(manager, gateway, this, "fromManager", (bytes) => observed.fromManager(bytes)),
    ];
    for (const side of this.#sides) {
      side.on("error", () => {});
      side.on("close", () => {
        this.#open--;
        if (this.#open === 0) options.gone();
      });
    }
    // A side that is gone without a word takes the other with it, unless that is to believe for a while that it is up.
    gateway.on("close", () => this.#cut || manager.destroy());
    manager.on("close", () => this.#cut || gateway.destroy());
  }

  get random(): Random {
    return this.#options.random;
  }

  /** A direction has forwarded so much: does what is due now. Gives how long it is to wait then, milliseconds. */
  forwarded(direction: Direction, bytes: number): number {
    const { cut, stall, delayMs } = this.plan;
    if (cut?.direction === direction && bytes >= cut.afterBytes) this.#cutNow(bytes);
    if (stall?.direction !== direction || bytes < stall.afterBytes) return delayMs;
    const { stall: _done, ...rest } = this.plan;
    this.plan = rest;
    this.#options.counts.stalls++;
    return stall.ms;
  }

  /** How much may be forwarded before something is due. */
  allowed(direction: Direction, bytes: number): number {
    const { cut, stall, pieceBytes } = this.plan;
    const due = [cut, stall].filter((moment) => moment?.direction === direction);
    const left = due.map((moment) => Math.max(1, (moment?.afterBytes ?? 0) - bytes));
    const piece =
      bytes < PIECES * pieceBytes ? 1 + this.random.below(2 * pieceBytes) : Number.POSITIVE_INFINITY;
    return Math.min(piece, ...left);
  }

  heal(): void {
    this.plan = NO_FAULTS;
  }

  destroy(): void {
    for (const side of this.#sides) side.destroy();
  }

  #cutNow(bytes: number): void {
    const { cut } = this.plan;
    if (this.#cut || cut === undefined) return;
    this.#cut = true;
    const { counts } = this.#options;
    counts.cuts++;
    counts.cutsBy[cut.style]++;
    if (bytes < EARLY_BYTES) counts.earlyCuts++;
    const [gateway, manager] = this.#sides;
    if (cut.style === "both") {
      this.destroy();
    } else if (cut.style === "ended") {
      for (const pipe of this.#pipes) pipe.end();
      setTimeout(() => this.destroy(), cut.lingerMs);
    } else {
      // What is on its way at the other end still goes there, late and in its own time.
      (cut.style === "gateway-first" ? gateway : manager)?.destroy();
      setTimeout(() => this.destroy(), cut.lingerMs);
    }
  }
}

/** One direction of a link. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #link: ProxiedLink;
  readonly #direction: Direction;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #forwardedBytes = 0;
  #waiting = false;
  #ended = false;

  constructor(
    from: Socket,
    to: Socket,
    link: ProxiedLink,
    direction: Direction,
    observe: (bytes: Buffer) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    this.#direction = direction;
    from.on("data", (bytes: Buffer) => {
      observe(bytes);
      if (this.#ended || to.destroyed) return;
      this.#queue.push(bytes);
      this.#queuedBytes += bytes.length;
      if (this.#queuedBytes > QUEUE_BYTES) from.pause();
      this.#run();
    });
    from.on("end", () => {
      this.#ended = true;
      this.#run();
    });
  }

  /** Nothing more is forwarded, and the other side is told so. */
  end(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#ended = true;
    this.#to.end();
  }

  #run(): void {
    while (!this.#waiting && this.#queue.length > 0 && !this.#to.destroyed) {
      const piece = this.#take(this.#link.allowed(this.#direction, this.#forwardedBytes));
      this.#to.write(piece);
      this.#forwardedBytes += piece.length;
      const waitMs = this.#link.forwarded(this.#direction, this.#forwardedBytes);
      if (waitMs > 0) this.#wait((go) => setTimeout(go, waitMs));
      else if (this.#queue.length > 0) this.#wait(setImmediate);
    }
    if (this.#ended && this.#queue.length === 0 && !this.#to.writableEnded) this.#to.end();
  }

  #wait(after: (go: () => void) => void): void {
    this.#waiting = true;
    after(() => {
      this.#waiting = false;
      this.#run();
    });
  }

  #take(maxBytes: number): Buffer {
    const first = this.#queue[0];
    if (first === undefined) return Buffer.alloc(0);
    const piece = first.subarray(0, maxBytes);
    if (piece.length === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(piece.length);
    this.#queuedBytes -= piece.length;
    if (this.#queuedBytes < QUEUE_BYTES / 2 && this.#from.isPaused()) this.#from.resume();
    return piece;
  }
}
