/**
 * A live mount of all channels. Each channel is a directory with a live release of its own; they share one cache, one query to
 * the canister and one process.
 */
import { messageOf } from "../errors.ts";
import type { Mountpoint } from "../fs/mounting/mountpoint.ts";
import type { MountedTransport } from "../fs/transport.ts";
import { JoinedFileSystem } from "../fs/view/joined-filesystem.ts";
import { noReaders } from "../fs/view/tree-filesystem.ts";
import { CheckSchedule } from "../live/check-schedule.ts";
import { LastCheck } from "../live/last-check.ts";
import type { Removal } from "../live/live-release.ts";
import { serveControl } from "../live/report/control.ts";
import { networkStatusOf } from "../live/report/network-status.ts";
import { writeStatistics } from "../live/report/statistics-file.ts";
import {
  channelsStatusOf,
  describeChannels,
  type MountDescription,
  type MountStatus,
} from "../live/report/status.ts";
import { kindOf, named } from "../log.ts";
import type { CanisterAddress } from "../source/address.ts";
import type { AllChannels } from "../source/icfs/all-channels.ts";
import { nameOf, namesOf, type ReleaseNames, servedInWords } from "../source/words.ts";
import { type FirstChannel, type FirstChannels, openChannel } from "./first-channels.ts";
import { FollowedTree, type Shared, sharedOf } from "./followed-tree.ts";
import type { CanisterMountOptions } from "./options.ts";

/** A channel that readers can see. */
interface Directory {
  readonly tree: FollowedTree;
  /** Ends the wait for quiet after which a deleted channel is removed. */
  going: AbortController | undefined;
  /** Whether the log already says that it cannot be removed. */
  isHeld: boolean;
}

export class ChannelsMount {
  readonly site = undefined;
  readonly #address: CanisterAddress;
  readonly #channels: AllChannels;
  /** Until the network says that there are channels. */
  #warning: string | undefined;
  readonly #options: CanisterMountOptions;
  readonly #shared: Shared;
  readonly #fileSystem: JoinedFileSystem;
  readonly #readers = noReaders();
  readonly #directories = new Map<string, Directory>();
  /** Channels that should be visible. */
  #standing: ReadonlySet<string>;
  /** Channels that are being opened. */
  readonly #coming = new Set<string>();
  /** Why channels could not be opened, as the log has said. */
  readonly #problems = new Map<string, string>();
  readonly #schedule: CheckSchedule;
  readonly #lastCheck: LastCheck;
  #transport: MountedTransport | undefined;
  #control: ReturnType<typeof serveControl> | undefined;
  #pins = 0;

  constructor(
    address: CanisterAddress,
    channels: AllChannels,
    { opened, warning, problem }: FirstChannels,
    options: CanisterMountOptions,
  ) {
    this.#address = address;
    this.#channels = channels;
    this.#warning = warning;
    this.#options = options;
    this.#shared = sharedOf(channels.chunks, false, options);
    this.#fileSystem = new JoinedFileSystem(address.canister.toText());
    this.#schedule = new CheckSchedule(options.offline ? 0 : options.refresh);
    this.#lastCheck = new LastCheck(problem === undefined && !options.offline, options.log);
    this.#standing = new Set(opened.keys());
    for (const [name, first] of opened) {
      const { fileSystem } = this.#add(name, first);
      this.#fileSystem.link(name, fileSystem);
    }
    if (problem !== undefined) this.#lastCheck.failed(problem.error, this.name);
  }

  #add(name: string, { from, first }: FirstChannel): FollowedTree {
    this.#pins += 1;
    const tree = new FollowedTree(from, first, this.#shared, this.#options, {
      view: { numbers: this.#fileSystem.numbers(), statistics: this.#readers },
      directory: name,
      // The mount asks about all channels at once instead.
      refresh: 0,
      pin: `trees-${this.#pins}`,
      beside: () => this.#beside(name),
      log: named(this.#options.log, name),
    });
    this.#directories.set(name, { tree, going: undefined, isHeld: false });
    return tree;
  }

  /** Releases of the other channels, which need room in the cache as well. */
  #beside(name: string) {
    const others = [...this.#directories].filter(([other]) => other !== name);
    return others.flatMap(([, { tree }]) => tree.live.reserved);
  }

