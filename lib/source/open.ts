/** From a canister id to its newest release, verified and not older than what this host has seen: what every reader does first. */
import type { Identity } from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import type { Network } from "../ic/network.ts";
import { retrying } from "../retry.ts";
import { Tree } from "../tree/tree.ts";
import { IcfsSource } from "./icfs.ts";
import type { Head, Source } from "./source.ts";
import { checkTrust } from "./trust.ts";

export interface CanisterAddress {
  readonly network: Network;
  readonly rootKey: Uint8Array;
  readonly canister: Principal;
  /** Default: anonymous. */
  readonly identity?: Identity;
}

/** @param requestTimeout milliseconds for one request */
export function openSource(address: CanisterAddress, requestTimeout: number): Source {
  // Query signatures are off: whatever this agent fetches is certified or hash-chained, which is stronger.
  const agent = createAgent({ ...address, verifyQuerySignatures: false, requestTimeout });
  return new IcfsSource(agent, address.canister, address.rootKey);
}

export interface OpenRelease {
  readonly head: Head;
  readonly tree: Tree;
}

/** Few, since somebody waits for the mount or the answer; enough for a dropped connection or a flipped bit. */
const ATTEMPTS = 3;
const PAUSE_MS = 100;

function fewAttempts<T>(attempt: () => Promise<T>): Promise<T> {
  return retrying(attempt, {
    firstPause: PAUSE_MS,
    longestPause: 2 * PAUSE_MS,
    again: (_, attempts) => attempts < ATTEMPTS,
  });
}

/** The newest release. @throws UserError when there is none yet; VerificationError, FormatError, ... of the source */
export async function openNewest(address: CanisterAddress, source: Source): Promise<OpenRelease> {
  const head = await fewAttempts(() => source.head());
  if (head === undefined) {
    throw new UserError(
      `canister ${address.canister.toText()} has no release yet: \`icfs publish DIR ${address.canister.toText()}\` makes one`,
    );
  }
  await checkTrust(address.canister, address.rootKey, head, source);
  const { header } = head;
  const manifest = await fewAttempts(() => source.manifest(header));
  return { head, tree: new Tree(manifest, BigInt(header.publishedAt.getTime()) * 1_000_000n) };
}
