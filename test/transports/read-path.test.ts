/** A client's bytes keep their order behind a handshake, whoever read those of the handshake. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TestClient } from "../helpers/client.ts";
import { readPaths } from "../helpers/poller.ts";
import { startManager, startTestGateway } from "../helpers/rig.ts";
import { next, until } from "../helpers/wait.ts";

describe("what a client says behind its handshake", () => {
  for (const { readPath, skip } of readPaths) {
    test(`waits in order until it is admitted, on the ${readPath} read path`, { skip }, async (t) => {
      const { manager, link } = await startManager(t, { admit: true });
      const up = next(manager, "gatewayUp");
      const listen = ["tcp://127.0.0.1:0?proxy=v1&trusted=127.0.0.1"];
      const gateway = await startTestGateway(t, link, { listen, readPath });
      await up;
      const heard: Buffer[] = [];
      manager.on("message", (_session, payload) => heard.push(payload));
      const joined = next(manager, "join");
      const client = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
      t.after(() => client.close());
      client.send("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nfirst, ");
      await joined;
      client.send("second, ");
      const [session] = [...manager.sessions()];
      assert.ok(session !== undefined);
      // It has had every chance to be read once another client, who came later, is through.
      const later = await TestClient.connect(gateway.endpoints[0]?.port ?? 0);
      t.after(() => later.close());
      const laterJoined = next(manager, "join");
      later.send("PROXY TCP4 10.0.0.3 10.0.0.2 1 2\r\n");
      await laterJoined;
      manager.admit(session);
      await until(() => Buffer.concat(heard).length >= 15, "both were heard");
      assert.equal(Buffer.concat(heard).toString(), "first, second, ");
    });
  }
});
