/** One canister's mount while it lives: what reading, following and hydrating it have in common. */
import { renameSync, writeFileSync } from "node:fs";
import pLimit from "p-limit";
import { ChunkCache } from "../cache/chunk-cache.ts";
import { FileReader } from "../cache/file-reader.ts";
import { messageOf } from "../errors.ts";
import type { MountedTransport } from "../fs/transport.ts";
import { TreeFileSystem } from "../fs/view/tree-filesystem.ts";
import { BOOT_LOADS } from "../readahead.ts";
import { type KeptBy, keepRelease } from "../source/kept.ts";
import { LastingError, type Release, type SourceKind, type Verification } from "../source/source.ts";
import { nameOf, namesOf, type ReleaseNames } from "../source/words.ts";
import { inSteps } from "../steps.ts";
import { keyOf, type Tree, type TreeFile } from "../tree/tree.ts";
import { filesNamedIn, isBootConfiguration } from "./boot-prefetch.ts";
import { ageOf, type FirstRelease } from "./first-release.ts";
import { Follower, type Reserved } from "./follow.ts";
import { Hydrator } from "./hydrate.ts";
import type { CanisterMountOptions } from "./options.ts";
import { Quiet } from "./quiet.ts";
import { serveControl } from "./report/control.ts";
import type { MountStatus } from "./report/status.ts";
import { WholeFiles } from "./whole-files.ts";

/** What can be said of a mount that is live. */
export interface MountDescription extends ReleaseNames {
  readonly canister: string;
  readonly mountpoint: string;
  readonly source: SourceKind;
  readonly verified: Verification;
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
  /** When the subnet certified the release; without certificates, when the canister said so. */
  readonly certifiedAt: string;
  /** Why the release is one that was kept on this host, if it is. */
  readonly warning?: string;
}

/** How often to keep a snapshot that has not changed: its age is told by what was kept. */
const KEEP_AGAIN_MS = 10 * 60_000;

export class CanisterMount {
  readonly #from: KeptBy;
  readonly #options: CanisterMountOptions;
  readonly #cache: ChunkCache;
  readonly #fileSystem: TreeFileSystem;
  readonly #follower: Follower;
  readonly #warning: string | undefined;
  readonly #quiet: Quiet;
  readonly #bootLoads = pLimit(BOOT_LOADS);
  /** Configurations whose files have been asked for. */
  readonly #raised = new WeakSet<TreeFile>();
  #transport: MountedTransport | undefined;
  #control: ReturnType<typeof serveControl> | undefined;
  /** Of all certificates seen: what a clock that is behind it is compared with. */
  #newestTime: Date;
  #tooStale = false;
  readonly #oneSwitch = pLimit(1);
  /** When (of performance.now()) the release was last kept. */
  #keptAt = performance.now();
  #keptLearned = 0;

