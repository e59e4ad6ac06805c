import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Encoder } from "../../gateway/framing/encoder.ts";
import { LIMITS } from "../helpers/sessions.ts";
import { delivered, startSessions } from "./support.ts";

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

  test("may be of any length", () => {
    const { sessions, roster, join } = startSessions();
    const { client, id } = join();
    const parts = ["x", "y", "z"].map((letter) => Buffer.alloc(200 * 1024, letter));
    for (const part of parts) roster.send(id, part);
    sessions.flush();
    assert.equal(client.delivered.length, 1);
    assert.ok(client.delivered[0]?.equals(Buffer.concat(parts)));
  });
});
