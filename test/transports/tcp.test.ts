import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type ListenAddress, parseListenUrl } from "../../gateway/transports/listen-url.ts";
import { type AcceptSink, ListenError } from "../../gateway/transports/listener.ts";
import { ordinaryReadPath, sharedReadPath, sharedReadPathWorks } from "../../gateway/transports/read-path.ts";
import { TcpListener } from "../../gateway/transports/tcp.ts";
import { describeTransport } from "../contracts/transport.ts";
import { TestClient } from "../helpers/client.ts";
import { until } from "../helpers/wait.ts";

const ANY_PORT = parseListenUrl("tcp://127.0.0.1:0");
const unexpected = (error: Error) => assert.fail(error);

for (const [name, readPath] of [
  ["shared", sharedReadPath()],
  ["ordinary", ordinaryReadPath],
] as const) {
  describeTransport({
    name: `tcp, ${name} read path`,
    listener: (accept) => new TcpListener(ANY_PORT, readPath, accept, unexpected),
  });
}

describe("the shared read path", () => {
  test("works in the runtime that the project is pinned to", async () => {
    assert.equal(await sharedReadPathWorks(), true);
  });
});

describe("a tcp listener", () => {
  const refuse: AcceptSink = (connection) => {
    connection.open({ received() {}, finished() {}, closed() {} });
    connection.close();
  };

  async function open(t: TestContext, address: ListenAddress, accept = refuse): Promise<TcpListener> {
    const listener = new TcpListener(address, ordinaryReadPath, accept, unexpected);
    await listener.open();
    t.after(() => listener.close());
    return listener;
  }

  test("says what to do when its port is in use", async (t) => {
    const { port } = (await open(t, ANY_PORT)).endpoint;
    const second = new TcpListener({ ...ANY_PORT, port }, ordinaryReadPath, refuse, unexpected);
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
    const listener = new TcpListener(
      { ...ANY_PORT, host: "192.0.2.1" },
      ordinaryReadPath,
      refuse,
      unexpected,
    );
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
