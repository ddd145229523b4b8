/** One canister's mount while it lives: what reading, following and hydrating it have in common. */
import { renameSync, writeFileSync } from "node:fs";
import pLimit from "p-limit";
import { ChunkCache } from "../cache/chunk-cache.ts";
import { FileReader } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { ServedRelease } from "../fs/inodes.ts";
import type { MountedTransport } from "../fs/transport.ts";
import { TreeFileSystem } from "../fs/tree-filesystem.ts";
import { keepRelease } from "../source/kept.ts";
import { openTree, type ProvenRelease, proveRelease, type ReleaseAddress } from "../source/open.ts";
import type { Source } from "../source/source.ts";
import { inSteps } from "../steps.ts";
import { hexOf } from "../tree/hash.ts";
import type { FileEntry } from "../tree/manifest.ts";
import type { Tree } from "../tree/tree.ts";
import { filesNamedIn, isBootConfiguration } from "./boot-files.ts";
import { serveControl } from "./control.ts";
import { ageOf, type FirstRelease } from "./first-release.ts";
import { Follower, type Reserved } from "./follower.ts";
import { Hydrator } from "./hydrator.ts";
import type { CanisterMountOptions } from "./options.ts";
import { Quiet } from "./quiet.ts";
import type { MountStatus } from "./status.ts";
import { WholeFiles } from "./whole-files.ts";

/** What can be said of a mount that is live. */
export interface MountDescription {
  readonly canister: string;
  readonly mountpoint: string;
  readonly release: number;
  /** SHA-256 of the release's header, in hexadecimal. */
  readonly header: string;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** When the subnet certified the release. */
  readonly certifiedAt: string;
  /** Why the release is one that was kept on this host, if it is. */
  readonly warning?: string;
}

/** Chunks of a boot's next files on their way at once, beside what readers ask for. */
const BOOT_LOADS = 8;

export class CanisterMount {
  readonly #address: ReleaseAddress;
  readonly #options: CanisterMountOptions;
  readonly #cache: ChunkCache;
  readonly #fileSystem: TreeFileSystem;
  readonly #follower: Follower;
  readonly #warning: string | undefined;
  readonly #quiet: Quiet;
  readonly #bootLoads = pLimit(BOOT_LOADS);
  /** Configurations whose files have been asked for. */
  readonly #raised = new WeakSet<FileEntry>();
  #transport: MountedTransport | undefined;
  #control: ReturnType<typeof serveControl> | undefined;
  /** Of all certificates seen: what a clock that is behind it is compared with. */
  #newestTime: Date;
  #tooStale = false;
  readonly #oneSwitch = pLimit(1);

