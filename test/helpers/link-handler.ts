/** What a test of a gateway's link makes its handler of: one that takes whatever a manager says, and does nothing. */

import type { ManagerLinkHandler } from "../../gateway/links/manager-link.ts";

export const IDLE_HANDLER: ManagerLinkHandler = {
  message() {},
  messageAll() {},
  drop() {},
  dropDiscard() {},
  admit() {},
  messageMany() {},
  bind() {},
  addToGroup() {},
  removeFromGroup() {},
  messageGroup() {},
  messageUser() {},
  handoff() {},
  shutdown() {},
  registered() {},
  readDone: () => true,
  congested() {},
  behind() {},
  acknowledged() {},
  lost() {},
};
