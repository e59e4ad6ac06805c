/**
 * A manager of a chaos run as a process of its own, to be killed: `manager-program.ts <url> <journal> <incarnation> <seed>`.
 * Sends `ready` to who started it once it listens. At the message `quiet` it sends nothing more by itself, and answers
 * with how many records it has sent to each client. With an odd seed it is asked about each client.
 */

import { ManagerServer } from "../../manager-stub/index.ts";
import { Random } from "../fuzz/random.ts";
import { capacityOf } from "./account-parts.ts";
import { ChaosManager } from "./chaos-manager.ts";
import { FileJournal } from "./journal.ts";

const PING_MS = 100;
const PUMP_MS = 4;
const RECORDS_PER_PUMP = 8;
/** What goes to one client fits in one frame: of two, one could be lost with the manager. */
const MAX_BODY_BYTES = 60 * 1024;

const [url = "", path = "", incarnation = "", seed = ""] = process.argv.slice(2);
const number = Number(incarnation);
const admits = Number(seed) % 2 === 1;
const capacity = capacityOf(number);
const server = new ManagerServer({ listen: url, capacity, pingMs: PING_MS, admit: admits });
const logic = new ChaosManager({
  server,
  incarnation: number,
  random: new Random(Number(seed) + number),
  journal: new FileJournal(path),
  window: Number.POSITIVE_INFINITY,
  maxBodyBytes: MAX_BODY_BYTES,
});
const pump = setInterval(() => {
  // Without a link what is sent would only pile up.
  if (server.gateways.some(({ health }) => health === "up")) logic.pump(RECORDS_PER_PUMP);
}, PUMP_MS);
process.on("message", (message) => {
  if (message !== "quiet") return;
  clearInterval(pump);
  process.send?.([...logic.sent()]);
});
process.on("disconnect", () => process.exit());
await server.listen();
process.send?.("ready");