  constructor(from: KeptBy, { release, tree, warning }: FirstRelease, options: CanisterMountOptions) {
    const { store, log, openWhole } = options;
    const { address, source } = from;
    this.#from = from;
    this.#options = options;
    this.#warning = warning;
    this.#newestTime = release.certifiedAt;
    this.#cache = new ChunkCache((...fetched) => source.chunk(...fetched), {
      ...options,
      slow: source.slow,
      ...(store === undefined ? {} : { disk: store }),
      // To wait for what is not asked for helps nobody, nor for bytes that are not there any more.
      giveUp: (error) => options.offline || error instanceof LastingError,
    });
    this.#quiet = new Quiet(options.quiet, options.switchWithin);
    const whole = openWhole === undefined ? undefined : new WholeFiles(this.#cache, store, openWhole);
    this.#fileSystem = new TreeFileSystem({ release, tree }, this.#cache, {
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
        newest: (thorough) => source.newest(thorough),
        openTree: (next) => source.tree(next, store),
        switchTo: (next, nextTree) => this.#switchTo(next, nextTree),
        renewed: (proven) => this.#renewed(proven),
        keep: (proven) => this.#keep(proven),
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

  /** What is live, in words. */
  get name(): string {
    const { live } = this.#follower.status();
    return `${nameOf(live)} (${live.hash.toString("hex")})`;
  }

  describe(): MountDescription {
    const { tree } = this.#fileSystem.served;
    const { live } = this.#follower.status();
    const { address, source } = this.#from;
    return {
      canister: address.canister.toText(),
      mountpoint: this.#transport!.mount.mountpoint,
      source: source.kind,
      ...namesOf(live),
      verified: live.verified,
      files: tree.files,
      bytes: tree.bytes,
      certifiedAt: live.certifiedAt.toISOString(),
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
          ...namesOf(next.release),
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
    const { hits, diskHits, misses, ...statistics } = this.#cache.statistics;
    const content = {
      ...namesOf(this.#follower.status().live),
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

  #opened(file: TreeFile, tree: Tree): void {
    this.#quiet.disturb();
    const { prefetch, log } = this.#options;
    if (prefetch === "none" || this.#raised.has(file) || !isBootConfiguration(file)) return;
    this.#raised.add(file);
    this.#fetchNamed(file, tree).catch((error) => log.debug(`${file.path}: ${messageOf(error)}`));
  }

  /** Fetches what a configuration names, in its order, while the boot loader still reads it. */
  async #fetchNamed(configuration: TreeFile, tree: Tree): Promise<void> {
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
    const { release } = this.#fileSystem.served;
    const age = ageOf(release.certifiedAt, this.#newestTime);
    if (age <= maxStale) {
      if (this.#tooStale) log.info(`${nameOf(release)} is proved anew: files can be opened again`);
      this.#tooStale = false;
      return;
    }
    const message = `${nameOf(release)} was certified ${Math.round(age / 1000)} s ago, more than --max-stale allows`;
    if (!this.#tooStale) log.error(`${message}: no file can be opened until the network says what is newest`);
    this.#tooStale = true;
    throw new Error(message);
  }

  async #switchTo(release: Release, tree: Tree): Promise<void> {
    this.#sawTime(release);
    await this.#oneSwitch(async () => {
      const commit = await inSteps(this.#fileSystem.prepare({ release, tree }));
      await this.#transport!.switchTo(commit);
    });
  }

  /** What is not certified tells this host's own clock. */
  #sawTime({ certifiedAt, verified }: Release): void {
    if (verified === "certified" && certifiedAt > this.#newestTime) this.#newestTime = certifiedAt;
  }

  async #renewed(release: Release): Promise<void> {
    this.#sawTime(release);
    this.#fileSystem.served.release = release;
    // A snapshot's evidence is all of its list, and may be some megabytes.
    const isSmall = release.number !== undefined;
    const isOld = performance.now() - this.#keptAt > KEEP_AGAIN_MS;
    if (isSmall || isOld || this.#from.source.learned > this.#keptLearned) await this.#keep(release);
  }

  /** Keeps what was learned since the last time. */
  async keepLearned(): Promise<void> {
    if (this.#from.source.learned > this.#keptLearned) await this.#keep(this.#follower.status().live);
  }

  async #keep(release: Release): Promise<void> {
    this.#keptAt = performance.now();
    this.#keptLearned = this.#from.source.learned;
    const { store } = this.#options;
    if (store !== undefined) await keepRelease(store, this.#from, release);
  }

  async #reserve(releases: readonly Reserved[]): Promise<boolean> {
    const { store, memory } = this.#options;
    const sizes = new Map<string, number>();
    const known: string[] = [];
    for (const { release, tree } of releases) {
      known.push(...this.#from.source.piecesOf(release));
      for (const chunk of tree.chunks) sizes.set(keyOf(chunk), chunk.size);
    }
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    if (store === undefined) return bytes <= memory;
    const fits = bytes <= store.capacity;
    if (fits) {
      for (const { tree } of releases)
        for (const chunk of tree.chunks) if (chunk.sha256 !== undefined) known.push(keyOf(chunk));
    }
    await store.pin("trees", new Set(known));
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
      if (chunk.sha256 === undefined) return false;
      if (!(await (store?.has(keyOf(chunk), chunk.size) ?? this.#cache.holds(chunk)))) return false;
    }
    return true;
  }
}
