/** A socket that is to be reset is closed in the end, whatever else is under way on it. */

import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { descriptorOf, resetSocket } from "../../gateway/transports/socket-channel.ts";
import { withErrorListener } from "../../process/stream-errors.ts";
import { startFront } from "../front/support.ts";
import { FakeClock } from "../helpers/fake-clock.ts";
import { TLS_PARAMETERS } from "../helpers/tls-files.ts";
import { next, until } from "../helpers/wait.ts";

/** A socket that was accepted, and the client's. */
async function acceptedPair(t: TestContext): Promise<{ readonly accepted: Socket; readonly client: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await next(server, "listening");
  const { port } = server.address() as { port: number };
  const client = withErrorListener(connect(port, "127.0.0.1"));
  t.after(() => client.destroy());
  const [accepted] = await next<[Socket]>(server, "connection");
  return { accepted: withErrorListener(accepted), client };
}

describe("a socket that is reset", () => {
  test("is closed, and its client is told by a reset", async (t) => {
    const { accepted, client } = await acceptedPair(t);
    const broken = next<[NodeJS.ErrnoException]>(client, "error");
    resetSocket(accepted);
    await next(accepted, "close");
    assert.equal((await broken)[0].code, "ECONNRESET");
  });

  test("is closed too in the moment in which its end is told, when there can be no reset", async (t) => {
    const { accepted } = await acceptedPair(t);
    accepted.end();
    resetSocket(accepted);
    await next(accepted, "close");
    assert.equal(descriptorOf(accepted), undefined);
  });

  for (const turns of [0, 1, 2]) {
    test(`under TLS gives its slot back when its time is over ${turns} turns behind a refusal`, async (t) => {
      const clock = new FakeClock();
      const front = await startFront(t, `wss://127.0.0.1:0?${TLS_PARAMETERS}`, { clock });
      const { sessions, counters } = front.gateway;
      const socket = withErrorListener(
        connectTls({ port: front.port, host: "127.0.0.1", rejectUnauthorized: false }),
      );
      t.after(() => socket.destroy());
      const afterTurns = (left: number): void => {
        if (left === 0) clock.advance(60_000);
        else setImmediate(() => afterTurns(left - 1));
      };
      const { refuse } = counters;
      counters.refuse = (refusal) => {
        refuse.call(counters, refusal);
        // The answer is on its way then, and the end behind it.
        process.nextTick(() => afterTurns(turns));
      };
      socket.write("GET / HTTP/1.1\r\n\r\n");
      await until(() => counters.refusals["bad-upgrade"] === 1, "it is refused");
      await until(() => sessions.table.usedCount === 0, "its slot is free again");
    });
  }
});
