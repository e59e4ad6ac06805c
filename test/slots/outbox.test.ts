import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Encoder } from "../../gateway/framing/encoder.ts";
import { LIMITS } from "../helpers/sessions.ts";
import { delivered, startSessions, type TestSessions } from "./support.ts";

const MIB = 1024 * 1024;

/** Puts messages in brackets, and counts how often it had to. */
class Brackets implements Encoder {
  readonly maxPayloadBytes: number;
  encoded = 0;

  constructor(maxPayloadBytes = Number.POSITIVE_INFINITY) {
    this.maxPayloadBytes = maxPayloadBytes;
  }

  encode(payload: Buffer): Buffer {
    this.encoded++;
    return Buffer.from(`[${payload}]`);
  }
}

const wanting = (encoder: Encoder) => (client: { encoder: Encoder | undefined }) => {
  client.encoder = encoder;
};

describe("what goes to clients whose messages are framed", () => {
  test("is framed message by message, and leaves in one write", () => {
    const { sessions, roster, join } = startSessions();
    const { client, id } = join(wanting(new Brackets()));
    roster.send(id, Buffer.from("a"));
    roster.sendAll(Buffer.from("b"));
    roster.send(id, Buffer.from(""));
    sessions.flush();
    assert.deepEqual(client.delivered.map(String), ["[a][b][]"]);
  });

  test("is encoded once for all who want it the same way, and for each in its own", () => {
    const { sessions, roster, join } = startSessions();
    const [shared, own] = [new Brackets(), new Brackets()];
    const clients = [wanting(shared), wanting(own), undefined, wanting(shared)].map(
      (how) => join(how).client,
    );
    roster.sendAll(Buffer.from("to all"));
    sessions.flush();
    assert.deepEqual([shared.encoded, own.encoded], [1, 1]);
    assert.deepEqual(clients.map(delivered), ["[to all]", "[to all]", "to all", "[to all]"]);
    roster.sendAll(Buffer.from("more"));
    sessions.flush();
    assert.equal(shared.encoded, 2);
    assert.deepEqual(clients.map(delivered)[3], "[to all][more]");
  });

  test("goes as the client wants it at the moment", () => {
    const { sessions, roster, join } = startSessions();
    const { client, id } = join();
    roster.send(id, Buffer.from("plain"));
    client.encoder = new Brackets();
    roster.send(id, Buffer.from("framed"));
    sessions.flush();
    assert.equal(delivered(client), "plain[framed]");
  });

  test("counts with what frames it, towards the client's buffer too", () => {
    const { sessions, roster, counters, join, slotOf } = startSessions();
    const { client, id } = join(wanting(new Brackets()));
    client.unstick(true);
    roster.send(id, Buffer.alloc(LIMITS.clientBufferBytes - 2));
    sessions.flush();
    assert.equal(client.ending, undefined);
    assert.deepEqual([counters.outBytes, counters.outMsgs], [LIMITS.clientBufferBytes, 1]);
    assert.equal(slotOf(client)?.acceptedBytes, LIMITS.clientBufferBytes);
    roster.send(id, Buffer.from(""));
    sessions.flush();
    assert.equal(client.ending, "reset");
  });

  test("ends a client whose framing can't say so long a message, behind what it was sent before", () => {
    const { sessions, roster, told, join } = startSessions();
    const { client, id } = join(wanting(new Brackets(3)));
    roster.send(id, Buffer.from("abc"));
    roster.send(id, Buffer.from("abcd"));
    roster.send(id, Buffer.from("ab"));
    sessions.flush();
    assert.equal(delivered(client), "[abc]");
    assert.deepEqual([client.finishing, client.farewell?.reason], [true, "too-big"]);
    client.goes();
    assert.equal(told.at(-1), `end ${id} gateway too-big`);
  });

  test("ends of all those who can't be told, and reaches everybody else once", () => {
    const { sessions, roster, join } = startSessions({ capacity: 8 });
    const short = new Brackets(3);
    const encoders = [short, undefined, short, new Brackets(4), short, undefined];
    const clients = encoders.map((encoder) => join(encoder && wanting(encoder)).client);
    roster.sendAll(Buffer.from("four"));
    sessions.flush();
    assert.deepEqual(clients.map(delivered), ["", "four", "", "[four]", "", "four"]);
    assert.deepEqual(
      clients.map(({ finishing }) => finishing),
      [true, false, true, false, true, false],
    );
    assert.equal(sessions.liveCount, 3);
  });
});

