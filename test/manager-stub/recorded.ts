/** What a manager's events told, in order, as one line each: to compare with what should have been told. */

import type { ManagerServer } from "../../manager-stub/index.ts";

export function recordEvents(manager: ManagerServer): string[] {
  const told: string[] = [];
  manager.on("gatewayUp", ({ name }) => told.push(`up ${name}`));
  manager.on("gatewaySuspect", ({ name }) => told.push(`suspect ${name}`));
  manager.on("gatewayDraining", ({ name }) => told.push(`draining ${name}`));
  manager.on("gatewayLost", ({ name }, code) => told.push(`lost ${name}: ${code}`));
  manager.on("gatewayDown", ({ name }, code) => told.push(`down ${name}: ${code}`));
  manager.on("refused", (code) => told.push(`refused: ${code}`));
  manager.on("join", ({ gateway, id }) => told.push(`join ${gateway}/${id}`));
  manager.on("message", ({ gateway, id }, payload) => told.push(`message ${gateway}/${id}: ${payload}`));
  manager.on("bindRefused", ({ gateway, id }, user) => told.push(`bind refused ${gateway}/${id}: ${user}`));
  manager.on("leave", ({ gateway, id }, { by, reason }) =>
    told.push(`leave ${gateway}/${id}: ${by} ${reason}`),
  );
  return told;
}
