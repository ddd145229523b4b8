/** How a canister, or one of its releases, is named, together with its network. */
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

/** A canister, or one release of it, by number or by channel. */
export interface ReleaseAddress extends CanisterAddress {
  /** The release's number. Default: that of the channel's release or, without a channel, of the newest. */
  readonly release?: number;
  /** A channel's name: the release that the channel points to is meant. */
  readonly channel?: string;
}

/** `CANISTER`, or `CANISTER@CHANNEL`: the name of what a mount follows, whatever its release is by now. */
export function followedName({ canister, channel }: ReleaseAddress): string {
  return channel === undefined ? canister.toText() : `${canister.toText()}@${channel}`;
}