  /** Mounts. @throws UserError */
  async mount(mountpoint: Mountpoint): Promise<MountedTransport> {
    const { mount, transport, log } = this.#options;
    this.#transport = await transport({ fileSystem: this.#fileSystem, mountpoint, options: mount, log });
    for (const { tree } of this.#directories.values()) tree.mounted(this.#transport);
    this.#control = serveControl(this.#transport.mount, () => this.status(), log);
    // Whoever mounts may ask for the status at once.
    await this.#control.listening;
    return this.#transport;
  }

  /** Starts to prefetch, and to follow the channels. */
  follow(): void {
    for (const { tree } of this.#directories.values()) tree.follow();
    this.#schedule
      .run(() => this.#check())
      .catch((error) => this.#options.log.error(`channels are not followed: ${error}`));
  }

  /** Checks for changes now. */
  refresh(): void {
    if (!this.#options.offline) this.#schedule.now();
  }

  async #check(): Promise<void> {
    let names: readonly string[];
    try {
      names = await this.#channels.look();
    } catch (error) {
      this.#lastCheck.failed(error, this.name);
      return;
    }
    this.#lastCheck.succeeded();
    if (names.length > 0 || this.#standing.size > 0) this.#warning = undefined;
    this.#standing = new Set(names);
    for (const name of this.#problems.keys()) if (!this.#standing.has(name)) this.#problems.delete(name);
    for (const name of names) {
      const directory = this.#directories.get(name);
      if (directory === undefined) {
        void this.#appear(name);
        continue;
      }
      directory.going?.abort();
      directory.isHeld = false;
      directory.tree.follower.refresh();
    }
    for (const [name, directory] of this.#directories) {
      if (!this.#standing.has(name) && directory.going === undefined) void this.#go(name, directory);
    }
  }

  async #appear(name: string): Promise<void> {
    if (this.#coming.has(name)) return;
    this.#coming.add(name);
    const { log } = this.#options;
    try {
      const opened = await openChannel(name, this.#channels, this.#options);
      if (!this.#standing.has(name)) return;
      const tree = this.#add(name, opened);
      tree.mounted(this.#transport!);
      await this.#transport!.switchTo(() => this.#fileSystem.link(name, tree.fileSystem));
      this.#problems.delete(name);
      log.info(`channel ${name} is here: ${nameOf(opened.first.release)}`);
      tree.follow();
    } catch (error) {
      const message = messageOf(error);
      // Once, not once a minute, as in lib/live/last-check.ts.
      if (this.#problems.get(name) !== kindOf(message)) {
        log.warn(`channel ${name} cannot be shown: ${message}`);
      }
      this.#problems.set(name, kindOf(message));
    } finally {
      this.#coming.delete(name);
    }
  }

  /** Removes a deleted channel once no boot is under way, unless something is mounted in it. */
  async #go(name: string, directory: Directory): Promise<void> {
    const { log } = this.#options;
    const { tree } = directory;
    const going = new AbortController();
    directory.going = going;
    try {
      const taken = () => {
        this.#fileSystem.unlink(name);
        this.#directories.delete(name);
      };
      const start = performance.now();
      let outcome: Removal = "not now";
      while (outcome === "not now") {
        const { quiet: isQuiet } = await tree.quiet.wait(start, going.signal);
        going.signal.throwIfAborted();
        // A boot may begin while the removal is prepared.
        const may = () => !going.signal.aborted && (!isQuiet || tree.quiet.isQuiet);
        outcome = await tree.live.takeAway(taken, may);
      }
      if (outcome === "taken") {
        tree.follower.end();
        log.info(`channel ${name} was deleted: its directory is gone`);
      } else if (!directory.isHeld) {
        directory.isHeld = true;
        log.warn(`channel ${name} was deleted: its directory stays until what is mounted in it is unmounted`);
      }
    } catch (error) {
      if (!going.signal.aborted) log.error(`channel ${name} was deleted, and stays: ${messageOf(error)}`);
    } finally {
      directory.going = undefined;
    }
  }

  /** Resolves when each first release has been fetched, or is known to be impossible to fetch. */
  get hydrated(): Promise<void> {
    const trees = this.#inOrder.map(({ follower }) => follower.hydrated);
    return Promise.all(trees).then(() => {});
  }

  get #inOrder(): FollowedTree[] {
    const names = [...this.#directories.keys()].sort();
    return names.map((name) => this.#directories.get(name)!.tree);
  }

  /** What is live, in words. */
  get name(): string {
    return servedInWords({ channels: this.#names });
  }

  get #names(): ReleaseNames[] {
    return this.#inOrder.map(({ live }) => namesOf(live.now.release));
  }

  get #described() {
    return {
      canister: this.#address.canister.toText(),
      warning: this.#warning,
      mountpoint: this.#transport!.mount.mountpoint,
      certifiedAt: this.#channels.certifiedAt,
    };
  }

  describe(): MountDescription {
    return describeChannels({
      ...this.#described,
      channels: this.#inOrder.map(({ described }) => described),
    });
  }

  status(): MountStatus {
    const { memory, store, mirrors } = this.#options;
    const errors = this.#inOrder.flatMap(({ fileSystem }) => fileSystem.lastError ?? []);
    return channelsStatusOf({
      ...this.#described,
      ...networkStatusOf(this.#address, mirrors),
      lastCheck: this.#lastCheck.status,
      channels: this.#inOrder.map(({ described, follower }) => {
        const { channel } = namesOf(described.live.now.release);
        // A deleted channel stays until its directory is quiet, and nothing is mounted in it.
        const channelDeleted = !this.#standing.has(channel!);
        return { ...described, following: { ...follower.status(), channelDeleted } };
      }),
      site: undefined,
      openFiles: this.#transport!.openFiles(),
      fileSystem: {
        statistics: this.#readers,
        lastError: errors.toSorted((a, b) => b.at.getTime() - a.at.getTime())[0],
      },
      cache: this.#shared.cache,
      memory,
      disk: store,
    });
  }

  end(): void {
    this.#schedule.end();
    for (const { tree } of this.#directories.values()) tree.follower.end();
    this.#control?.close();
  }

  writeStatistics(): void {
    const { statsFile, log } = this.#options;
    if (statsFile === undefined) return;
    writeStatistics(statsFile, { channels: this.#names }, this.#shared.cache.statistics, log);
  }

  /** There is nothing to keep: a certificate proves the whole release. */
  async keepLearned(): Promise<void> {}
}
