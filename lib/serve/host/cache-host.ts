/** A site's cache host while it lives: a canister's newest release on this host, whole, for others to read by HTTP. */
import { ChunkCache } from "../../cache/chunk-cache.ts";
import type { DiskStore } from "../../cache/disk-store.ts";
import { messageOf, UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { FirstRelease } from "../../mount/first-release.ts";
import { Follower } from "../../mount/follow.ts";
import { Hydrator, isDone } from "../../mount/hydrate.ts";
import { LiveRelease, type MountedRelease } from "../../mount/live-release.ts";
import { Quiet } from "../../mount/quiet.ts";
import { writeStatistics } from "../../mount/report/statistics-file.ts";
import {
  type Described,
  describe,
  type ReleaseDescription,
  type ServingStatus,
  servingStatusOf,
} from "../../mount/report/status.ts";
import { waysTo } from "../../mount/ways.ts";
import type { Mirrors } from "../../source/icfs/mirrors.ts";
import type { KeptBy } from "../../source/kept.ts";
import { LastingError } from "../../source/source.ts";
import { nameOf } from "../../source/words.ts";
import { type Chunk, keyOf } from "../../tree/tree.ts";
import { AwaitedChunks } from "../awaited-chunks.ts";
import { type Coming, ServedReleases } from "../releases.ts";
import { Site, type SiteStatus } from "../site.ts";
import type { Waits } from "../waits.ts";

export interface CacheHostOptions {
  readonly store: DiskStore;
  /** Bytes of memory for chunks: in the cache, and as many again in answers, at most. */
  readonly memory: number;
  /** Milliseconds for a chunk to be fetched in. */
  readonly readTimeout: number;
  /** Milliseconds between two looks for a new release; 0: only when asked (refresh()). */
  readonly refresh: number;
  /** As of a mount: milliseconds without a file being read before another release goes live, and at most. */
  readonly quiet: number;
  readonly switchWithin: number;
  /** Milliseconds after which a proof is too old to give files by. */
  readonly maxStale: number;
  /** Never asks the network. */
  readonly offline: boolean;
  /** Asked before the network, or in its place. */
  readonly mirrors: Mirrors | undefined;
  readonly statsFile: string | undefined;
  /** In which requests wait for what is being fetched. */
  readonly waits: Waits;
  readonly log: Log;
}

/** How many chunks are read from the disk at a time, and hashed, on Node's pool of threads. */
const LOADS = 4;
const MIB = 1024 * 1024;

export class CacheHost {
  readonly site: Site;
  readonly #from: KeptBy;
  readonly #options: CacheHostOptions;
  readonly #warning: string | undefined;
  readonly #cache: ChunkCache;
  readonly #live: LiveRelease;
  readonly #follower: Follower;
  readonly #releases: ServedReleases;
  /** Others get what is live: it has been here as a whole. */
  #isServing = false;
  /** Chunks that were found to be missing, and are being fetched again. */
  readonly #repairs = new Set<string>();

  constructor(from: KeptBy, first: FirstRelease, options: CacheHostOptions) {
    const { store, memory, waits, log } = options;
    const { source } = from;
    this.#from = from;
    this.#options = options;
    this.#warning = first.warning;
    this.#cache = new ChunkCache(source, {
      ...options,
      slow: source.slow,
      disk: store,
      giveUp: (error) => options.offline || error instanceof LastingError,
    });
    this.#live = new LiveRelease(from, first, this.#cache, {
      ...options,
      changed: (now) => this.#changed(now),
    });
    const quiet = new Quiet(options.quiet, options.switchWithin);
    this.#follower = new Follower(source, this.#live, first.warning === undefined, {
      refresh: options.offline ? 0 : options.refresh,
      hydrate: true,
      mustBeWhole: true,
      hydrator: new Hydrator(this.#cache, (tree) => this.#live.staysInMemory(tree), log),
      quiet,
      pieces: store,
      log,
    });
    this.#releases = new ServedReleases(source, this.#cache, store, {
      keep: true,
      loads: LOADS,
      coming: () => this.#coming(),
      awaited: {
        waits,
        chunks: new AwaitedChunks(waits, (chunk) => this.#cache.load(chunk, { keep: true })),
      },
      missing: (chunk) => this.#repair(chunk),
      log,
    });
    this.site = new Site(this.#releases, {
      chunksInHand: Math.max(2, Math.floor(memory / MIB)),
      mustBeFresh: () => this.#live.mustBeFresh(),
      opened: () => quiet.opened(),
      closed: () => quiet.closed(),
      log,
    });
  }

  /** Begins to fetch the release, and to follow new ones. */
  follow(): void {
    void this.#releases.announce(this.#live.now.release);
    this.#follower.run().catch((error) => this.#options.log.error(`releases are not followed: ${error}`));
  }

  /** Looks for a new release now. */
  refresh(): void {
    if (!this.#options.offline) this.#follower.refresh();
  }

  /**
   * Resolves when all of a release is here, from when on others get it.
   * @throws UserError when it does not fit
   */
  async ready(): Promise<void> {
    await this.#follower.hydrated;
    const { now } = this.#live;
    if (!isDone(now.hydration) || !this.#live.isKept) {
      throw new UserError(
        `not all of ${nameOf(now.release)} can be kept on this host, of which others are to have all: the log says why; --max-cache-size makes room`,
      );
    }
    this.#isServing = true;
    await this.#releases.goLive(now);
  }

  #changed(now: MountedRelease): void {
    if (this.#isServing) void this.#releases.goLive(now);
    else void this.#releases.announce(now.release);
  }

  /** What is not served whole yet. */
  #coming(): Coming[] {
    const { coming } = this.#follower;
    const next = coming.map((one) => ({ ...one, isFetched: one.hydration !== undefined }));
    // The first one is fetched, or this host comes to its end (ready()).
    return this.#isServing ? next : [...next, { ...this.#live.now, isFetched: true }];
  }

  /** What was damaged on the disk, or removed there, is fetched again: once, and not because somebody asks for it, but because it is part of the release. */
  #repair(chunk: Chunk): void {
    if (!this.#isServing || this.#options.offline) return;
    const key = keyOf(chunk);
    if (this.#repairs.has(key)) return;
    this.#repairs.add(key);
    const { log } = this.#options;
    this.#cache
      .load(chunk, { keep: false })
      .then(() => log.info(`chunk ${key.slice(0, 16)} is here again`))
      .catch((error) => log.warn(`chunk ${key.slice(0, 16)} is lost: ${messageOf(error)}`))
      .finally(() => this.#repairs.delete(key));
  }

  describe(): ReleaseDescription {
    return describe(this.#described());
  }

  /** @param site what its server tells of it */
  status(site: SiteStatus | undefined): ServingStatus {
    const { memory, store, mirrors } = this.#options;
    return servingStatusOf({
      ...this.#described(),
      ...waysTo(this.#from.address, mirrors),
      following: this.#follower.status(),
      site,
      cache: this.#cache,
      memory,
      disk: store,
    });
  }

  #described(): Described {
    return {
      canister: this.#from.address.canister.toText(),
      source: this.#from.source.kind,
      warning: this.#warning,
      live: this.#live,
    };
  }

  writeStatistics(): void {
    const { statsFile, log } = this.#options;
    if (statsFile !== undefined)
      writeStatistics(statsFile, this.#live.now.release, this.#cache.statistics, log);
  }

  /** Ends what follow() has begun, and keeps what was learned since the last time. */
  async end(): Promise<void> {
    this.#follower.end();
    await this.#live.keepLearned();
  }
}
