/** Opens canisters of any kind, for commands that read. */
import { createLog, limitRepeats } from "../log.ts";
import type { ReleaseAddress } from "../source/address.ts";
import type { Mirrors } from "../source/icfs/mirrors.ts";
import { openSource } from "../source/open-source.ts";
import type { Release, Source } from "../source/source.ts";
import type { Tree } from "../tree/tree.ts";
import { REQUEST_TIMEOUT_MS, releaseAddressOf } from "./connect.ts";
import { mirrorsOf } from "./mirrors.ts";
import type { ReadingOptions } from "./options.ts";
import { warnOfTrust } from "./warnings.ts";

/**
 * Milliseconds after which another source is asked beside a mirror that answers very slowly, as in a mount (half of
 * --read-timeout). A mirror that has sent nothing yet gets more time: it may be a cache that waits for a slow network.
 */
const WHOLE_ANSWER_MS = 5000;

export interface Opened {
  readonly address: ReleaseAddress;
  readonly source: Source;
  readonly release: Release;
  readonly tree: Tree;
  readonly mirrors: Mirrors | undefined;
}

/** Opens `CANISTER`, `CANISTER@NUMBER` or `CANISTER@CHANNEL`. @throws UserError, VerificationError, ... of the source */
export async function openForReading(text: string, options: ReadingOptions): Promise<Opened> {
  const address = await releaseAddressOf(text, options);
  const mirrors = openMirrors(options);
  const source = await openSourceOf(address, options, mirrors);
  const release = await source.newest();
  warnOfTrust(address.canister.toText(), release.verified);
  return { address, source, release, tree: await source.tree(release), mirrors };
}

/** The given mirrors, whose problems are reported on stderr. @throws UsageError */
export function openMirrors(options: ReadingOptions): Mirrors | undefined {
  const mirrors = mirrorsOf(options, WHOLE_ANSWER_MS);
  // A mirror that lies may do so for each of thousands of chunks.
  if (mirrors !== undefined) mirrors.tell = limitRepeats(createLog("warn")).warn;
  return mirrors;
}

/** @throws UserError; Error when the network does not answer */
export function openSourceOf(
  address: ReleaseAddress,
  options: ReadingOptions,
  mirrors = openMirrors(options),
): Promise<Source> {
  const { source: kind, trust } = options;
  // Reports on stderr which entries are left out of a tree.
  const log = createLog("warn");
  return openSource(address, { kind, trust, mirrors, requestTimeout: REQUEST_TIMEOUT_MS, log });
}
