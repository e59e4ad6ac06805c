/**
 * `npm start`: the ecosystem in the foreground, until Ctrl-C. pm2 runs in a home of its own, which goes away
 * with it, so that nothing here meets a pm2 that runs other things on this machine.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { passOverSignals } from "../process/signals.ts";
import { StopRequest } from "../process/stop-request.ts";

const ROOT = join(import.meta.dirname, "..");
const SOCKET = join(ROOT, "run/manager.sock");
const GATEWAYS = "http://127.0.0.1:7380/api/gateways";
const GATEWAY_COUNT = 2;

const POLL_MS = 100;

const BANNER = `
  sidegate: a manager that echoes, and two gateways that share a port

    clients     tcp://127.0.0.1:7300     try: nc 127.0.0.1 7300
                ws://127.0.0.1:7301      try: new WebSocket("ws://127.0.0.1:7301") in a browser's console
    manager     http://127.0.0.1:7380    try: npm run -s manager -- ctl gateways
    stop        Ctrl-C

`;

async function somebodyAnswers(path: string): Promise<boolean> {
  const probe = connect(path);
  try {
    await once(probe, "connect");
    return true;
  } catch {
    return false;
  } finally {
    probe.destroy();
  }
}

/** Says where to connect, as soon as one can. */
async function announce(ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    if ((await gatewaysUp()) === GATEWAY_COUNT) {
      process.stdout.write(BANNER);
      return;
    }
    await setTimeout(POLL_MS);
  }
}

async function gatewaysUp(): Promise<number> {
  try {
    const response = await fetch(GATEWAYS);
    const { gateways } = (await response.json()) as { gateways: readonly { readonly health: string }[] };
    return gateways.filter(({ health }) => health === "up").length;
  } catch {
    return 0;
  }
}

async function start(): Promise<number> {
  const stop = new StopRequest();
  process.on("SIGHUP", () => stop.ask("SIGHUP"));
  passOverSignals({ info() {} });
  if (await somebodyAnswers(SOCKET)) {
    process.stderr.write(
      "sidegate runs here already: a manager answers on run/manager.sock.\n" +
        "Stop it first: Ctrl-C where it runs, or find it with 'pgrep -af pm2-runtime' and end it with 'kill -INT'.\n",
    );
    return 1;
  }
  // No other start's, which may still be stopping: pm2 has sockets there. Short, since their paths may not be long.
  const home = mkdtempSync(join(tmpdir(), "sidegate-pm2-"));
  const pm2 = spawn(
    process.execPath,
    [join(ROOT, "node_modules/pm2/bin/pm2-runtime"), "start", "ecosystem.config.cjs", "--no-auto-exit"],
    {
      cwd: ROOT,
      stdio: "inherit",
      // Of a process group of its own: it must hear of a Ctrl-C once, from here.
      detached: true,
      env: {
        ...process.env,
        PM2_HOME: home,
        // One app after the other, each once the one before is ready.
        PM2_CONCURRENT_ACTIONS: "1",
        PM2_FOREGROUND: "1",
        PM2_DISCRETE_MODE: "1",
        PM2_DISABLE_VERSION_CHECK: "1",
        PM2_LOG_DATE_FORMAT: "",
      },
    },
  );
  const interrupt = () => void pm2.kill("SIGINT");
  // Whoever asks again cuts the drain short.
  stop.handTo(interrupt, interrupt);
  const ended = new AbortController();
  const announced = announce(ended.signal);
  const [code, signal] = (await once(pm2, "exit")) as [number | null, NodeJS.Signals | null];
  ended.abort();
  await announced;
  rmSync(home, { recursive: true, force: true });
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

process.exitCode = await start();
