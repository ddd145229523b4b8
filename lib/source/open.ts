/** From a canister id to a release, verified and not from before what this host has seen: what every reader does first. */
import type { Identity } from "@dfinity/agent";
import type { Principal } from "@dfinity/principal";
import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import type { Network } from "../ic/network.ts";
import { retrying } from "../retry.ts";
import { Tree } from "../tree/tree.ts";
import { ancestors, type VerifiedHeader } from "./chain.ts";
import { IcfsSource } from "./icfs.ts";
import { type Head, MissingChunkError, type Source } from "./source.ts";
import { trustingSource } from "./trust.ts";

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
}

/** @param requestTimeout milliseconds for one request */
export function openSource(address: CanisterAddress, requestTimeout: number): Source {
  // Query signatures are off: whatever this agent fetches is certified or hash-chained, which is stronger.
  const agent = createAgent({ ...address, verifyQuerySignatures: false, requestTimeout });
  return new IcfsSource(agent, address.canister, address.rootKey);
}

export interface OpenRelease extends VerifiedHeader {
  readonly tree: Tree;
}

/** Few, since somebody waits for the mount or the answer; enough for a dropped connection or a flipped bit. */
const ATTEMPTS = 3;
const PAUSE_MS = 100;

function fewAttempts<T>(attempt: () => Promise<T>): Promise<T> {
  return retrying(attempt, {
    firstPause: PAUSE_MS,
    longestPause: 2 * PAUSE_MS,
    again: (error, attempts) => attempts < ATTEMPTS && !(error instanceof UserError),
  });
}

/** The newest release. @throws UserError when there is none yet; VerificationError, FormatError, ... of the source */
export async function openHead(address: CanisterAddress, source: Source): Promise<Head> {
  const trusting = trustingSource(source, address.canister, address.rootKey);
  const head = await fewAttempts(() => trusting.head());
  if (head === undefined) {
    throw new UserError(
      `canister ${address.canister.toText()} has no release yet: \`icfs publish DIR ${address.canister.toText()}\` makes one`,
    );
  }
  return head;
}

/** The release that the address names, with its tree. @throws as openHead(); UserError when it cannot be had */
export async function openRelease(address: ReleaseAddress, source: Source): Promise<OpenRelease> {
  const head = await openHead(address, source);
  const { header, hash } = await fewAttempts(() => releaseBelow(head, address, source));
  try {
    const manifest = await fewAttempts(() => source.manifest(header));
    return { header, hash, tree: new Tree(manifest, BigInt(header.publishedAt.getTime()) * 1_000_000n) };
  } catch (error) {
    // The newest is always held: a canister that has not got that is broken, or what stands before it lies.
    if (!(error instanceof MissingChunkError) || header.number === head.header.number) throw error;
    throw notHeld(address.canister, header.number);
  }
}

/** What to say of a release whose chunks are gone, as all but those that the canister is to hold once are. */
export function notHeld(canister: Principal, number: number): UserError {
  return new UserError(
    `release ${number} of ${canister} is not held any more: the canister has dropped its files. \`icfs releases ${canister}\` lists those it holds, and \`icfs keep ${canister} NUMBER\` makes it hold one for good`,
  );
}

/** The named release's header, proved by the head's certificate through the parents in between. One attempt. */
export async function releaseBelow(
  head: Head,
  { canister, release = head.header.number }: ReleaseAddress,
  source: Source,
): Promise<VerifiedHeader> {
  const newest = head.header.number;
  if (release === newest) return head;
  if (release > newest) {
    throw new UserError(
      `${canister} has no release ${release}: the newest is ${newest}; \`icfs releases ${canister}\` lists them`,
    );
  }
  let last: VerifiedHeader = head;
  for await (const ancestor of ancestors(head, source, release)) last = ancestor;
  return last;
}
