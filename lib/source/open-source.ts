/** From a canister id to a source: what every reader does first. */

import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { type CanisterCalls, queries, replicatedCalls } from "../ic/canister-calls.ts";
import type { BlsVerify } from "../ic/certificate.ts";
import type { Log } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { AssetsSource } from "./assets/source.ts";
import { detectSource } from "./detect.ts";
import { IcbootSource } from "./icboot/source.ts";
import { openReader } from "./icfs/open-release.ts";
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
  /** False: what this host accepts is not written down. */
  readonly remember?: boolean;
  /** What is to check the next certificate's signatures; default: verifySignature() of lib/ic/bls.ts. */
  readonly blsVerify?: () => BlsVerify | undefined;
  readonly log: Log;
}

/** @throws UserError when the canister is of no kind that is known; Error when it cannot be asked */
export async function openSource(address: ReleaseAddress, options: SourceOptions): Promise<Source> {
  const kind = options.kind ?? (await detectSource(address, options.requestTimeout));
  if (kind !== "icfs" && address.release !== undefined) {
    throw new UserError(
      `${address.canister} has no releases, as it is no icfs canister: leave out @${address.release}`,
    );
  }
  switch (kind) {
    case "icfs": {
      const reader = openReader(address, options.requestTimeout, options.blsVerify);
      return new IcfsSource(address, options.offline ? offlineReader(reader) : reader, options.remember);
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
