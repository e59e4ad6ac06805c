import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createListener } from "../../gateway/transports/create-listener.ts";
import { type ListenAddress, parseListenAddress } from "../../gateway/transports/listen-address.ts";
import { type AcceptSink, ListenError, type Listener } from "../../gateway/transports/listener.ts";
import { ordinaryReadPath, sharedReadPathWorks } from "../../gateway/transports/read-path.ts";
import { TestClient } from "../helpers/client.ts";
import { movers } from "../helpers/poller.ts";
import { until } from "../helpers/wait.ts";

const ANY_PORT = parseListenAddress("tcp://127.0.0.1:0");

describe("the shared read path", () => {
  test("works in the runtime that the project is pinned to", async () => {
    assert.equal(await sharedReadPathWorks(), true);
  });
});

for (const { by, poller, skip } of movers) {
  describe(`a tcp listener, where ${by} accepts`, { skip }, () => {
    const refuse: AcceptSink = (arrival) => arrival.close();
    const context = { readPath: ordinaryReadPath, poller, maxMessageBytes: () => 1024 };

    async function open(t: TestContext, address: ListenAddress, accept = refuse): Promise<Listener> {
      const listener = createListener(address, context, accept);
      await listener.open();
      t.after(() => listener.close());
      return listener;
    }

    test("says what to do when its port is in use", async (t) => {
      const { port } = (await open(t, ANY_PORT)).endpoint;
      const second = createListener({ ...ANY_PORT, port }, context, refuse);
      await assert.rejects(second.open(), (error: Error) => {
        assert.ok(error instanceof ListenError);
        assert.match(
          error.message,
          new RegExp(`tcp://127.0.0.1:${port}: another process listens there.*EADDRINUSE`),
        );
        return true;
      });
    });

    test("says what is wrong with an address that this machine does not have", async () => {
      const listener = createListener({ ...ANY_PORT, host: "192.0.2.1" }, context, refuse);
      await assert.rejects(listener.open(), /no such address.*EADDRNOTAVAIL/);
    });

    test("shares its port with others that share it", async (t) => {
      const served = [0, 0];
      const shared = { ...ANY_PORT, reusePort: true };
      const count = (index: number): AcceptSink => {
        return (connection, listener) => {
          served[index] = (served[index] ?? 0) + 1;
          refuse(connection, listener);
        };
      };
      const first = await open(t, shared, count(0));
      await open(t, { ...shared, port: first.endpoint.port }, count(1));
      const clients = Array.from({ length: 64 }, () => new TestClient(first.endpoint.port));
      await until(() => clients.every((client) => client.closed || client.ended), "everybody is served");
      for (const client of clients) client.close();
      assert.ok(
        served.every((number) => number > 0),
        `served: ${served}`,
      );
    });
  });
}
