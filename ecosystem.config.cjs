/**
 * How pm2 runs sidegate: a manager and two gateways that share the client port, so that one can be reloaded
 * while the other takes the new clients (docs/operations.md). Replace the manager by your logic server.
 */

const { existsSync } = require("node:fs");
const { join } = require("node:path");

const pinnedNode = join(__dirname, "node_modules/.bin/node");

/** What a gateway exits with after a manager's Shutdown. pm2 takes a kill for an exit with 0, so it is not 0. */
const SHUT_DOWN = 64;

/** Exit codes that a new start would only repeat: a wrong configuration, and a manager that refused for good. */
const HOPELESS = [2, 4];

const DRAIN_MS = 10_000;

const common = {
  cwd: __dirname,
  interpreter: existsSync(pinnedNode) ? pinnedNode : "node",
  exec_mode: "fork",
  wait_ready: true,
  listen_timeout: 20_000,
  exp_backoff_restart_delay: 100,
  // pm2's own instrumentation would end the process without a drain when pm2 goes away.
  pmx: false,
  // In the foreground everything is on the terminal already; pm2's files would only outlive it.
  ...(process.env.PM2_FOREGROUND === "1" && { out_file: "/dev/null", error_file: "/dev/null" }),
};

function gateway(name) {
  return {
    ...common,
    name,
    script: "gateway/main.ts",
    args: [
      ["--name", name],
      ["--manager", "unix:run/manager.sock"],
      ["--listen", "tcp://127.0.0.1:7300?reusePort=true&name=game"],
      ["--listen", "ws://127.0.0.1:7301?reusePort=true&name=web"],
      ["--drain-ms", DRAIN_MS],
      ["--shutdown-exit-code", SHUT_DOWN],
      ["--log-format", "pretty"],
    ].flat(),
    // Longer than a drain can take, so that pm2 never cuts one short.
    kill_timeout: DRAIN_MS + 5000,
    stop_exit_codes: [SHUT_DOWN, ...HOPELESS],
  };
}

module.exports = {
  apps: [
    {
      ...common,
      name: "manager",
      script: "manager-stub/main.ts",
      args: ["--log-format", "pretty"],
      kill_timeout: 5000,
      stop_exit_codes: HOPELESS,
    },
    gateway("gateway-1"),
    gateway("gateway-2"),
  ],
};
