/** What a PROXY header says, whichever its version. */

/** The client's end of its TLS connection to the proxy, as far as the proxy tells. */
export interface ProxyTls {
  /** As the proxy spells it: `TLSv1.3`. */
  readonly version: string | undefined;
  /** The server name that the client asked for. */
  readonly sni: string | undefined;
  /** The common name of the client's certificate; undefined also for one that the proxy did not verify. */
  readonly clientCertificate: string | undefined;
}

export interface ProxyHeader {
  /** The connection is the proxy's own, or of an unknown kind: its real addresses count. */
  readonly local: boolean;
  /** The client's address; "" when local, and for a client of a Unix socket. */
  readonly address: string;
  /** The client's port; 0 where there is no address. */
  readonly port: number;
  /** Undefined when the client did not speak TLS to the proxy, or the proxy does not tell. */
  readonly tls: ProxyTls | undefined;
  /** How many bytes the header took; what the client says begins behind them. */
  readonly headerBytes: number;
}

/** Bytes that are no header, or none that is accepted, and why. */
export interface ProxyFault {
  readonly fault: string;
}

/** "more": what is there may be the beginning of a header. */
export type ProxyReading = ProxyHeader | "more" | ProxyFault;

/** The header of a connection that is the proxy's own. */
export function localHeader(headerBytes: number): ProxyHeader {
  return { local: true, address: "", port: 0, tls: undefined, headerBytes };
}
