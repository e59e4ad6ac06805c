/** What a manager knows of one client. */

/** A client's session on a gateway. It is the same object in every event that speaks of it. */
export interface Session {
  /** The id of the gateway that holds it. */
  readonly gateway: number;
  /** Its id on that gateway; opaque, and not used again while anyone could mistake it. */
  readonly id: number;
  /** Counts the sessions of a manager, in the order in which they joined. */
  readonly serial: number;
  readonly addr: string;
  readonly port: number;
  readonly transport: string;
  /** The name of the listener that it came through. */
  readonly listener: string;
  /** Milliseconds since 1970, by the gateway's clock. */
  readonly joinedAt: number;
  /** Whether it was dropped, and its end is on the way. It can't be sent to any more. */
  readonly dropped: boolean;
}
