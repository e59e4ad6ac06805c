import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { DirectWriter, Outcome } from "../../gateway/transports/direct-write.ts";

const MORE_THAN_THE_KERNEL_TAKES = 32 * 1024 * 1024;

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** Runs `test` with two sockets that are connected. */
async function withPair(test: (pair: Pair) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [near] = (await accepted) as [Socket];
  for (const socket of [near, far]) socket.on("error", () => {});
  try {
    await test({ near, far });
  } finally {
    near.destroy();
    far.destroy();
    server.close();
  }
}

/** Has a writer see a socket write. */
async function taught(near: Socket, far: Socket): Promise<DirectWriter> {
  const writer = new DirectWriter();
  writer.write(near, Buffer.from("seen"));
  const [bytes] = (await once(far, "data")) as [Buffer];
  assert.equal(bytes.toString(), "seen");
  return writer;
}

/** A socket whose handle counts how it is written to, and whose stream makes its requests beforehand. */
function olderSocket(): { socket: Socket; requests: unknown[] } {
  const requests: unknown[] = [];
  const writeBuffer = (request: unknown) => {
    requests.push(request);
    return 0;
  };
  const handle = Object.create({ writeBuffer }) as { writeBuffer: typeof writeBuffer };
  const socket = { _handle: handle, writableLength: 0, write: () => handle.writeBuffer({}) };
  return { socket: socket as unknown as Socket, requests };
}

describe("writing past the stream", () => {
  it("leaves the first write to the stream, and does as it saw", async () => {
    await withPair(async ({ near, far }) => {
      const writer = await taught(near, far);
      let streamed = 0;
      near.write = () => {
        streamed++;
        return true;
      };
      assert.equal(writer.write(near, Buffer.from("itself")), Outcome.taken);
      const [bytes] = (await once(far, "data")) as [Buffer];
      assert.equal(bytes.toString(), "itself");
      assert.equal(streamed, 0);
    });
  });

  it("leaves every write to the stream where handles are written to in another way", () => {
    const { socket, requests } = olderSocket();
    const writer = new DirectWriter();
    assert.equal(writer.write(socket, Buffer.from("a")), Outcome.taken);
    assert.equal(writer.write(socket, Buffer.from("b")), Outcome.refused);
    assert.deepEqual(requests, [{}]);
  });

  it("has what the kernel did not take followed by what the stream is given next", async () => {
    await withPair(async ({ near, far }) => {
      const writer = await taught(near, far);
      const bytes = Buffer.alloc(MORE_THAN_THE_KERNEL_TAKES, "x");
      far.pause();
      assert.equal(writer.write(near, bytes), Outcome.pending);
      const through = new Promise((resolve) => near.write(Buffer.from("end"), resolve));
      let received = 0;
      let tail = "";
      far.on("data", (part: Buffer) => {
        received += part.length;
        tail = part.subarray(-3).toString();
      });
      far.resume();
      await through;
      while (received < bytes.length + 3) await once(far, "data");
      assert.equal(received, bytes.length + 3);
      assert.equal(tail, "end");
    });
  });

  it("ends a socket whose write under way fails, with the system's code", async () => {
    await withPair(async ({ near, far }) => {
      const writer = await taught(near, far);
      far.pause();
      assert.equal(writer.write(near, Buffer.alloc(MORE_THAN_THE_KERNEL_TAKES)), Outcome.pending);
      const failed = once(near, "error") as Promise<[NodeJS.ErrnoException]>;
      far.resetAndDestroy();
      const [error] = await failed;
      assert.match(error.code ?? "", /^(ECONNRESET|EPIPE)$/);
      assert.ok(near.destroyed);
    });
  });

  it("writes nothing to a socket that is gone", async () => {
    await withPair(async ({ near, far }) => {
      const writer = await taught(near, far);
      near.destroy();
      assert.equal(writer.write(near, Buffer.from("late")), Outcome.refused);
    });
  });

  it("leaves it to the stream to say why the kernel takes nothing", async () => {
    await withPair(async ({ near, far }) => {
      const writer = await taught(near, far);
      near.end();
      await once(near, "finish");
      assert.equal(writer.write(near, Buffer.from("behind the end")), Outcome.refused);
    });
  });
});
