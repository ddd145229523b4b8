/**
 * The release that readers get: the one owner of what is live. Others look at it, and tell it what they have found out: that
 * it is proved anew, or that another is to take its place. It keeps what proves the live release, and its chunks from being
 * evicted.
 */
import pLimit from "p-limit";
import { fitInMemory } from "../cache/chunk-memory.ts";
import type { MountedTransport } from "../fs/transport.ts";
import type { ServedRelease } from "../fs/view/inodes.ts";
import type { TreeFileSystem } from "../fs/view/tree-filesystem.ts";
import type { Log } from "../log.ts";
import { type BlobStore, type KeptBy, keepRelease } from "../source/kept.ts";
import type { Release } from "../source/source.ts";
import { nameOf } from "../source/words.ts";
import { inSteps, letOthers } from "../steps.ts";
import { type Chunk, keyOf, type Tree } from "../tree/tree.ts";
import { ageOf } from "./first-release.ts";
import type { Hydration } from "./hydrate.ts";
import type { MountedNames } from "./mounted-names.ts";

/** A release that is live, or is to be. */
export interface MountedRelease extends ServedRelease {
  /** How far all of it has been fetched; undefined while it is read on demand. */
  hydration: Hydration | undefined;
}

/** Where chunks are kept for longer than this process lives, as seen from here (lib/cache/disk-store.ts). */
export interface Disk extends BlobStore {
  /** Whether chunks of those sizes, in bytes, can be kept together. */
  fits(sizes: readonly number[]): boolean;
  /** Whether a chunk is here. @param key SHA-256 in hexadecimal @param size in bytes, if it is known */
  has(key: string, size?: number): Promise<boolean>;
  /** Keeps these chunks from being evicted, in place of those of that name before; whether they are. Never rejects. */
  pin(name: string, keys: ReadonlySet<string>): Promise<boolean>;
}

/** Chunks in memory, as seen from here (lib/cache/chunk-cache.ts). */
export interface ChunkPresence {
  /** Whether the chunk can be read without the network. */
  holds(reference: Chunk): Promise<boolean>;
}

/** What readers of a mount see the release through. */
interface Readers {
  readonly fileSystem: Pick<TreeFileSystem, "prepare">;
  readonly transport: Pick<MountedTransport, "switchTo">;
  readonly mountedNames: Pick<MountedNames, "paths" | "switched">;
}

export interface LiveReleaseOptions {
  /** Undefined: there is memory only. */
  readonly store: Disk | undefined;
  /** Bytes of memory for chunks. */
  readonly memory: number;
  /** Milliseconds after which a proof is too old to open files by. */
  readonly maxStale: number;
  /** Told when another release is live, or the live one is proved anew. */
  readonly changed?: (now: MountedRelease) => void;
  readonly log: Log;
}

/** How often to keep a snapshot that has not changed: its age is told by what was kept. */
const KEEP_AGAIN_MS = 10 * 60_000;
/** Between two pauses: about a millisecond. */
const CHUNKS_PER_STEP = 1000;
/** Under which the chunks are pinned. */
const PIN = "trees";

export class LiveRelease {
  readonly #from: KeptBy;
  readonly #chunks: ChunkPresence;
  readonly #options: LiveReleaseOptions;
  #now: MountedRelease;
  #readers: Readers | undefined;
  /** Of all certificates seen: what a clock that is behind it is compared with. */
  #newestTime: Date;
  #tooStale = false;
  readonly #oneSwitch = pLimit(1);
  /** When (of performance.now()) the release was last kept. */
  #keptAt = performance.now();
  #keptLearned = 0;
  /** What proves the live release is on disk, and what its tree is made of. */
  #isProofKept: boolean;
  #isPinned = false;

  /** @param first `isKept`: whether what proves it was kept when it was opened */
  constructor(
    from: KeptBy,
    { release, tree, isKept = true }: ServedRelease & { readonly isKept?: boolean },
    chunks: ChunkPresence,
    options: LiveReleaseOptions,
  ) {
    this.#from = from;
    this.#chunks = chunks;
    this.#options = options;
    this.#now = { release, tree, hydration: undefined };
    this.#newestTime = release.certifiedAt;
    this.#isProofKept = isKept;
  }

  /** What new readers get. */
  get now(): MountedRelease {
    return this.#now;
  }

