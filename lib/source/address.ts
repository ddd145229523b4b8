/** Which canister, or which of its releases, and on which network. */
import type { Identity } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import type { Network } from "../ic/network.ts";

export interface CanisterAddress {
  readonly network: Network;
  readonly rootKey: Uint8Array;
  readonly canister: Principal;
  /** Default: anonymous. */
  readonly identity?: Identity;
}

/** A canister, or one release of it. */
export interface ReleaseAddress extends CanisterAddress {
  /** The release's number. Default: the newest. */
  readonly release?: number;
  /** The name of a channel: the release that it stands for. */
  readonly channel?: string;
}
