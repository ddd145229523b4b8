/**
 * A followed release as readers see it: the live release, the file system that shows it, and the follower that brings the next
 * one. A mount has one of these, or one for each of its directories, which then share what is in `Shared`.
 */
import { ChunkCache, type ChunkSource } from "../cache/chunk-cache.ts";
import type { MountedTransport } from "../fs/transport.ts";
import { TreeFileSystem, type TreeFileSystemOptions } from "../fs/view/tree-filesystem.ts";
import type { FirstRelease } from "../live/first-release.ts";
import { Follower } from "../live/follow.ts";
import { Hydrator } from "../live/hydrate.ts";
import { LiveRelease, type LiveReleaseOptions } from "../live/live-release.ts";
import { Quiet } from "../live/quiet.ts";
import type { Described } from "../live/report/status.ts";
import type { Log } from "../log.ts";
import type { KeptBy } from "../source/kept.ts";
import { LastingError } from "../source/source.ts";
import { BootPrefetch } from "./boot-prefetch.ts";
import { MountedNames } from "./mounted-names.ts";
import type { CanisterMountOptions } from "./options.ts";
import { WholeFiles } from "./whole-files.ts";

/** What all trees of a mount share. */
export interface Shared {
  readonly cache: ChunkCache;
  readonly boot: BootPrefetch | undefined;
  readonly whole: WholeFiles | undefined;
}

/** @param slow as reported by the source */
export function sharedOf(source: ChunkSource, slow: boolean, options: CanisterMountOptions): Shared {
  const { store, log, openWhole, prefetch } = options;
  const cache = new ChunkCache(source, {
    ...options,
    slow,
    ...(store === undefined ? {} : { disk: store }),
    // Waiting is pointless when the network is never asked, or when the bytes no longer exist.
    giveUp: (error) => options.offline || error instanceof LastingError,
  });
  return {
    cache,
    boot: prefetch === "none" ? undefined : new BootPrefetch(cache, log),
    whole: openWhole === undefined ? undefined : new WholeFiles(cache, store, openWhole),
  };
}

/** What each tree has of its own where there are several. */
export interface Own extends Pick<LiveReleaseOptions, "pin" | "beside" | "changed"> {
  readonly view?: Pick<TreeFileSystemOptions, "numbers" | "statistics">;
  /** Its path in the mount. */
  readonly directory?: string;
  /** Milliseconds between two queries to the source; 0: only when `follower.refresh` is called. Default: that of the mount. */
  readonly refresh?: number;
  readonly log?: Log;
}

export class FollowedTree {
  readonly quiet: Quiet;
  readonly live: LiveRelease;
  readonly fileSystem: TreeFileSystem;
  readonly follower: Follower;
  readonly #from: KeptBy;
  readonly #warning: string | undefined;
  readonly #log: Log;
  readonly #directory: string | undefined;

  constructor(
    from: KeptBy,
    first: FirstRelease,
    { cache, boot, whole }: Shared,
    options: CanisterMountOptions,
    own: Own = {},
  ) {
    const { log = options.log, refresh = options.refresh } = own;
    this.#from = from;
    this.#warning = first.warning;
    this.#log = log;
    this.#directory = own.directory;
    const quiet = new Quiet(options.quiet, options.switchWithin);
    this.quiet = quiet;
    const live = new LiveRelease(from, first, cache, { ...options, ...own, log });
    this.live = live;
    this.fileSystem = new TreeFileSystem(live.now, cache, {
      canister: from.address.canister.toText(),
      listXattrs: options.listXattrs,
      readTimeout: options.readTimeout,
      onLookup: () => quiet.lookedUp(),
      onOpen: (file, tree) => {
        quiet.opened();
        boot?.opened(file, tree);
      },
      onDone: () => quiet.closed(),
      beforeOpen: (file, tree) => {
        live.mustBeFresh();
        return whole?.opening(file, tree);
      },
      onClose: (file) => whole?.closed(file),
      ...own.view,
    });
    this.follower = new Follower(from.source, live, first.warning === undefined, {
      refresh: options.offline ? 0 : refresh,
      hydrate: options.prefetch === "all",
      hydrator: new Hydrator(cache, (tree) => live.staysInMemory(tree), log),
      quiet,
      pieces: options.store,
      log,
    });
  }

  /** Readers see the tree through this transport from now on. */
  mounted(transport: MountedTransport): void {
    const { fileSystem } = this;
    const mountedNames = new MountedNames(transport.mount, fileSystem, this.#log, this.#directory);
    this.live.mounted(fileSystem, transport, mountedNames);
  }

  /** Starts to prefetch, and to follow new releases. */
  follow(): void {
    this.follower.run().catch((error) => this.#log.error(`releases are not followed: ${error}`));
  }

  /** What the description of the release is made from. */
  get described(): Described {
    return {
      canister: this.#from.address.canister.toText(),
      source: this.#from.source.kind,
      warning: this.#warning,
      live: this.live,
    };
  }
}