  /** Milliseconds since it, or one that follows it, was certified. */
  get age(): number {
    return ageOf(this.#now.release.certifiedAt, this.#newestTime);
  }

  /** Readers of a mount are served from now on: what switches have to change. Without a mount nobody sees more than `now`. */
  mounted(
    fileSystem: Pick<TreeFileSystem, "prepare">,
    transport: Pick<MountedTransport, "switchTo">,
    mountedNames: Pick<MountedNames, "paths" | "switched">,
  ): void {
    this.#readers = { fileSystem, transport, mountedNames };
  }

  /** @throws Error when the proof is older than the user allows */
  mustBeFresh(): void {
    const { maxStale, log } = this.#options;
    const { release } = this.#now;
    const { age } = this;
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

  /** Takes a newer proof of the live release. */
  async renew(release: Release): Promise<void> {
    // A gateway may answer with an older proof of the same.
    if (isOlder(release, this.#now.release)) return;
    this.#sawTime(release);
    this.#now.release = release;
    this.#options.changed?.(this.#now);
    // A snapshot's evidence is all of its list, and may be some megabytes.
    const isSmall = release.number !== undefined;
    const isOld = performance.now() - this.#keptAt > KEEP_AGAIN_MS;
    if (isSmall || isOld) await this.keep();
    else await this.keepLearned();
  }

  /**
   * Lets new readers have another release, and keeps that instead of the one before.
   *
   * @param switched called at the moment from which they get it
   */
  async switchTo(next: MountedRelease, switched: () => void): Promise<void> {
    this.#sawTime(next.release);
    const swapped = () => {
      this.#now = next;
      this.#isProofKept = false;
      switched();
      this.#options.changed?.(next);
    };
    await this.#oneSwitch(() =>
      this.#readers === undefined ? swapped() : this.#switchReaders(next, swapped),
    );
    await this.keep();
    // Alone it may fit; else this only gives up what the one before had reserved.
    await this.reserve();
  }

  async #switchReaders(next: MountedRelease, swapped: () => void): Promise<void> {
    const { fileSystem, transport, mountedNames } = this.#readers!;
    const swap = await inSteps(fileSystem.prepare(next));
    const paths = await mountedNames.paths();
    await transport.switchTo(() => {
      const held = swap(paths);
      swapped();
      mountedNames.switched(held, next);
    });
  }

  /** Whether this host can mount the live release again without the network, once all its chunks are here. Without a disk nobody has asked for that. */
  get isKept(): boolean {
    return this.#options.store === undefined || (this.#isProofKept && this.#isPinned);
  }

  /** Keeps what proves the live release, and what is known of it. */
  async keep(): Promise<void> {
    this.#keptAt = performance.now();
    this.#keptLearned = this.#from.source.learned;
    const { store, log } = this.#options;
    const { release } = this.#now;
    if (store === undefined) return;
    const pieces = await Promise.all(this.#from.source.piecesOf(release).map((piece) => store.has(piece)));
    const isKept = (await keepRelease(store, this.#from, release, log)) && !pieces.includes(false);
    // Else another has gone live meanwhile, and says so itself.
    if (release.hash.equals(this.#now.release.hash)) this.#isProofKept = isKept;
  }

  /** Keeps it when more is known of it than the last time. */
  async keepLearned(): Promise<void> {
    if (this.#from.source.learned > this.#keptLearned) await this.keep();
  }

  /**
   * Keeps the chunks of the live release from being evicted, if all of them fit; whether they do. Where they do not, only what
   * its tree is made of is kept.
   *
   * @param next which is to fit beside it, and is kept as well
   */
  async reserve(next?: ServedRelease): Promise<boolean> {
    const { store, memory } = this.#options;
    const releases = next === undefined ? [this.#now] : [this.#now, next];
    const { keys, sizes } = await inSteps(chunksOf(releases));
    if (store === undefined) return fitInMemory(sizes, memory);
    const fits = store.fits(sizes);
    const needed = fits ? keys : new Set<string>();
    for (const { release } of releases)
      for (const key of this.#from.source.piecesOf(release)) needed.add(key);
    this.#isPinned = await store.pin(PIN, needed);
    return fits;
  }

  /** Whether a tree's chunks are to stay in memory: with no disk all; else what leaves room for the next, so that no reader waits for a disk. */
  staysInMemory({ chunks }: Tree): boolean {
    const { store, memory } = this.#options;
    const sizes = chunks.map(({ size }) => size);
    return store === undefined || fitInMemory(sizes, memory / 2);
  }

  /**
   * Whether all of a tree can be read without the network. Where there is a disk it must be there: what is in memory alone is gone
   * with this process, or for something else.
   */
  async isHere(tree: Tree): Promise<boolean> {
    const { store } = this.#options;
    for (const [i, listed] of tree.chunks.entries()) {
      if (i % CHUNKS_PER_STEP === CHUNKS_PER_STEP - 1) await letOthers();
      const chunk = tree.known(listed);
      if (chunk.sha256 === undefined) return false;
      if (!(await (store?.has(keyOf(chunk), chunk.size) ?? this.#chunks.holds(chunk)))) return false;
    }
    return true;
  }

  /** What is not certified tells this host's own clock. */
  #sawTime({ certifiedAt, verified }: Release): void {
    if (verified === "certified" && certifiedAt > this.#newestTime) this.#newestTime = certifiedAt;
  }
}

/** Whether the one was certified before the other; what is not certified tells this host's own clock, which may be set back. */
function isOlder(one: Release, other: Release): boolean {
  return (
    one.verified === "certified" && other.verified === "certified" && one.certifiedAt < other.certifiedAt
  );
}

/** The chunks of some trees, each counted once: which have hashes, and the sizes of all of them. In steps: there may be a million. */
function* chunksOf(
  releases: readonly ServedRelease[],
): Generator<void, { keys: Set<string>; sizes: number[] }> {
  const keys = new Set<string>();
  const named = new Set<string>();
  const sizes: number[] = [];
  let step = 0;
  for (const { tree } of releases) {
    for (const listed of tree.chunks) {
      step += 1;
      if (step % CHUNKS_PER_STEP === 0) yield;
      const chunk = tree.known(listed);
      const key = keyOf(chunk);
      const those = chunk.sha256 === undefined ? named : keys;
      if (those.has(key)) continue;
      those.add(key);
      sizes.push(chunk.size);
    }
  }
  return { keys, sizes };
}
