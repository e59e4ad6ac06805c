import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { describe, test } from "node:test";
import { meaningless } from "../../process/signals.ts";
import { socketPath } from "../helpers/rig.ts";
import { until } from "../helpers/wait.ts";
import { end, run, startProcess } from "./manager-process.ts";
import { RawGateway, session } from "./raw-gateway.ts";

describe("the manager's process", () => {
  test("says where it listens, echoes what clients say, and ends in good order on SIGTERM", async (t) => {
    const path = socketPath(t);
    const manager = await startProcess(t, `unix:${path}`, "--capacity", "77", "--ping-ms", "1234");
    const { name, msg, link, http, behaviour, capacity, pid } =
      await manager.running.logged("the manager listens");
    assert.deepEqual(
      { name, msg, link, behaviour, capacity, pid },
      {
        name: "manager",
        msg: "the manager listens",
        link: `unix:${path}`,
        behaviour: "echo",
        capacity: 77,
        pid: manager.running.child.pid,
      },
    );
    assert.match(`${http}`, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.equal((statSync(path).mode & 0o777).toString(8), "600");
    const gateway = await RawGateway.connect(t, manager.link);
    const registered = await gateway.register();
    assert.deepEqual([registered.capacity, registered.pingMs], [77, 1234]);
    gateway.join(session(0));
    gateway.message(session(0), "hello");
    assert.deepEqual(await gateway.sync(), [["Msg", session(0), "hello"]]);
    const stream = await fetch(`${http}/api/events`);
    manager.running.child.kill("SIGTERM");
    const { exit, stderr } = await end(manager.running);
    assert.deepEqual([exit, stderr], [0, ""]);
    assert.equal(existsSync(path), false);
    assert.deepEqual(await gateway.untilClosed(), []);
    await assert.rejects(stream.text(), "a listener does not hold it up");
  });

  test("tells its parent that it is ready, and ends when the parent is gone", async (t) => {
    const path = socketPath(t);
    const { running } = await startProcess(t, `unix:${path}`);
    await until(() => running.ready, "it says so");
    running.child.disconnect();
    assert.equal((await end(running)).exit, 0);
    assert.equal(existsSync(path), false);
  });

  test("takes the end of its parent and a signal, which may come together, for one request", async (t) => {
    const { running } = await startProcess(t, `unix:${socketPath(t)}`);
    running.child.disconnect();
    running.child.kill("SIGTERM");
    const { exit, stderr } = await end(running);
    assert.deepEqual([exit, stderr], [0, ""]);
  });

  test("goes on when signals come that mean nothing to it, and ends in good order on those that do", async (t) => {
    const path = socketPath(t);
    const { running, link } = await startProcess(t, `unix:${path}`);
    for (const signal of [...meaningless, "SIGHUP"] as const) {
      const before = running.log().length;
      running.child.kill(signal);
      await until(() => running.log().length > before, `${signal} is logged`);
    }
    await RawGateway.registered(t, link);
    running.child.kill("SIGQUIT");
    assert.deepEqual((await end(running)).exit, 0);
    assert.equal(running.stderr, "", "Node says there that its debugger listens");
    assert.equal(existsSync(path), false);
  });

  test("refuses to start where another runs, in one line that says what to do", async (t) => {
    const path = socketPath(t);
    const first = await startProcess(t, `unix:${path}`);
    const [onSocket, onPort, nowhere] = await Promise.all([
      run(t, "--listen", first.link, "--http", "127.0.0.1:0"),
      run(t, "--listen", `unix:${path}.2`, "--http", first.http),
      run(t, "--listen", "unix:/dev/null/manager.sock", "--http", "127.0.0.1:0"),
    ]);
    assert.deepEqual([onSocket.exit, onPort.exit, nowhere.exit], [3, 3, 3]);
    assert.equal(
      onSocket.stderr,
      `sidegate-manager: cannot listen on unix:${path}: another process listens on ${path}; stop it, or choose another path\n`,
    );
    assert.equal(
      onPort.stderr,
      `sidegate-manager: cannot serve the HTTP API on ${first.http}: another process listens there; choose another with --http\n`,
    );
    assert.match(
      nowhere.stderr,
      /^sidegate-manager: cannot listen on unix:\/dev\/null\/manager\.sock: E.*\n$/,
    );
    assert.deepEqual([onSocket.stdout, onPort.stdout, nowhere.stdout], ["", "", ""]);
    assert.equal(existsSync(`${path}.2`), false, "it leaves no socket behind");
    await RawGateway.registered(t, first.link);
  });
});

describe("a command line that is wrong", () => {
  const wrong: readonly (readonly [line: string, said: RegExp])[] = [
    ["--lissten unix:x", /^error: unknown option '--lissten'\n\(Did you mean --listen\?\)\n$/],
    ["clt gateways", /^error: unknown command 'clt'; there is 'ctl'\n$/],
    ["ctl gatways", /^error: unknown command 'gatways'\n\(Did you mean gateways\?\)\n$/],
    ["--listen http://x", /'http:\/\/x' is not a link address; use unix:\/path, .* or tls:\/\/host:port\n$/],
    ["--http game/path:80", /'game\/path:80' is invalid. It must be host:port.\n$/],
    ["--http 127.0.0.1:65536", /'127.0.0.1:65536' is invalid. It must be host:port.\n$/],
    ["--capacity 0", /'0' is invalid. It must be a whole number from 1 to 1048576.\n$/],
    ["--ping-ms 99", /'99' is invalid. It must be a whole number from 100 to 600000.\n$/],
    ["--behaviour eco", /'eco' is invalid. Allowed choices are echo, chat, silent.\n$/],
    ["--log-level loud", /'loud' is invalid. Allowed choices are trace, debug, .*\n$/],
    ["--log-format xml", /'xml' is invalid. Allowed choices are json, pretty.\n$/],
  ];

  test("is refused with exit code 2 and what would be right", async (t) => {
    const runs = await Promise.all(wrong.map(([line]) => run(t, ...line.split(" "))));
    for (const [index, { exit, stdout, stderr }] of runs.entries()) {
      const [line = "", said = /$^/] = wrong[index] ?? [];
      assert.match(stderr, said, line);
      assert.deepEqual([exit, stdout], [2, ""], line);
    }
  });
});
