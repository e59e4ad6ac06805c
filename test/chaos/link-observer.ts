/**
 * Reads along on the links between a gateway and its managers, and counts what crosses them: frames that are numbered,
 * and how much of them is sent again.
 */

import * as body from "../../proto/bodies.ts";
import {
  FromGateway,
  FromManager,
  fromGatewayBounds,
  fromManagerBounds,
  HEADER_BYTES,
  isNumberedFromGateway,
  isNumberedFromManager,
  MAX_MAX_FRAME,
} from "../../proto/frame.ts";
import { FrameReader } from "../../proto/frame-reader.ts";
import { decodeMap } from "../../proto/map-body.ts";

/** One direction, over all links. */
export interface DirectionCounts {
  bytes: number;
  frames: number;
  resentFrames: number;
  resentBytes: number;
}

export interface ObservedLink {
  fromGateway(bytes: Buffer): void;
  fromManager(bytes: Buffer): void;
}

export class LinkObserver {
  readonly fromGateway: DirectionCounts = { bytes: 0, frames: 0, resentFrames: 0, resentBytes: 0 };
  readonly fromManager: DirectionCounts = { bytes: 0, frames: 0, resentFrames: 0, resentBytes: 0 };
  registrations = 0;
  resumptions = 0;
  /** The numbers of the last frames of the epoch that were seen at all. */
  #highest = { fromGateway: 0, fromManager: 0 };

  /** There is another link. */
  link(): ObservedLink {
    /** Where each direction is on this link, and where the manager is to go on. */
    const at = { fromGateway: 0, fromManager: 0 };
    let received = 0;
    const count = (direction: "fromGateway" | "fromManager", bytes: number) => {
      const counts = this[direction];
      counts.frames++;
      counts.bytes += bytes;
      at[direction]++;
      if (at[direction] > this.#highest[direction]) {
        this.#highest[direction] = at[direction];
      } else {
        counts.resentFrames++;
        counts.resentBytes += bytes;
      }
    };
    const fromGateway = new FrameReader(fromGatewayBounds, MAX_MAX_FRAME, (type, bytes, start, end) => {
      if (type === FromGateway.Register) {
        received = body.register(decodeMap(bytes, start, end), "Register").resume?.received ?? 0;
      } else if (isNumberedFromGateway(type)) {
        count("fromGateway", HEADER_BYTES + end - start);
      }
    });
    const fromManager = new FrameReader(fromManagerBounds, MAX_MAX_FRAME, (type, bytes, start, end) => {
      if (type === FromManager.Registered) {
        const registered = body.registered(decodeMap(bytes, start, end), "Registered");
        this.registrations++;
        if (registered.resumed) {
          this.resumptions++;
          at.fromGateway = registered.received;
          at.fromManager = received;
        } else {
          this.#highest = { fromGateway: 0, fromManager: 0 };
        }
      } else if (isNumberedFromManager(type)) {
        count("fromManager", HEADER_BYTES + end - start);
      }
    });
    return {
      fromGateway: (bytes) => fromGateway.push(bytes),
      fromManager: (bytes) => fromManager.push(bytes),
    };
  }
}
