/**
 * Where a link is: `unix:/path`, `tcp://host:port` or `tls://host:port` (docs/protocol.md, "Where the link is"). Both ends
 * read the same form, the gateway to dial and the manager to listen.
 */

export type LinkAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp" | "tls"; readonly host: string; readonly port: number };

/** The longest path that fits a Unix socket's address on Linux, in bytes. */
export const MAX_UNIX_PATH_BYTES = 107;

const UNIX_PREFIX = "unix:";

/**
 * Reads a link's address. A relative path is relative to the working directory.
 *
 * @throws Error whose message says what is wrong and what is wanted
 */
export function parseLinkUrl(url: string): LinkAddress {
  if (url.startsWith(UNIX_PREFIX)) return { kind: "unix", path: unixPath(url, url) };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const kind = parsed?.protocol.slice(0, -1);
  if (parsed === undefined || (kind !== "tcp" && kind !== "tls") || !isWhole(parsed)) {
    throw new Error(`'${url}' is not a link address; use unix:/path, tcp://host:port or tls://host:port`);
  }
  return { kind, host: bareHost(parsed.hostname), port: Number(parsed.port) };
}

/** The address as `parseLinkUrl` reads it. */
export function formatLinkUrl(address: LinkAddress): string {
  if (address.kind === "unix") return `${UNIX_PREFIX}${address.path}`;
  return `${address.kind}://${bracketed(address.host)}:${address.port}`;
}

/** Whether a URL has a host and a port, and nothing behind them, nor a user before them. */
function isWhole({ protocol, hostname, port, host, href }: URL): boolean {
  const isBare = href === `${protocol}//${host}` || href === `${protocol}//${host}/`;
  return hostname !== "" && port !== "" && isBare;
}

/** A host without the brackets that a URL puts around IPv6. */
export function bareHost(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** A host as a URL has it: IPv6 in brackets, or its colons would be taken for the port's. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * The path that a `unix:` URL names.
 *
 * @param url as it was given, for the message
 * @param base the same without what may follow the path
 * @throws Error whose message says what is wrong and what is wanted
 */
export function unixPath(url: string, base: string): string {
  const path = base.slice(UNIX_PREFIX.length).replace(/^\/\/(?=\/)/, "");
  if (path === "") throw new Error(`'${url}' names no path; use unix:/path/to.sock`);
  if (Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES) {
    throw new Error(
      `'${path}' is longer than the ${MAX_UNIX_PATH_BYTES} bytes that a Unix socket's path may have`,
    );
  }
  return path;
}
