/** From a canister id to a source: what every reader does first. */

import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { type CanisterCalls, queries, replicatedCalls } from "../ic/canister-calls.ts";
import type { BlsVerify } from "../ic/certificate/valid-signatures.ts";
import type { Log } from "../log.ts";
import type { CanisterAddress, ReleaseAddress } from "./address.ts";
import { detectSource } from "./detect.ts";
import { AllChannels } from "./icfs/all-channels.ts";
import { MirroredReader } from "./icfs/mirrored-reader.ts";
import type { Mirrors } from "./icfs/mirrors.ts";
import { openHead, openReader } from "./icfs/open-release.ts";
import type { ReleaseReader } from "./icfs/release-reader.ts";
import { IcfsSource } from "./icfs/source.ts";
import { offlineReader, refuse } from "./offline.ts";
import type { Source, SourceKind, Trust } from "./source.ts";

/** A gateway holds an update call for ten seconds before it reports that it is still running; readers have their own deadlines. */
const CONSENSUS_TIMEOUT_MS = 30_000;

export interface SourceOptions {
  /** The kind of the canister; undefined: detect it. */
  readonly kind: SourceKind | undefined;
  /** How an icboot canister is read, and an asset canister's list. */
  readonly trust: Trust;
  /** Milliseconds for one request. */
  readonly requestTimeout: number;
  /** Whether the network is never asked. Then `kind` must be given. */
  readonly offline?: boolean;
  /** Asked before the network, or instead of it; only for an icfs canister. */
  readonly mirrors?: Mirrors | undefined;
  /** Whether accepted releases are recorded. Default: true. */
  readonly remember?: boolean;
  /** Checks the next certificate's signatures; default: verifySignature() of lib/ic/certificate/bls.ts. */
  readonly blsVerify?: () => BlsVerify | undefined;
  readonly log: Log;
}

/** The source of a canister. @throws UserError when its kind is unknown, or has no mirrors; Error when it cannot be asked */
export async function openSource(address: ReleaseAddress, options: SourceOptions): Promise<Source> {
  const mirrors = options.offline ? undefined : options.mirrors;
  const kind = options.kind ?? (await kindOf(address, mirrors, options));
  if (kind !== "icfs" && mirrors !== undefined) throw noMirrors(address, kind);
  const named = address.release ?? address.channel;
  if (kind !== "icfs" && named !== undefined) {
    throw new UserError(
      `${address.canister} has no releases, since it is not an icfs canister: leave out @${named}`,
    );
  }
  switch (kind) {
    case "icfs": {
      const reader = openReleases(address, { ...options, mirrors });
      return new IcfsSource(address, reader, () => openHead(address, reader, options.remember));
    }
    // The other kinds are loaded when they are needed: most canisters are icfs canisters.
    case "icboot": {
      const { IcbootSource } = await import("./icboot/source.ts");
      return new IcbootSource(callsOf(address, options), options.trust, options.log);
    }
    case "assets": {
      const { AssetsSource } = await import("./assets/source.ts");
      return new AssetsSource(
        callsOf(address, options),
        { ...address, blsVerify: options.blsVerify ?? (() => undefined) },
        options.trust === "replicated",
        options.log,
      );
    }
  }
}

/** The options by which all channels of an icfs canister are read. */
export type ChannelsOptions = Pick<SourceOptions, "requestTimeout" | "offline" | "mirrors" | "blsVerify">;

/** All channels of an icfs canister. Mirrors supply chunks, but only the network can list the channels: no mirror has a proof of all. */
export function openChannels(address: CanisterAddress, options: ChannelsOptions): AllChannels {
  const { requestTimeout, offline, blsVerify } = options;
  const network = openReader(address, requestTimeout, blsVerify, "channels");
  const reader = openReleases(address, options);
  return new AllChannels(address, {
    all: {
      head: offline ? refuse : (accept) => network.head(accept),
      restore: (proof) => network.restore(proof),
      headers: (from, count, accept) => reader.headers(from, count, accept),
      manifest: (header, pieces) => reader.manifest(header, pieces),
      chunk: (reference, received, urgency) => reader.chunk(reference, received, urgency),
    },
    of: (channel) => openReleases({ ...address, channel }, options),
  });
}

/** The canister's kind. If a mirror proves a release, it is an icfs canister. */
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

/** The message about a canister that is not an icfs canister. */
export function noMirrors({ canister }: ReleaseAddress, kind: SourceKind): UserError {
  const what =
    kind === "icboot"
      ? "an icboot canister, whose files have no hash that anybody certifies"
      : "an asset canister, which certifies files as a whole, and has no URLs for parts of them";
  return new UserError(
    `mirrors are for icfs canisters, whose chunks are known by their certified hashes, and ${canister} is ${what}: mounts, ls, cat and verify read it without --mirror`,
  );
}

/** An icfs canister's releases, from mirrors if there are any. */
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

/** Calls of a canister that is not an icfs canister, with signatures checked: its answers are not hash-chained, or only as a whole. */
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
