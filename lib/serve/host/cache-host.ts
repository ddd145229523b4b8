/** A site's live cache host: it keeps a canister's newest release completely on this host, and serves it to others by HTTP. */
import { ChunkCache } from "../../cache/chunk-cache.ts";
import type { DiskStore } from "../../cache/disk-store.ts";
import { messageOf, UserError } from "../../errors.ts";
import type { FirstRelease } from "../../live/first-release.ts";
import { Follower } from "../../live/follow.ts";
import { Hydrator, isDone } from "../../live/hydrate.ts";
import { LiveRelease, type MountedRelease } from "../../live/live-release.ts";
import { Quiet } from "../../live/quiet.ts";
import { networkStatusOf } from "../../live/report/network-status.ts";
import { writeStatistics } from "../../live/report/statistics-file.ts";
import {
  type Described,
  describe,
  type ReleaseDescription,
  type ServingStatus,
  servingStatusOf,
} from "../../live/report/status.ts";
import type { Log } from "../../log.ts";
import { followedName } from "../../source/address.ts";
import type { Mirrors } from "../../source/icfs/mirrors.ts";
import { type KeptBy, keptHeaders } from "../../source/kept.ts";
import { LastingError } from "../../source/source.ts";
import { nameOf, namesOf } from "../../source/words.ts";
import { type Chunk, keyOf } from "../../tree/tree.ts";
import type { AccessLog } from "../access-log.ts";
import { AwaitedChunks } from "../awaited-chunks.ts";
import { type Coming, ServedReleases } from "../releases.ts";
import { Site, type SiteStatus } from "../site.ts";
import type { Waits } from "../waits.ts";

export interface CacheHostOptions {
  readonly store: DiskStore;
  /** Bytes of memory for chunks in the cache, and at most as many again in answers. */
  readonly memory: number;
  /** Milliseconds in which a chunk must arrive. */
  readonly readTimeout: number;
  /** Milliseconds between two checks for a new release; 0: only on request (refresh()). */
  readonly refresh: number;
  /** As for a mount: milliseconds without an open file before another release goes live, and the longest wait for that. */
  readonly quiet: number;
  readonly switchWithin: number;
  /** Milliseconds after which a proof is too old to serve files. */
  readonly maxStale: number;
  /** Whether the network is never asked. */
  readonly offline: boolean;
  /** Mirrors that are asked before the network, or instead of it. */
  readonly mirrors: Mirrors | undefined;
  readonly statsFile: string | undefined;
  /** Where sent files are logged; undefined: nowhere. */
  readonly accessLog?: AccessLog | undefined;
  /** Where requests wait for what is being fetched. */
  readonly waits: Waits;
  readonly log: Log;
}

/** How many chunks are read from disk, and hashed, at a time in Node's thread pool. */
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
  /** Whether the live release is served: it has been complete on this host. */
  #isServing = false;
  /** Chunks that were found missing, and are being fetched again. */
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
      headers: keptHeaders(store, from.address),
      log,
    });
    this.site = new Site(this.#releases, {
      chunksInHand: Math.max(2, Math.floor(memory / MIB)),
      mustBeFresh: () => this.#live.mustBeFresh(),
      opened: () => quiet.opened(),
      closed: () => quiet.closed(),
      accessLog: options.accessLog && { to: options.accessLog, canister: followedName(from.address) },
      log,
    });
  }

  /** Starts to fetch the release, and to follow new ones. */
  follow(): void {
    void this.#releases.announce(this.#live.now.release);
    this.#follower.run().catch((error) => this.#options.log.error(`releases are not followed: ${error}`));
  }

  /** Checks for a new release now. */
  refresh(): void {
    if (!this.#options.offline) this.#follower.refresh();
  }

  /**
   * Resolves when a release is complete on this host and served.
   *
   * @throws UserError when it does not fit
   */
  async ready(): Promise<void> {
    await this.#follower.hydrated;
    const { now } = this.#live;
    if (!isDone(now.hydration) || !this.#live.isKept) {
      throw new UserError(
        `not all of ${nameOf(now.release)} can be kept on this host, which is to serve all of it: the log says why; --max-cache-size makes room`,
      );
    }
    this.#isServing = true;
    await this.#releases.goLive(now);
  }

  #changed(now: MountedRelease): void {
    if (this.#isServing) void this.#releases.goLive(now);
    else void this.#releases.announce(now.release);
  }

  /** Releases that are not served completely yet. */
  #coming(): Coming[] {
    const { coming } = this.#follower;
    const next = coming.map((one) => ({ ...one, isFetched: one.hydration !== undefined }));
    // The first release is fetched completely, or this host ends (ready()).
    return this.#isServing ? next : [...next, { ...this.#live.now, isFetched: true }];
  }

  /**
   * Fetches a chunk again that was damaged or removed on disk: once, and because it is part of the release rather than because it
   * was requested.
   */
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

  /** @param site the status of its server */
  status(site: SiteStatus | undefined): ServingStatus {
    const { memory, store, mirrors } = this.#options;
    return servingStatusOf({
      ...this.#described(),
      ...networkStatusOf(this.#from.address, mirrors),
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
      writeStatistics(statsFile, namesOf(this.#live.now.release), this.#cache.statistics, log);
  }

  /** Ends what follow() started, and keeps what was learned since the last time. */
  async end(): Promise<void> {
    this.#follower.end();
    await this.#live.keepLearned();
  }
}
