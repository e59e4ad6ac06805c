/** What a manager is told of a session, where another has known it before, held against what the gateway knows of it. */

import type { Session } from "../../manager-stub/index.ts";
import { type AccountParts, capacityOf } from "./account-parts.ts";
import type { Faults } from "./faults.ts";
import type { TappedSession } from "./gateway-tap.ts";

/**
 * Looks at a session that is announced again.
 *
 * @param number the manager's
 * @returns where in what its client has said the session begins to be heard
 */
export function checkRejoin(
  number: number,
  session: Session,
  _data: Buffer | undefined,
  { tap, faults }: AccountParts,
): number {
  const { id, lostBytes } = session;
  const tapped = tap.sessions.get(id);
  const held = tap.beginnings.get(capacityOf(number))?.sessions.get(id);
  if (tapped === undefined || held === undefined) {
    faults.add("mistold", `session ${id} is announced to manager ${number}, and was not held`);
    return 0;
  }
  const { lost, handed } = held;
  faults.check(lostBytes === lost, "miscounted", `session ${id} has lost ${lost} bytes, not ${lostBytes}`);
  checkKnown(session, tapped, faults);
  return handed;
}

/** The same of one that is new to all managers, or was another's, which may have given data along. */
export function checkJoin(
  number: number,
  session: Session,
  data: Buffer | undefined,
  parts: AccountParts,
): number {
  const { tap, faults } = parts;
  const { id, from, admitted } = session;
  const tapped = tap.sessions.get(id);
  const tenure = tap.tenure(id, capacityOf(number));
  if (tapped === undefined || tenure === undefined) {
    faults.add("mistold", `session ${id} joined manager ${number}, and was not told to it`);
    return 0;
  }
  const isFrom = from?.manager === tenure.from?.manager && from?.session === tenure.from?.session;
  faults.check(isFrom, "mistold", `session ${id} is said to be from ${JSON.stringify(from)}`);
  if (from === undefined) {
    faults.check(data === undefined, "misdelivered", `session ${id} came with data from nobody`);
    return 0;
  }
  checkKnown(session, tapped, faults);
  faults.check(admitted, "mistold", `session ${id} was handed over, and is not admitted`);
  checkData(id, from.session, data, parts);
  return tenure.handed;
}

/** What was given along with a session comes with it, once and unharmed. */
function checkData(
  id: number,
  fromSession: number,
  data: Buffer | undefined,
  { faults, handedData }: AccountParts,
): void {
  const given = handedData.get(fromSession);
  handedData.delete(fromSession);
  const what = `session ${id} came with ${data?.length} bytes of data, not the ${given?.length} given`;
  if (given === undefined) faults.add("doubled", what);
  else if (data === undefined) faults.add("lost", what);
  else faults.check(given.equals(data), "harmed", what);
}

/** A session that another manager knew is told as it was then. */
function checkKnown(session: Session, { join }: TappedSession, faults: Faults): void {
  const { addr, port, transport, listener, at, framing = "none", proxy } = join;
  const was = JSON.stringify([addr, port, transport, listener, at, framing, proxy]);
  const is = JSON.stringify([
    session.addr,
    session.port,
    session.transport,
    session.listener,
    session.joinedAt,
    session.framing,
    session.proxy,
  ]);
  faults.check(was === is, "mistold", `session ${session.id} was ${was} and is announced as ${is}`);
}
