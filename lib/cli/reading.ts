/** What commands open that read canisters of any kind. */
import { createLog, limitRepeats } from "../log.ts";
import type { ReleaseAddress } from "../source/address.ts";
import { openSource } from "../source/open-source.ts";
import type { Release, Source } from "../source/source.ts";
import type { Tree } from "../tree/tree.ts";
import { REQUEST_TIMEOUT_MS, releaseAddressOf } from "./addresses.ts";
import { mirrorsOf } from "./mirrors.ts";
import type { ReadingOptions } from "./options.ts";
import { warnOfTrust } from "./warnings.ts";

export interface Opened {
  readonly address: ReleaseAddress;
  readonly source: Source;
  readonly release: Release;
  readonly tree: Tree;
}

/** What `CANISTER` or `CANISTER@NUMBER` names. @throws UserError, VerificationError, ... of the source */
export async function openForReading(text: string, options: ReadingOptions): Promise<Opened> {
  const address = await releaseAddressOf(text, options);
  const source = await openSourceOf(address, options);
  const release = await source.newest();
  warnOfTrust(address.canister.toText(), release.verified);
  return { address, source, release, tree: await source.tree(release) };
}

/** @throws UserError; Error when the network does not answer */
export function openSourceOf(address: ReleaseAddress, options: ReadingOptions): Promise<Source> {
  const { source: kind, trust } = options;
  // What is left out of a tree is said on stderr.
  const log = createLog("warn");
  const mirrors = mirrorsOf(options);
  // One that lies now and then does so for each of thousands of chunks.
  if (mirrors !== undefined) mirrors.tell = limitRepeats(log).warn;
  return openSource(address, { kind, trust, mirrors, requestTimeout: REQUEST_TIMEOUT_MS, log });
}
