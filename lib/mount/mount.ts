/** A live mount of one canister: puts together what reads, follows, fetches and reports. */
import type { Mountpoint } from "../fs/mounting/mountpoint.ts";
import type { MountedTransport } from "../fs/transport.ts";
import type { FirstRelease } from "../live/first-release.ts";
import { serveControl } from "../live/report/control.ts";
import { networkStatusOf } from "../live/report/network-status.ts";
import { writeStatistics } from "../live/report/statistics-file.ts";
import { describe, type MountDescription, type MountStatus, statusOf } from "../live/report/status.ts";
import type { SiteServer } from "../serve/server.ts";
import type { Site } from "../serve/site.ts";
import type { KeptBy } from "../source/kept.ts";
import { nameOf, namesOf } from "../source/words.ts";
import { FollowedTree, type Shared, sharedOf } from "./followed-tree.ts";
import type { MountSite } from "./mount-site.ts";
import type { CanisterMountOptions } from "./options.ts";

export class CanisterMount {
  readonly #from: KeptBy;
  readonly #options: CanisterMountOptions;
  readonly #cache: Shared["cache"];
  readonly #tree: FollowedTree;
  #siteServer: SiteServer | undefined;
  #mountSite: MountSite | undefined;
  #transport: MountedTransport | undefined;
  #control: ReturnType<typeof serveControl> | undefined;

  constructor(from: KeptBy, first: FirstRelease, options: CanisterMountOptions) {
    const { source } = from;
    this.#from = from;
    this.#options = options;
    const shared = sharedOf(source, source.slow, options);
    this.#cache = shared.cache;
    this.#tree = new FollowedTree(from, first, shared, options, {
      changed: (now) => this.#mountSite?.goLive(now),
    });
  }

  /** Serves other hosts as well. @param server admits them */
  async serveOthers(server: SiteServer): Promise<void> {
    this.#siteServer = server;
    const { store, accessLog, log } = this.#options;
    if (store === undefined) return;
    const { MountSite } = await import("./mount-site.ts");
    this.#mountSite = new MountSite(this.#from, this.#tree, { cache: this.#cache, store, accessLog, log });
  }

  /** What other hosts are served by HTTP; undefined: nothing. */
  get site(): Site | undefined {
    return this.#mountSite?.site;
  }

  /** Mounts. @throws UserError */
  async mount(mountpoint: Mountpoint): Promise<MountedTransport> {
    const { mount, transport, log } = this.#options;
    const { fileSystem } = this.#tree;
    this.#transport = await transport({ fileSystem, mountpoint, options: mount, log });
    this.#tree.mounted(this.#transport);
    this.#control = serveControl(this.#transport.mount, () => this.status(), log);
    // Whoever mounts may ask for the status at once.
    await this.#control.listening;
    return this.#transport;
  }

  /** Starts to prefetch, and to follow new releases. */
  follow(): void {
    this.#tree.follow();
  }

  /** Checks for a new release now. */
  refresh(): void {
    if (!this.#options.offline) this.#tree.follower.refresh();
  }

  /** Resolves when the first release has been fetched, or is known to be impossible to fetch. */
  get hydrated(): Promise<void> {
    return this.#tree.follower.hydrated;
  }

  /** What is live, in words. */
  get name(): string {
    const { release } = this.#tree.live.now;
    return `${nameOf(release)} (${release.hash.toString("hex")})`;
  }

  describe(): MountDescription {
    const { mountpoint } = this.#transport!.mount;
    return { ...describe(this.#tree.described), mountpoint };
  }

  status(): MountStatus {
    const { memory, store, mirrors } = this.#options;
    return statusOf({
      ...this.#tree.described,
      ...networkStatusOf(this.#from.address, mirrors),
      following: this.#tree.follower.status(),
      mountpoint: this.#transport!.mount.mountpoint,
      site: this.#siteServer?.status(),
      openFiles: this.#transport!.openFiles(),
      fileSystem: this.#tree.fileSystem,
      cache: this.#cache,
      memory,
      disk: store,
    });
  }

  end(): void {
    this.#tree.follower.end();
    this.#control?.close();
  }

  writeStatistics(): void {
    const { statsFile, log } = this.#options;
    if (statsFile === undefined) return;
    writeStatistics(statsFile, namesOf(this.#tree.live.now.release), this.#cache.statistics, log);
  }

  /** Keeps what was learned of the release since the last time. */
  keepLearned(): Promise<void> {
    return this.#tree.live.keepLearned();
  }
}
