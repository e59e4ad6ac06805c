/** How the listeners of one gateway get along with each other: no two of them may be in each other's way. */

import { resolve } from "node:path";
import { canonicalAddress } from "../guard/address.ts";
import { defaultName, formatListenAddress, type ListenAddress } from "./listen-address.ts";

const EVERY_IPV4 = "0.0.0.0";
const EVERY_IPV6 = "::";

/**
 * Settles who takes what. `[::]` takes IPv4 too, unless another listener has `0.0.0.0` on the same port: then it leaves that to it.
 *
 * @throws Error that names two listeners of which one could never listen
 */
export function settlePorts(addresses: readonly ListenAddress[]): readonly ListenAddress[] {
  for (const [index, one] of addresses.entries()) {
    const other = addresses.slice(0, index).find((before) => clash(before, one));
    if (other !== undefined) {
      throw new Error(
        `'${other.name}' (${formatListenAddress(other)}) and '${one.name}' (${formatListenAddress(one)}) ` +
          `are in each other's way: give one of them another ${one.transport === "unix" ? "path" : "port"}`,
      );
    }
  }
  return addresses.map((one) => {
    const forIpv4 = addresses.find((other) => haveOnePort(one, other) && hostOf(other) === EVERY_IPV4);
    if (hostOf(one) !== EVERY_IPV6 || forIpv4 === undefined) return one;
    const isNamed = one.name !== defaultName(one) || one.name !== forIpv4.name;
    return { ...one, ipv6Only: true, name: isNamed ? one.name : `${one.name}-ipv6` };
  });
}

/** Whether the kernel gives only one of two listeners what they want. Where a name leads to is not known here. */
function clash(one: ListenAddress, other: ListenAddress): boolean {
  if (one.transport === "unix" || other.transport === "unix") {
    return one.transport === other.transport && resolve(one.host) === resolve(other.host);
  }
  if (!haveOnePort(one, other) || (one.reusePort && other.reusePort)) return false;
  const hosts = [hostOf(one), hostOf(other)] as const;
  if (hosts[0] === hosts[1]) return true;
  if (hosts.includes(EVERY_IPV4)) return hosts.some((host) => host !== EVERY_IPV4 && isIpv4(host));
  return hosts.includes(EVERY_IPV6) && hosts.every((host) => canonicalAddress(host) !== undefined);
}

function haveOnePort(one: ListenAddress, other: ListenAddress): boolean {
  return one.transport !== "unix" && other.transport !== "unix" && one.port === other.port && one.port !== 0;
}

function hostOf({ host }: ListenAddress): string {
  return canonicalAddress(host) ?? host.toLowerCase();
}

function isIpv4(host: string): boolean {
  return canonicalAddress(host)?.includes(".") === true;
}
