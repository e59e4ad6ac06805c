import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { parseListenAddress } from "../../gateway/transports/listen-address.ts";
import { ordinaryReadPath } from "../../gateway/transports/read-path.ts";

function traitsOf(url: string) {
  const context = { readPath: ordinaryReadPath, maxMessageBytes: () => 1 };
  return createListener(parseListenAddress(url), context, () => {}).origin;
}

describe("what a listener tells of itself to each session", () => {
  test("is what its address says", () => {
    assert.deepEqual(
      traitsOf("tcp://127.0.0.1:0?name=game&framing=line&ticket=first-message&manager=battle"),
      {
        transport: "tcp",
        name: "game",
        framing: "line",
        ticket: "first-message",
        pingMs: 0,
        manager: "battle",
      },
    );
    assert.deepEqual(traitsOf("ws://127.0.0.1:0?name=web&ticket=query&pingMs=5000&manager=lobby"), {
      transport: "ws",
      name: "web",
      framing: "websocket",
      ticket: "query",
      pingMs: 5000,
      manager: "lobby",
    });
  });

  test("names no manager where the address names none", () => {
    for (const url of ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "unix:/run/game.sock"]) {
      assert.equal(traitsOf(url).manager, undefined);
    }
  });
});
