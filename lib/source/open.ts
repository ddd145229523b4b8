/** From a canister id to a source: what every reader does first. */

import { UserError } from "../errors.ts";
import { createAgent } from "../ic/agent.ts";
import { type Call, queries, replicatedCalls } from "../ic/canister-calls.ts";
import type { BlsVerify } from "../ic/certificate.ts";
import type { Log } from "../log.ts";
import type { ReleaseAddress } from "./address.ts";
import { detectSource } from "./detect.ts";
import { IcbootSource, type Trust } from "./icboot/source.ts";
import { openReader } from "./icfs/open.ts";
import { IcfsSource } from "./icfs/source.ts";
import { offlineReader, refuse } from "./offline.ts";
import type { Source, SourceKind } from "./source.ts";

export interface SourceOptions {
  /** What kind of canister it is; undefined: find out. */
  readonly kind: SourceKind | undefined;
  /** How an icboot canister is read. */
  readonly trust: Trust;
  /** Milliseconds for one request. */
  readonly requestTimeout: number;
  /** Never asks the network; `kind` is given then. */
  readonly offline?: boolean;
  /** What is to check the next certificate's signatures; default: @dfinity/agent's own. */
  readonly blsVerify?: () => BlsVerify | undefined;
  readonly log: Log;
}

/** @throws UserError when the canister is of no kind that is known; Error when it cannot be asked */
export async function openSource(address: ReleaseAddress, options: SourceOptions): Promise<Source> {
  const kind = options.kind ?? (await detectSource(address, options.requestTimeout));
  if (kind !== "icfs" && address.release !== undefined) {
    throw new UserError(
      `${address.canister} is an ${kind} canister, which has no releases: leave out @${address.release}`,
    );
  }
  switch (kind) {
    case "icfs": {
      const reader = openReader(address, options.requestTimeout, options.blsVerify);
      return new IcfsSource(address, options.offline ? offlineReader(reader) : reader);
    }
    case "icboot": {
      const calls = callsOf(address, options);
      const { trust, log } = options;
      return new IcbootSource(trust === "query" ? calls.signed : calls.replicated, trust, log);
    }
    case "assets":
      throw new UserError("not yet");
  }
}

interface Calls {
  /** By query, with the node's signature. */
  readonly signed: Call;
  /** By query, and whoever asks has something stronger than a signature. */
  readonly plain: Call;
  readonly replicated: Call;
}

function callsOf(address: ReleaseAddress, { requestTimeout, offline, blsVerify }: SourceOptions): Calls {
  if (offline) return { signed: refuse, plain: refuse, replicated: refuse };
  const { canister, rootKey } = address;
  const agent = (verifyQuerySignatures: boolean) =>
    createAgent({ ...address, verifyQuerySignatures, requestTimeout });
  return {
    signed: queries(agent(true), canister),
    plain: queries(agent(false), canister),
    replicated: replicatedCalls(agent(true), canister, rootKey, blsVerify),
  };
}