describe("what is joined for a client", () => {
  test("lies in memory that nobody else gets while its write is under way", () => {
    const { sessions, roster, join } = startSessions();
    const [slow, quick] = [join(), join()];
    let kept: Buffer = Buffer.alloc(0);
    slow.client.write = (bytes) => {
      kept = bytes;
      return false;
    };
    const sendBoth = (id: number, ...texts: string[]) => {
      for (const text of texts) roster.send(id, Buffer.from(text));
    };
    sendBoth(slow.id, "for the", " slow one");
    sendBoth(quick.id, "for the", " quick one");
    sessions.flush();
    sendBoth(quick.id, " and", " more");
    sessions.flush();
    assert.deepEqual(
      [String(kept), delivered(quick.client)],
      ["for the slow one", "for the quick one and more"],
    );
  });

  test("does not ask the manager's memory to wait, which was copied from", () => {
    const { sessions, roster, join } = startSessions();
    const { client, id } = join();
    client.write = () => false;
    roster.send(id, Buffer.from("a"));
    roster.send(id, Buffer.from("b"));
    assert.equal(sessions.flush(), true);
    roster.send(id, Buffer.from("alone"));
    assert.equal(sessions.flush(), false);
  });

  test("may be of any length, and leaves in several writes where it is long", () => {
    const { sessions, roster, join } = startSessions({ limits: { clientBufferBytes: 2 * MIB } });
    const { client, id } = join();
    const parts = ["x", "y", "z"].map((letter) => Buffer.alloc(100 * 1024, letter));
    for (const part of parts) roster.send(id, part);
    roster.send(id, Buffer.alloc(MIB, "w"));
    sessions.flush();
    assert.deepEqual(
      client.delivered.map(({ length }) => length),
      [200 * 1024, 100 * 1024, MIB],
    );
    assert.equal(delivered(client), `${parts.join("")}${"w".repeat(MIB)}`);
  });
});

describe("what is sent to a client in one turn", () => {
  const payload = Buffer.alloc(30, "x");
  const ways: Record<string, (set: TestSessions, id: number) => void> = {
    "in messages of its own": ({ roster }, id) => {
      for (let i = 0; i < 1000; i++) roster.send(id, payload);
    },
    "in one that names it a hundred thousand times": ({ roster }, id) =>
      roster.sendMany(new Uint32Array(100_000).fill(id), payload),
    "by its groups": ({ roster }, id) => {
      for (const group of ["a", "b", "c"]) roster.addToGroup(id, group);
      for (let i = 0; i < 1000; i++) roster.sendGroup(["a", "b", "c"][i % 3] ?? "", payload);
    },
    "as its user": ({ roster }, id) => {
      roster.bind(id, "ann");
      for (let i = 0; i < 1000; i++) roster.sendUser("ann", payload);
    },
    "as one of all": ({ roster }) => {
      for (let i = 0; i < 1000; i++) roster.sendAll(payload);
    },
  };
  for (const [way, send] of Object.entries(ways)) {
    test(`${way} is bounded before it is written: one that does not read is cut at once`, () => {
      const set = startSessions();
      const { client, id, slot } = set.join();
      client.unstick(true);
      send(set, id);
      assert.equal(client.ending, "reset");
      // Three may be held; with the next three behind them too much is queued.
      assert.deepEqual([slot.heldBytes, slot.held, client.queuedBytes], [0, undefined, 6 * payload.length]);
      assert.equal(set.counters.outBytes, 6 * payload.length);
      set.sessions.flush();
      client.goes();
      assert.equal(set.counters.unsentBytes, 6 * payload.length);
      assert.equal(set.told.at(-1), `end ${id} gateway slow-consumer`);
    });

    test(`${way} arrives whole where it is taken as fast as it comes`, () => {
      const set = startSessions();
      const { client, id } = set.join();
      send(set, id);
      set.sessions.flush();
      assert.equal(client.ending, undefined);
      assert.equal(delivered(client).length, set.counters.outBytes);
      assert.ok(set.counters.outMsgs >= 1000);
    });
  }

  test("is nobody else's trouble", () => {
    const { sessions, roster, join } = startSessions();
    const [deaf, other] = [join(), join()];
    deaf.client.unstick(true);
    roster.sendMany([...Array(100).fill(deaf.id), other.id, ...Array(100).fill(deaf.id)], payload);
    roster.sendAll(payload);
    sessions.flush();
    assert.deepEqual([deaf.client.ending, delivered(other.client)], ["reset", `${payload}${payload}`]);
  });

  test("is written early where it is very many messages, however short", () => {
    const { sessions, roster, join } = startSessions({ limits: { clientBufferBytes: MIB } });
    const { client, slot } = join();
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      roster.sendAll(Buffer.from(i % 2 === 0 ? "a" : ""));
      most = Math.max(most, slot.moreHeld?.length ?? 0);
    }
    sessions.flush();
    assert.ok(most <= 256, `${most} messages`);
    assert.equal(delivered(client), "a".repeat(5000));
  });
});
