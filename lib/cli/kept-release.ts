/** Reads a release that a mount or `icfs serve` has kept on this host, for commands that can do without the network. */
import { checkPrivate } from "../cache/cache-directory.ts";
import { DiskStore } from "../cache/disk-store.ts";
import { createLog } from "../log.ts";
import { keptKind, keptRelease } from "../source/kept.ts";
import { openSource } from "../source/open-source.ts";
import type { Release } from "../source/source.ts";
import { hexOf } from "../tree/hash.ts";
import type { Tree } from "../tree/tree.ts";
import { parseRelease } from "./addresses.ts";
import { REQUEST_TIMEOUT_MS } from "./connect.ts";
import { addressWithKeptKey } from "./kept-key.ts";
import type { ReadingOptions } from "./options.ts";

export interface KeptTree {
  readonly release: Release;
  readonly tree: Tree;
}

/**
 * The release with this header, its certificate verified again; undefined when it is not kept, incomplete, or not for this user.
 *
 * @param names possible arguments of the mount: `CANISTER@NUMBER`, `CANISTER`, `CANISTER@CHANNEL`
 * @param header SHA-256 in hexadecimal
 */
export async function keptTree(
  names: readonly string[],
  header: string,
  cacheDir: string,
  options: ReadingOptions,
): Promise<KeptTree | undefined> {
  const log = createLog("error");
  try {
    checkPrivate(cacheDir);
  } catch {
    return undefined;
  }
  const store = new DiskStore(cacheDir, 0, log);
  // Only reads: the store stays as it is.
  const pieces = { read: (sha256: string) => store.read(sha256), write: async () => {} };
  for (const name of new Set(names)) {
    try {
      parseRelease(name);
      const address = await addressWithKeptKey(name, { ...options, offline: true }, store);
      const kind = options.source ?? (await keptKind(store, address));
      if (kind === undefined) continue;
      const how = { kind, trust: options.trust, mirrors: undefined, requestTimeout: REQUEST_TIMEOUT_MS, log };
      const source = await openSource(address, { ...how, offline: true });
      const release = await keptRelease(store, { address, source });
      if (release !== undefined && hexOf(release.hash) === header)
        return { release, tree: await source.tree(release, pieces) };
    } catch {
      // What is kept under this name belongs to another release, or is damaged. The network is asked instead.
    }
  }
  return undefined;
}
