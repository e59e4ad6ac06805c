/** Clients that have very much to say, beside others. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { FakeConnection } from "../helpers/fake-connection.ts";
import { addOpenManager } from "../helpers/sessions.ts";
import { SWEEP_MS, startSessions } from "./support.ts";

/** So many empty messages are a share, and so many a small one. */
const SHARE = 128;
const SMALL_SHARE = 8;

function start(capacity = 8) {
  const link = { isCrowded: false };
  const all = startSessions({ capacity });
  Object.defineProperty(all.roster.router, "isCrowded", { get: () => link.isCrowded });
  return { ...all, link };
}

/** Has a client say empty messages for as long as it is read; gives how many it said. */
function saysAll(client: FakeConnection, most = 10_000): number {
  let said = 0;
  while (!client.paused && said < most) {
    client.says("");
    said++;
  }
  return said;
}

describe("a client that has very much to say", () => {
  test("says a share, waits for its next turn, and goes on", async () => {
    const { join } = start();
    const { client } = join();
    for (let turns = 0; turns < 3; turns++) {
      assert.equal(saysAll(client), SHARE);
      await turn();
      assert.equal(client.paused, false);
    }
  });

  test("has a share of bytes too", () => {
    const { join } = start();
    const { client } = join();
    client.says("x".repeat(126 * 1024));
    assert.equal(client.paused, false);
    client.says("x".repeat(1024));
    assert.equal(client.paused, true);
  });

  test("does not wait for having said it over some time", () => {
    const { clock, join } = start();
    const { client } = join();
    for (let sweeps = 0; sweeps < 10; sweeps++) {
      assert.equal(saysAll(client, SHARE - 1), SHARE - 1);
      clock.advance(SWEEP_MS);
    }
    assert.equal(client.paused, false);
  });

  test("waits for its pings like for its messages, also before it is in", async () => {
    const { connect } = start();
    for (const ticket of ["off", "first-message"] as const) {
      const client = connect();
      const { sink } = client;
      let pings = 0;
      while (!client.paused && pings++ < 10_000) sink?.control(0);
      assert.equal(pings, SHARE, ticket);
      await turn();
      assert.equal(client.paused, false);
    }
  });

  test("is nobody else's trouble", async () => {
    const { join } = start();
    const [loud, quiet] = [join().client, join().client];
    saysAll(loud);
    assert.equal(quiet.paused, false);
    quiet.says("hello");
    await turn();
    assert.deepEqual([loud.paused, quiet.paused], [false, false]);
  });

  test("leaves its turn to those who ended, and to who has its slot next, nothing", async () => {
    const { join, roster } = start(1);
    const first = join();
    saysAll(first.client);
    roster.dropDiscard(first.id);
    first.client.goes();
    const { client } = join();
    assert.equal(client.paused, false);
    assert.equal(saysAll(client), SHARE);
    await turn();
    assert.equal(client.paused, false);
    assert.equal(saysAll(client), SHARE, "one turn, though its slot waited twice");
  });

  test("is read to its end when it is ended while it waits", async () => {
    const { join, roster } = start();
    const { client, id } = join();
    saysAll(client);
    roster.drop(id);
    assert.deepEqual([client.finishing, client.paused], [true, false]);
    await turn();
    assert.equal(client.paused, false);
  });
});

describe("very many clients that have very much to say", () => {
  test("have their turns one after the other, so many at a time, and whoever had one comes last", async () => {
    const { join } = start(100);
    const clients = Array.from({ length: 80 }, () => join().client);
    const served: number[][] = [];
    for (const client of clients) saysAll(client);
    for (let turns = 0; turns < 5; turns++) {
      await turn();
      served.push(clients.flatMap((client, index) => (client.paused ? [] : [index])));
      for (const client of clients) saysAll(client);
    }
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, nth) => from + nth);
    assert.deepEqual(served, [
      range(0, 32),
      range(32, 64),
      [...range(0, 16), ...range(64, 80)],
      range(16, 48),
      [...range(0, 16), ...range(48, 64)],
    ]);
  });
});

describe("while a manager has more to do than it works off", () => {
  test("who has said more than a little waits until that is less, and nobody else", async () => {
    const { join, link, roster } = start();
    const [loud, quiet] = [join().client, join().client];
    link.isCrowded = true;
    assert.equal(saysAll(loud), SMALL_SHARE);
    quiet.says("hello");
    for (let turns = 0; turns < 5; turns++) await turn();
    assert.deepEqual([loud.paused, quiet.paused], [true, false]);
    roster.acknowledged();
    await turn();
    assert.equal(loud.paused, true, "it is crowded yet");
    link.isCrowded = false;
    roster.acknowledged();
    await turn();
    assert.equal(loud.paused, false);
  });

  test("who waits has a turn in the order in which it came", async () => {
    const { join, link, roster } = start();
    const clients = [join().client, join().client, join().client];
    link.isCrowded = true;
    for (const client of clients) saysAll(client);
    // The first to have a turn crowds it again.
    const [first] = clients;
    const resume = first?.resume.bind(first);
    if (first !== undefined) {
      first.resume = () => {
        resume?.();
        link.isCrowded = true;
      };
    }
    link.isCrowded = false;
    roster.acknowledged();
    await turn();
    assert.deepEqual(
      clients.map(({ paused }) => paused),
      [false, true, true],
    );
    link.isCrowded = false;
    saysAll(clients[0] as FakeConnection);
    roster.acknowledged();
    await turn();
    assert.deepEqual(
      clients.slice(1).map(({ paused }) => paused),
      [false, false],
    );
  });

  test("who waits and is handed to another manager does not wait for the first one", async () => {
    const { join, link, roster, sessions, clock } = start();
    addOpenManager(sessions, "other", { joined() {}, message() {}, disconnected() {} }, 8);
    const { client, id } = join();
    link.isCrowded = true;
    saysAll(client);
    assert.equal(roster.handOff(id, { manager: "other" }), undefined);
    clock.advance(SWEEP_MS);
    await turn();
    assert.equal(client.paused, false);
  });

  test("who is not one of that manager's sessions does not wait", async () => {
    const { connect, link } = start();
    link.isCrowded = true;
    const client = connect((one) => {
      one.handshaking = true;
    });
    assert.equal(client.paused, false);
  });
});
