/**
 * What must come of each thing that reaches a gateway: what its managers are told, what its clients get, and which frames are
 * stale. It follows docs/protocol.md ("Life of a session") and docs/decisions/0010-a-session-s-manager.md, and knows nothing of
 * the table of states.
 */

import type { HandoffRefusal } from "../../proto/bodies.ts";
import type { Said } from "./crossing-manager.ts";

/** A client, from its connection to its end. */
export interface Guest {
  /** What it said to whoever had it, in order. */
  readonly said: string[];
  /** What it must have got, and what it is about to. */
  got: string;
  held: string;
  halfClosed: boolean;
  /** Its connection was cut. */
  cut: boolean;
  /** How its session ended: the first cause decides. */
  cause: string | undefined;
}

/**
 * A session's time with one manager, under one id. `ending`: nobody says anything any more, and its connection is there yet;
 * `dropped`: likewise, by its manager; `left`: its manager was told, and has to acknowledge it; `over`: its id is stale.
 */
export interface Stay {
  readonly manager: string;
  readonly session: number;
  readonly guest: Guest;
  state: "asking" | "open" | "ending" | "dropped" | "left" | "over";
}

/** A manager as far as the gateway takes it into account. */
export interface House {
  readonly capacity: number;
  readonly admission: boolean;
  closed: boolean;
}

export class Ledger {
  readonly stays: Stay[] = [];
  /** What the gateway must have said to its managers since this was emptied. */
  readonly says: string[] = [];
  staleFrames = 0;
  unacknowledged = 0;
  readonly #houses: ReadonlyMap<string, House>;
  /** Who joins next comes from there. */
  #from: Stay | undefined;
  /** And what its client said before is told with it. */
  #unheard: readonly string[] = [];

  constructor(houses: ReadonlyMap<string, House>) {
    this.#houses = houses;
  }

  /** A session has joined, as `says` wants it. */
  joined(manager: string, session: number, guest: Guest): Stay {
    const asks = this.#from === undefined && this.#houses.get(manager)?.admission === true;
    this.#from = undefined;
    const stay: Stay = { manager, session, guest, state: asks ? "asking" : "open" };
    this.stays.push(stay);
    for (const text of this.#unheard) this.says.push(`${manager}: ${session} says ${text}`);
    this.#unheard = [];
    return stay;
  }

  stayOf(guest: Guest): Stay | undefined {
    return this.stays.findLast((stay) => stay.guest === guest);
  }

  /** How many sessions a manager has in this state, or in any. */
  count(manager: string, state?: Stay["state"]): number {
    return this.stays.filter(
      (stay) =>
        stay.manager === manager && (state === undefined ? stay.state !== "over" : stay.state === state),
    ).length;
  }

  /** Why a manager takes nobody now. */
  refusalOf(name: string): "unknown-manager" | "no-manager" | "no-slot" | undefined {
    const house = this.#houses.get(name);
    if (house === undefined) return "unknown-manager";
    if (house.closed) return "no-manager";
    return this.count(name) < house.capacity ? undefined : "no-slot";
  }

  // What the gateway hears.

  comes(manager: string): void {
    this.says.push(`${manager}: join`);
  }

  talks(guest: Guest, text: string): void {
    const stay = this.stayOf(guest);
    if (stay?.state !== "open") return;
    guest.said.push(text);
    this.says.push(`${stay.manager}: ${stay.session} says ${text}`);
  }

  halfCloses(guest: Guest): void {
    guest.halfClosed = true;
    if (isOpen(this.stayOf(guest))) guest.cause ??= "client client-closed";
  }

  goes(guest: Guest, reason: "client-closed" | "client-reset"): void {
    const stay = this.stayOf(guest);
    if (stay === undefined) return;
    guest.cause ??= `client ${reason}`;
    this.says.push(`${stay.manager}: ${stay.session} ended by ${guest.cause}`);
    stay.state = stay.state === "dropped" ? "over" : "left";
  }

  /** @param unheard what the session's client said that its manager had not taken when it said this */
  reads({ word, session, text }: Said, unheard: readonly string[] = []): void {
    const stay = this.stays.find((one) => one.session === session);
    if (stay === undefined || stay.state === "over") this.staleFrames++;
    else if (word === "send") this.#send(stay, text);
    else if (word === "admit") this.#admit(stay);
    else if (word === "drop" || word === "discard") this.#drop(stay, word);
    else this.#handOff(stay, word.slice("handoff to ".length), text, unheard);
  }

  /** All that a read has brought is handled. */
  flush(): void {
    for (const { guest } of this.stays) {
      guest.got += guest.held;
      guest.held = "";
    }
  }

  /** The gateway ends every session. */
  ends(): void {
    for (const stay of this.stays) if (isOpen(stay)) end(stay, "gateway shutdown");
  }

  /** And cuts every connection. */
  cuts(): void {
    this.ends();
    for (const { state, guest } of this.stays) if (isClosing(state)) guest.cut = true;
  }

  /** Every deadline has come. */
  waits(acknowledgement: boolean): void {
    for (const stay of this.stays) {
      if (isClosing(stay.state)) stay.guest.cut = true;
      else if (stay.state === "asking") end(stay, "gateway not-admitted");
      else if (stay.state === "open" && stay.guest.halfClosed) stay.state = "ending";
      else if (stay.state === "left" && acknowledgement) {
        stay.state = "over";
        this.unacknowledged++;
      }
    }
  }

  #send(stay: Stay, text: string): void {
    if (isOpen(stay)) stay.guest.held += text;
    else this.staleFrames++;
  }

  #admit(stay: Stay): void {
    if (stay.state === "asking") stay.state = "open";
  }

  #drop(stay: Stay, word: "drop" | "discard"): void {
    const { guest } = stay;
    if (stay.state === "left") {
      stay.state = "over";
      return;
    }
    if (isOpen(stay) && word === "drop") guest.got += guest.held;
    guest.held = "";
    if (word === "discard") guest.cut = true;
    guest.cause ??= word === "drop" ? "manager dropped" : "manager drop-discarded";
    stay.state = "dropped";
  }

  #handOff(stay: Stay, to: string, data: string, unheard: readonly string[]): void {
    const { manager, session } = stay;
    if (!isOpen(stay)) {
      this.staleFrames++;
      return;
    }
    const refusal = this.#handoffRefusal(stay, to);
    if (refusal !== undefined) {
      this.says.push(`${manager}: ${session} stays, ${refusal}`);
      return;
    }
    stay.state = "over";
    this.#from = stay;
    this.says.push(`${manager}: ${session} ended by manager handoff`);
    this.says.push(`${to}: join from ${manager} ${session} with ${data}`);
    this.#unheard = unheard;
  }

  #handoffRefusal({ manager, state }: Stay, to: string): HandoffRefusal | undefined {
    if (!this.#houses.has(to)) return "unknown-manager";
    if (to === manager) return "same-manager";
    return state === "asking" ? "not-admitted" : this.refusalOf(to);
  }
}

function isClosing(state: Stay["state"]): boolean {
  return state === "ending" || state === "dropped";
}

/** It can be sent to. */
export function isOpen(stay: Stay | undefined): boolean {
  return stay?.state === "asking" || stay?.state === "open";
}

function end(stay: Stay, cause: string): void {
  stay.guest.cause ??= cause;
  stay.state = "ending";
}
