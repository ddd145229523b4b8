/** Serves a mount's files to other hosts by HTTP (--serve). Loaded only when needed. */
import type { ChunkCache } from "../cache/chunk-cache.ts";
import type { DiskStore } from "../cache/disk-store.ts";
import type { MountedRelease } from "../live/live-release.ts";
import type { Log } from "../log.ts";
import { ServedReleases } from "../serve/releases.ts";
import { Site } from "../serve/site.ts";
import { followedName } from "../source/address.ts";
import { type KeptBy, keptHeaders } from "../source/kept.ts";
import type { FollowedTree } from "./followed-tree.ts";
import type { CanisterMountOptions } from "./options.ts";

/**
 * Limits for all HTTP clients together: chunks in memory, and concurrent chunk reads from disk. The mount's own readers need
 * memory and disk, too.
 */
const CHUNKS_FOR_OTHERS = 16;
const LOADS_FOR_OTHERS = 2;

interface Means extends Pick<CanisterMountOptions, "accessLog"> {
  readonly cache: ChunkCache;
  readonly store: DiskStore;
  readonly log: Log;
}

export class MountSite {
  readonly site: Site;
  readonly #releases: ServedReleases;

  constructor(
    { address, source }: KeptBy,
    { live, quiet, follower }: FollowedTree,
    { cache, store, accessLog, log }: Means,
  ) {
    this.#releases = new ServedReleases(source, cache, store, {
      keep: false,
      loads: LOADS_FOR_OTHERS,
      coming: () => follower.coming,
      headers: keptHeaders(store, address),
      log,
    });
    this.site = new Site(this.#releases, {
      chunksInHand: CHUNKS_FOR_OTHERS,
      mustBeFresh: () => live.mustBeFresh(),
      opened: () => quiet.opened(),
      closed: () => quiet.closed(),
      accessLog: accessLog && { to: accessLog, canister: followedName(address) },
      log,
    });
    this.goLive(live.now);
  }

  /** Other hosts get this release from now on; it is new, or has a new proof. */
  goLive(now: MountedRelease): void {
    void this.#releases.goLive(now);
  }
}