  constructor(
    address: ReleaseAddress,
    source: Source,
    { release, tree, warning }: FirstRelease,
    options: CanisterMountOptions,
  ) {
    const { store, log, openWhole } = options;
    this.#address = address;
    this.#options = options;
    this.#warning = warning;
    this.#newestTime = release.certifiedAt;
    this.#cache = new ChunkCache((reference) => source.chunk(reference), {
      ...options,
      ...(store === undefined ? {} : { disk: store }),
      // To wait for what is not asked for helps nobody.
      ...(options.offline ? { giveUp: () => true } : {}),
    });
    this.#quiet = new Quiet(options.quiet, options.switchWithin);
    const whole = openWhole === undefined ? undefined : new WholeFiles(this.#cache, store, openWhole);
    this.#fileSystem = new TreeFileSystem(servedOf(release, tree), this.#cache, {
      canister: address.canister.toText(),
      onOpen: (file, opened) => this.#opened(file, opened),
      beforeOpen: (file, opened) => {
        this.#mustBeFresh();
        return whole?.opening(file, opened);
      },
      onClose: (file) => whole?.closed(file),
    });
    this.#follower = new Follower(
      release,
      tree,
      warning === undefined,
      {
        prove: () => proveRelease(address, source),
        openTree: (next) => openTree(address, next, source, store),
        switchTo: (next, nextTree) => this.#switchTo(next, nextTree),
        renewed: (proven) => this.#renewed(proven),
        reserve: (releases) => this.#reserve(releases),
        isLocal: (nextTree) => this.#isLocal(nextTree),
      },
      {
        refresh: options.offline ? 0 : options.refresh,
        hydrate: options.prefetch === "all",
        hydrator: new Hydrator(this.#cache, (tree) => this.#keepsInMemory(tree), log),
        quiet: this.#quiet,
        log,
      },
    );
  }

  /** Mounts. @throws UserError */
  async mount(): Promise<MountedTransport> {
    const { mountpoint, mount, transport, log } = this.#options;
    this.#transport = await transport({ fileSystem: this.#fileSystem, mountpoint, options: mount, log });
    this.#control = serveControl(this.#transport.mount, () => this.status(), log);
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

  describe(): MountDescription {
    const { tree } = this.#fileSystem.served;
    const { header, hash, certifiedAt } = this.#follower.status().live;
    return {
      canister: this.#address.canister.toText(),
      mountpoint: this.#transport!.mount.mountpoint,
      release: header.number,
      header: hexOf(hash),
      files: header.totals.files,
      bytes: tree.bytes,
      certifiedAt: certifiedAt.toISOString(),
      ...(this.#warning === undefined ? {} : { warning: this.#warning }),
    };
  }

  status(): MountStatus {
    const { checkedAt, problem, hydrated, hydration, next, live } = this.#follower.status();
    const { store, memory } = this.#options;
    const { openSince } = this.#cache.breaker;
    const { lastError } = this.#fileSystem;
    return {
      ...this.describe(),
      pid: process.pid,
      proofAge: Math.round(ageOf(live.certifiedAt, this.#newestTime) / 1000),
      ...(checkedAt && { checkedAt: checkedAt.toISOString() }),
      ...(problem !== undefined && { problem }),
      hydrated,
      ...(hydration && { hydration }),
      ...(next && {
        next: {
          release: next.release,
          state: next.state,
          ...(next.hydration && { hydration: next.hydration }),
        },
      }),
      openFiles: this.#transport!.openFiles(),
      readers: this.#fileSystem.statistics,
      cache: {
        ...this.#cache.statistics,
        memoryUsed: this.#cache.memoryUsed,
        memory,
        underWay: this.#cache.underWay,
        ...(openSince && { failingSince: openSince.toISOString() }),
      },
      ...(store && {
        disk: {
          ...store.statistics,
          directory: store.directory,
          capacity: store.capacity,
          ...(store.problem !== undefined && { problem: store.problem }),
        },
      }),
      ...(lastError && { lastError: { at: lastError.at.toISOString(), message: lastError.message } }),
    };
  }

  end(): void {
    this.#follower.end();
    this.#control?.close();
  }

  writeStatistics(): void {
    const { statsFile, log } = this.#options;
    if (statsFile === undefined) return;
    const { header, hash } = this.#follower.status().live;
    const { hits, diskHits, misses, ...statistics } = this.#cache.statistics;
    const content = {
      release: header.number,
      header: hexOf(hash),
      ...statistics,
      cacheHits: hits + diskHits,
      cacheMisses: misses,
    };
    try {
      // Whole or not at all, for whoever waits for it.
      writeFileSync(`${statsFile}.new`, `${JSON.stringify(content)}\n`);
      renameSync(`${statsFile}.new`, statsFile);
    } catch (error) {
      log.warn(`cannot write the statistics: ${messageOf(error)}`);
    }
  }

  #opened(file: FileEntry, tree: Tree): void {
    this.#quiet.disturb();
    const { prefetch, log } = this.#options;
    if (prefetch === "none" || this.#raised.has(file) || !isBootConfiguration(file)) return;
    this.#raised.add(file);
    this.#fetchNamed(file, tree).catch((error) => log.debug(`${file.path}: ${messageOf(error)}`));
  }

  /** Fetches what a configuration names, in its order, while the boot loader still reads it. */
  async #fetchNamed(configuration: FileEntry, tree: Tree): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of new FileReader([configuration], tree.chunks, this.#cache).read(0)) {
      pieces.push(piece);
    }
    const files = filesNamedIn(Buffer.concat(pieces).toString(), configuration.path, tree);
    if (files.length === 0) return;
    this.#options.log.debug(`${configuration.path} names ${files.map(({ path }) => path).join(", ")}`);
    const references = new Set(
      files.flatMap(({ extents }) => extents.map(({ chunk }) => tree.chunks[chunk]!)),
    );
    await Promise.all(
      Array.from(references, (reference) =>
        this.#bootLoads(() => this.#cache.load(reference, { keep: true })),
      ),
    );
  }

  /** @throws Error when the proof is older than the user allows */
  #mustBeFresh(): void {
    const { maxStale, log } = this.#options;
    const { number, certifiedAt } = this.#fileSystem.served;
    const age = ageOf(certifiedAt, this.#newestTime);
    if (age <= maxStale) {
      if (this.#tooStale) log.info(`release ${number} is proved anew: files can be opened again`);
      this.#tooStale = false;
      return;
    }
    const message = `release ${number} was certified ${Math.round(age / 1000)} s ago, more than --max-stale allows`;
    if (!this.#tooStale) log.error(`${message}: no file can be opened until the network says what is newest`);
    this.#tooStale = true;
    throw new Error(message);
  }

  async #switchTo(release: ProvenRelease, tree: Tree): Promise<void> {
    await this.#oneSwitch(async () => {
      const commit = await inSteps(this.#fileSystem.prepare(servedOf(release, tree)));
      await this.#transport!.switchTo(commit);
    });
  }

  async #renewed(release: ProvenRelease): Promise<void> {
    const { certifiedAt } = release;
    if (certifiedAt > this.#newestTime) this.#newestTime = certifiedAt;
    this.#fileSystem.served.certifiedAt = certifiedAt;
    const { store } = this.#options;
    if (store !== undefined) await keepRelease(store, this.#address, release);
  }

  async #reserve(releases: readonly Reserved[]): Promise<boolean> {
    const { store, memory } = this.#options;
    const sizes = new Map<string, number>();
    for (const { tree } of releases)
      for (const chunk of tree.chunks) sizes.set(hexOf(chunk.sha256), chunk.size);
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    if (store === undefined) return bytes <= memory;
    const fits = bytes <= store.capacity;
    // Manifests are what a mount without the network needs first; they are small.
    const manifests = releases.flatMap(({ release }) => release.header.manifest.chunks.map(hexOf));
    await store.pin("trees", fits ? [...manifests, ...sizes.keys()] : manifests);
    return fits;
  }

  /** With no disk everything; else what leaves room for the next release: readers then wait for no disk either. */
  #keepsInMemory(tree: Tree): boolean {
    const { store, memory } = this.#options;
    return store === undefined || tree.chunks.reduce((sum, { size }) => sum + size, 0) <= memory / 2;
  }

  /** Where there is a disk it must be there: what is in memory alone is gone with this process, or for something else. */
  async #isLocal(tree: Tree): Promise<boolean> {
    const { store } = this.#options;
    for (const chunk of tree.chunks) {
      const { sha256, size } = chunk;
      if (!(await (store?.has(hexOf(sha256), size) ?? this.#cache.holds(chunk)))) return false;
    }
    return true;
  }
}

function servedOf({ header, certifiedAt }: ProvenRelease, tree: Tree): ServedRelease {
  return { tree, number: header.number, certifiedAt };
}
