/**
 * An address that others than this machine can reach must be protected: whoever registers as a gateway there is
 * told what clients are sent, and says what clients have said.
 */

import { BlockList, isIP } from "node:net";
import { formatLinkUrl, type LinkAddress } from "../proto/link-url.ts";
import { ListenError } from "./listen.ts";

/** What was asked for can't be: to try it again does not help. */
export class ListenOptionsError extends ListenError {
  override readonly name = "ListenOptionsError";
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether only this machine can reach a host. A name is looked up nowhere: but for one it may be anywhere. */
function isLoopback(host: string): boolean {
  const version = isIP(host);
  return version === 0 ? host === "localhost" : loopback.check(host, version === 4 ? "ipv4" : "ipv6");
}

/**
 * Checks that an address is protected as it should be.
 *
 * @param has what the manager was given
 * @throws ListenOptionsError
 */
export function checkProtection(
  address: LinkAddress,
  has: { readonly secret: boolean; readonly tls: boolean },
): void {
  const refuse = (why: string) =>
    new ListenOptionsError(`cannot listen on ${formatLinkUrl(address)}: ${why}`);
  if (address.kind === "tls" && !has.tls) throw refuse("TLS needs a certificate and its key");
  if (address.kind !== "tls" && has.tls) {
    throw refuse("there is a certificate, and the address is not one of tls://");
  }
  if (address.kind === "tcp" && !has.secret && !isLoopback(address.host)) {
    throw refuse(
      "everybody who can reach this address could register as a gateway; give it a secret, use tls://, or listen on loopback",
    );
  }
}
