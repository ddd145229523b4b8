/** One canister's mount while it lives: puts together what reads, follows, fetches and reports. */
import { ChunkCache } from "../cache/chunk-cache.ts";
import type { MountedTransport } from "../fs/transport.ts";
import { TreeFileSystem } from "../fs/view/tree-filesystem.ts";
import { ServedReleases } from "../serve/releases.ts";
import type { SiteServer } from "../serve/server.ts";
import { Site } from "../serve/site.ts";
import type { KeptBy } from "../source/kept.ts";
import { LastingError } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import { BootPrefetch } from "./boot-prefetch.ts";
import type { FirstRelease } from "./first-release.ts";
import { Follower } from "./follow.ts";
import { Hydrator } from "./hydrate.ts";
import { LiveRelease } from "./live-release.ts";
import { MountedNames } from "./mounted-names.ts";
import type { CanisterMountOptions } from "./options.ts";
import { Quiet } from "./quiet.ts";
import { serveControl } from "./report/control.ts";
import { writeStatistics } from "./report/statistics-file.ts";
import {
  type Described,
  describe,
  type MountDescription,
  type MountStatus,
  statusOf,
} from "./report/status.ts";
import { waysTo } from "./ways.ts";
import { WholeFiles } from "./whole-files.ts";

/** Chunks in hand for all who are served by HTTP, and read from the disk at a time: readers of the mount need memory and disk, too. */
const CHUNKS_FOR_OTHERS = 16;
const LOADS_FOR_OTHERS = 2;

export class CanisterMount {
  readonly #from: KeptBy;
  readonly #options: CanisterMountOptions;
  readonly #warning: string | undefined;
  readonly #cache: ChunkCache;
  readonly #live: LiveRelease;
  readonly #fileSystem: TreeFileSystem;
  readonly #follower: Follower;
  /** What others are served by HTTP; undefined: nothing. */
  readonly site: Site | undefined;
  readonly #siteServer: SiteServer | undefined;
  #transport: MountedTransport | undefined;
  #control: ReturnType<typeof serveControl> | undefined;

  /** @param siteServer where others are served, where they are */
  constructor(
    from: KeptBy,
    first: FirstRelease,
    options: CanisterMountOptions,
    siteServer: SiteServer | undefined,
  ) {
    const { store, log, openWhole, prefetch } = options;
    const { address, source } = from;
    this.#from = from;
    this.#options = options;
    this.#siteServer = siteServer;
    this.#warning = first.warning;
    this.#cache = new ChunkCache(source, {
      ...options,
      slow: source.slow,
      ...(store === undefined ? {} : { disk: store }),
      // To wait for what is not asked for helps nobody, nor for bytes that are not there any more.
      giveUp: (error) => options.offline || error instanceof LastingError,
    });
    const live = new LiveRelease(from, first, this.#cache, {
      ...options,
      changed: (now) => void others?.goLive(now),
    });
    this.#live = live;
    const quiet = new Quiet(options.quiet, options.switchWithin);
    const boot = prefetch === "none" ? undefined : new BootPrefetch(this.#cache, log);
    const whole = openWhole === undefined ? undefined : new WholeFiles(this.#cache, store, openWhole);
    this.#fileSystem = new TreeFileSystem(live.now, this.#cache, {
      canister: address.canister.toText(),
      listXattrs: options.listXattrs,
      readTimeout: options.readTimeout,
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
    });
    const isNewest = first.warning === undefined;
    this.#follower = new Follower(source, live, isNewest, {
      refresh: options.offline ? 0 : options.refresh,
      hydrate: prefetch === "all",
      hydrator: new Hydrator(this.#cache, (tree) => live.staysInMemory(tree), log),
      quiet,
      pieces: store,
      log,
    });
    const others =
      siteServer === undefined || store === undefined
        ? undefined
        : new ServedReleases(source, this.#cache, store, {
            keep: false,
            loads: LOADS_FOR_OTHERS,
            coming: () => this.#follower.coming,
            log,
          });
    void others?.goLive(live.now);
    this.site =
      others &&
      new Site(others, {
        chunksInHand: CHUNKS_FOR_OTHERS,
        mustBeFresh: () => live.mustBeFresh(),
        opened: () => quiet.opened(),
        closed: () => quiet.closed(),
        log,
      });
  }

  /** Mounts. @throws UserError */
  async mount(): Promise<MountedTransport> {
    const { mountpoint, mount, transport, log } = this.#options;
    this.#transport = await transport({ fileSystem: this.#fileSystem, mountpoint, options: mount, log });
    const mountedNames = new MountedNames(this.#transport.mount, this.#fileSystem, log);
    this.#live.mounted(this.#fileSystem, this.#transport, mountedNames);
    this.#control = serveControl(this.#transport.mount, () => this.status(), log);
    // Whoever mounts may ask at once.
    await this.#control.listening;
    return this.#transport;
  }

  /** Begins to fetch what is to be here before it is asked for, and to follow new releases. */
  follow(): void {
    this.#follower.run().catch((error) => this.#options.log.error(`releases are not followed: ${error}`));
  }

  /** Looks for a new release now. */
  refresh(): void {
    if (!this.#options.offline) this.#follower.refresh();
  }

  /** Resolves when all of the first release is here, or it is known that it will not be. */
  get hydrated(): Promise<void> {
    return this.#follower.hydrated;
  }

  /** What is live, in words. */
  get name(): string {
    const { release } = this.#live.now;
    return `${nameOf(release)} (${release.hash.toString("hex")})`;
  }

  describe(): MountDescription {
    const { mountpoint } = this.#transport!.mount;
    return { ...describe(this.#described()), mountpoint };
  }

  status(): MountStatus {
    const { memory, store, mirrors } = this.#options;
    return statusOf({
      ...this.#described(),
      ...waysTo(this.#from.address, mirrors),
      following: this.#follower.status(),
      mountpoint: this.#transport!.mount.mountpoint,
      site: this.#siteServer?.status(),
      openFiles: this.#transport!.openFiles(),
      fileSystem: this.#fileSystem,
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

  end(): void {
    this.#follower.end();
    this.#control?.close();
  }

  writeStatistics(): void {
    const { statsFile, log } = this.#options;
    if (statsFile === undefined) return;
    writeStatistics(statsFile, this.#live.now.release, this.#cache.statistics, log);
  }

  /** Keeps what was learned since the last time. */
  keepLearned(): Promise<void> {
    return this.#live.keepLearned();
  }
}
