/** From a canister id to a source: what every reader does first. */

import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { type CanisterCalls, queries, replicatedCalls } from "../ic/canister-calls.ts";
import type { BlsVerify } from "../ic/certificate/certificate.ts";
import type { Log } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { AssetsSource } from "./assets/source.ts";
import { detectSource } from "./detect.ts";
import { IcbootSource } from "./icboot/source.ts";
import { MirroredReader } from "./icfs/mirrored-reader.ts";
import type { Mirrors } from "./icfs/mirrors.ts";
import { openReader } from "./icfs/open-release.ts";
import type { ReleaseReader } from "./icfs/release-reader.ts";
import { IcfsSource } from "./icfs/source.ts";
import { offlineReader, refuse } from "./offline.ts";
import type { Source, SourceKind, Trust } from "./source.ts";

/** A gateway holds an update call for ten seconds before it says that it goes on; whoever reads has a deadline of their own. */
const CONSENSUS_TIMEOUT_MS = 30_000;

export interface SourceOptions {
  /** What kind of canister it is; undefined: find out. */
  readonly kind: SourceKind | undefined;
  /** How an icboot canister is read, and an asset canister's list. */
  readonly trust: Trust;
  /** Milliseconds for one request. */
  readonly requestTimeout: number;
  /** Never asks the network; `kind` is given then. */
  readonly offline?: boolean;
  /** Asked before the network, or in its place: of an icfs canister. */
  readonly mirrors?: Mirrors | undefined;
  /** False: what this host accepts is not written down. */
  readonly remember?: boolean;
  /** What is to check the next certificate's signatures; default: verifySignature() of lib/ic/certificate/bls.ts. */
  readonly blsVerify?: () => BlsVerify | undefined;
  readonly log: Log;
}

/** @throws UserError when the canister is of no kind that is known, or of one that has no mirrors; Error when it cannot be asked */
export async function openSource(address: ReleaseAddress, options: SourceOptions): Promise<Source> {
  const mirrors = options.offline ? undefined : options.mirrors;
  const kind = options.kind ?? (await kindOf(address, mirrors, options));
  if (kind !== "icfs" && mirrors !== undefined) throw noMirrors(address, kind);
  const named = address.release ?? address.channel;
  if (kind !== "icfs" && named !== undefined) {
    throw new UserError(
      `${address.canister} has no releases, as it is no icfs canister: leave out @${named}`,
    );
  }
  switch (kind) {
    case "icfs": {
      return new IcfsSource(address, openReleases(address, { ...options, mirrors }), options.remember);
    }
    case "icboot":
      return new IcbootSource(callsOf(address, options), options.trust, options.log);
    case "assets":
      return new AssetsSource(
        callsOf(address, options),
        { ...address, blsVerify: options.blsVerify ?? (() => undefined) },
        options.trust === "replicated",
        options.log,
      );
  }
}

/** What mirrors have is a release of an icfs canister, or proves nothing. */
async function kindOf(
  address: ReleaseAddress,
  mirrors: Mirrors | undefined,
  { requestTimeout }: SourceOptions,
): Promise<SourceKind> {
  if (mirrors === undefined) return detectSource(address, requestTimeout);
  if (mirrors.only) return "icfs";
  const reader = new MirroredReader(mirrors, openReader(address, requestTimeout), requestTimeout);
  return reader.kind(() => detectSource(address, requestTimeout));
}

/** What to say of a canister that is no icfs canister. */
export function noMirrors({ canister }: ReleaseAddress, kind: SourceKind): UserError {
  const what =
    kind === "icboot"
      ? "an icboot canister, whose files have no hash that anybody certifies"
      : "an asset canister, which certifies files as a whole, and has no URLs for parts of them";
  return new UserError(
    `mirrors are for icfs canisters, whose chunks are known by their certified hashes, and ${canister} is ${what}: mounts, ls, cat and verify read it without --mirror`,
  );
}

/** An icfs canister's releases, by mirrors where there are any. */
export function openReleases(
  address: ReleaseAddress,
  {
    mirrors,
    requestTimeout,
    offline,
    blsVerify,
  }: Pick<SourceOptions, "mirrors" | "requestTimeout" | "offline" | "blsVerify">,
): ReleaseReader {
  const reader = openReader(address, requestTimeout, blsVerify);
  if (mirrors === undefined) return offline ? offlineReader(reader) : reader;
  return new MirroredReader(mirrors, reader, requestTimeout);
}

/** With signatures checked: what is read in these ways is not hash-chained, or only as a whole. */
function callsOf(
  address: ReleaseAddress,
  { requestTimeout, offline, blsVerify }: SourceOptions,
): CanisterCalls {
  if (offline) return { signed: refuse, replicated: refuse };
  const { canister, rootKey } = address;
  const agent = (timeout: number) =>
    createAgent({ ...address, verifyQuerySignatures: true, requestTimeout: timeout });
  return {
    signed: queries(agent(requestTimeout), canister),
    replicated: replicatedCalls(agent(CONSENSUS_TIMEOUT_MS), canister, rootKey, { blsVerify }),
  };
}
