/**
 * The release that readers get, and the only owner of that state. Other modules read it, and report what they find: a newer proof
 * of it, or a release to replace it. It keeps the proof of the live release, and protects its chunks from eviction.
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

/** How an attempt to take a release away has ended. "held": something is mounted inside. */
export type Removal = "taken" | "held" | "not now";

/** A release that is live, or will be. */
export interface MountedRelease extends ServedRelease {
  /** How much of it has been fetched; undefined while it is read on demand. */
  hydration: Hydration | undefined;
}

/** Where chunks are kept beyond the life of this process (lib/cache/disk-store.ts). */
export interface Disk extends BlobStore {
  /** Whether chunks of these sizes, in bytes, fit together. */
  fits(sizes: readonly number[]): boolean;
  /** Whether a chunk is on disk. @param key SHA-256 in hexadecimal @param size in bytes, if it is known */
  has(key: string, size?: number): Promise<boolean>;
  /**
   * Protects these chunks from eviction, instead of those pinned under this name before. Resolves to whether they are pinned;
   * never rejects.
   */
  pin(name: string, keys: ReadonlySet<string>): Promise<boolean>;
  /** Never rejects. */
  unpin(name: string): Promise<void>;
}

/** Chunks in memory (lib/cache/chunk-cache.ts). */
export interface ChunkPresence {
  /** Whether the chunk can be read without the network. */
  holds(reference: Chunk): Promise<boolean>;
}

/** Mounts inside the mount, which outlive its switches (lib/mount/mounted-names.ts). */
export interface MountsInside {
  /** Paths on which something is mounted now. */
  paths(): Promise<readonly string[]>;
  /** A release has gone live. @param held paths that differ from it */
  switched(held: readonly string[], now: ServedRelease): void;
}

/** Shows readers of a mount the release. */
interface Readers {
  readonly fileSystem: Pick<TreeFileSystem, "prepare">;
  readonly transport: Pick<MountedTransport, "switchTo">;
  readonly mountedNames: MountsInside;
}

export interface LiveReleaseOptions {
  /** Undefined: there is memory only. */
  readonly store: Disk | undefined;
  /** Bytes of memory for chunks. */
  readonly memory: number;
  /** Milliseconds after which a proof is too old to open files. */
  readonly maxStale: number;
  /** The name of the chunks' pin; default: the one for a single live release. */
  readonly pin?: string;
  /** Other releases that need room in the cache as well. Default: none. */
  readonly beside?: () => readonly ServedRelease[];
  /** Called when another release goes live, or the live one has a newer proof. */
  readonly changed?: (now: MountedRelease) => void;
  readonly log: Log;
}

/** How often to store an unchanged snapshot again, so that its stored age stays true. */
const KEEP_AGAIN_MS = 10 * 60_000;
/** Chunks handled between two pauses; they take about a millisecond. */
const CHUNKS_PER_STEP = 1000;
/** The default name of the pin. */
const PIN = "trees";

export class LiveRelease {
  readonly #from: KeptBy;
  readonly #chunks: ChunkPresence;
  readonly #options: LiveReleaseOptions;
  #now: MountedRelease;
  #readers: Readers | undefined;
  /** The newest time of all certificates seen. A clock that is behind it is wrong. */
  #newestTime: Date;
  #tooStale = false;
  readonly #oneSwitch = pLimit(1);
  /** When (by performance.now()) the release was last kept. */
  #keptAt = performance.now();
  /** How much the source had learned by then (Source.learned). */
  #keptLearned = 0;
  /** Whether the proof of the live release, and what makes up its tree, is on disk. */
  #isProofKept: boolean;
  #isPinned = false;
  /** The release that is pinned beside the live one. */
  #next: ServedRelease | undefined;
  /** Whether the release was taken away from readers. */
  #isTaken = false;

  /** @param first `isKept`: whether its proof was kept when it was opened */
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

  /** The release that new readers get. */
  get now(): MountedRelease {
    return this.#now;
  }

  /** Milliseconds since the release, or one that follows it, was certified. */
  get age(): number {
    return ageOf(this.#now.release.certifiedAt, this.#newestTime);
  }

  /** Readers see the release through these from now on, so a switch must update them. Without a mount, only `now` is read. */
  mounted(
    fileSystem: Pick<TreeFileSystem, "prepare">,
    transport: Pick<MountedTransport, "switchTo">,
    mountedNames: MountsInside,
  ): void {
    this.#readers = { fileSystem, transport, mountedNames };
  }

  /** @throws Error when the proof is older than the user allows */
  mustBeFresh(): void {
    const { maxStale, log } = this.#options;
    const { release } = this.#now;
    const { age } = this;
    if (age <= maxStale) {
      if (this.#tooStale) log.info(`${nameOf(release)} is proved again: files can be opened again`);
      this.#tooStale = false;
      return;
    }
    const message = `${nameOf(release)} was certified ${Math.round(age / 1000)} s ago, more than --max-stale allows`;
    if (!this.#tooStale) log.error(`${message}: no file can be opened until the network says what is newest`);
    this.#tooStale = true;
    throw new Error(message);
  }

  /** Accepts a newer proof of the live release. */
  async renew(release: Release): Promise<void> {
    // A gateway may answer with an older proof of the same release.
    if (isOlder(release, this.#now.release)) return;
    this.#sawTime(release);
    this.#now.release = release;
    this.#options.changed?.(this.#now);
    // A snapshot's evidence is its whole list, which may be several megabytes.
    const isSmall = release.number !== undefined;
    const isOld = performance.now() - this.#keptAt > KEEP_AGAIN_MS;
    if (isSmall || isOld) await this.keep();
    else await this.keepLearned();
  }

  /**
   * Switches new readers to another release, and keeps that one instead of the previous one.
   *
   * @param switched called at the moment of the switch
   * @param may whether it may still be done, asked at that moment: it takes a while to prepare
   * @returns false when it was not to be done any more: then nothing changes
   */
  async switchTo(next: MountedRelease, switched: () => void, may: () => boolean): Promise<boolean> {
    this.#sawTime(next.release);
    const swapped = () => {
      this.#now = next;
      this.#isProofKept = false;
      switched();
      this.#options.changed?.(next);
    };
    const isDone = await this.#oneSwitch(async () => {
      if (this.#isTaken) return true;
      if (this.#readers !== undefined) return this.#switchReaders(next, swapped, may);
      if (!may()) return false;
      swapped();
      return true;
    });
    if (!isDone) return false;
    await this.keep();
    // The release may fit alone. If not, this only releases what the previous one had reserved.
    await this.reserve();
    return true;
  }

  async #switchReaders(next: MountedRelease, swapped: () => void, may: () => boolean): Promise<boolean> {
    const { fileSystem, transport, mountedNames } = this.#readers!;
    const swap = await inSteps(fileSystem.prepare(next));
    const paths = await mountedNames.paths();
    if (!may()) return false;
    await transport.switchTo(() => {
      const held = swap(paths);
      swapped();
      mountedNames.switched(held, next);
    });
    return true;
  }

  /**
   * Removes the release from readers for good. A file that is open can still be read to its end.
   *
   * @param taken called at the moment of removal
   * @param may as for switchTo()
   * @returns "taken", or else nothing changes
   */
  async takeAway(taken: () => void, may: () => boolean): Promise<Removal> {
    const outcome = await this.#oneSwitch(async (): Promise<Removal> => {
      const { fileSystem, transport, mountedNames } = this.#readers!;
      const { release, tree } = this.#now;
      const nothing = { release, tree: tree.emptied(), hydration: undefined };
      const swap = await inSteps(fileSystem.prepare(nothing));
      if ((await mountedNames.paths()).length > 0) return "held";
      if (!may()) return "not now";
      await transport.switchTo(() => {
        swap([]);
        this.#isTaken = true;
        // Readers may ask for an inode of it for ever, so this object stays, and would keep the whole tree in memory.
        this.#now = nothing;
        this.#next = undefined;
        taken();
      });
      return "taken";
    });
    if (outcome === "taken") await this.#options.store?.unpin(this.#pin);
    return outcome;
  }

  /**
   * Whether this host can mount the live release again without the network once all its chunks are here. Without a disk nobody
   * has asked for that.
   */
  get isKept(): boolean {
    return this.#options.store === undefined || (this.#isProofKept && this.#isPinned);
  }

  /** Keeps the proof of the live release, and what is known of it. */
  async keep(): Promise<void> {
    this.#keptAt = performance.now();
    this.#keptLearned = this.#from.source.learned;
    const { store, log } = this.#options;
    const { release } = this.#now;
    if (store === undefined) return;
    const pieces = await Promise.all(this.#from.source.piecesOf(release).map((piece) => store.has(piece)));
    const isKept = (await keepRelease(store, this.#from, release, log)) && !pieces.includes(false);
    // Otherwise another release has gone live, and sets this itself.
    if (release.hash.equals(this.#now.release.hash)) this.#isProofKept = isKept;
  }

  /** Keeps the release when more is known of it than the last time. */
  async keepLearned(): Promise<void> {
    if (this.#from.source.learned > this.#keptLearned) await this.keep();
  }

  /**
   * Protects the chunks of the live release from eviction if all of them fit, and resolves to whether they do. If not, only what
   * makes up its tree is protected.
   *
   * @param next a release that must fit beside it, and is protected as well
   */
  async reserve(next?: ServedRelease): Promise<boolean> {
    const { store, memory, beside } = this.#options;
    if (this.#isTaken) return false;
    this.#next = next;
    const releases = this.reserved;
    const { keys, sizes } = await inSteps(chunksOf(releases, beside?.()));
    if (store === undefined) return fitInMemory(sizes, memory);
    const fits = store.fits(sizes);
    const needed = fits ? keys : new Set<string>();
    for (const { release } of releases)
      for (const key of this.#from.source.piecesOf(release)) needed.add(key);
    this.#isPinned = await store.pin(this.#pin, needed);
    // It may have been taken away in the meantime, and nobody else would unpin these.
    if (this.#isTaken) await store.unpin(this.#pin);
    return fits;
  }

  /** The live release, and the one that is to fit beside it. */
  get reserved(): readonly ServedRelease[] {
    return this.#next === undefined ? [this.#now] : [this.#now, this.#next];
  }

  get #pin(): string {
    return this.#options.pin ?? PIN;
  }

  /**
   * Whether a tree's chunks stay in memory. Without a disk, all do; otherwise only if they leave room for the next release, so
   * that no reader waits for a disk.
   */
  staysInMemory(tree: Tree): boolean {
    const { store, memory, beside } = this.#options;
    const trees = new Set([tree, ...(beside?.().map((other) => other.tree) ?? [])]);
    const sizes = [...trees].flatMap(({ chunks }) => chunks.map(({ size }) => size));
    return store === undefined || fitInMemory(sizes, memory / 2);
  }

  /**
   * Whether all of a tree can be read without the network. Where there is a disk, chunks must be on it: those in memory are lost
   * when this process ends or the memory is needed.
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

  /** Uncertified releases carry this host's own time, which proves nothing. */
  #sawTime({ certifiedAt, verified }: Release): void {
    if (verified === "certified" && certifiedAt > this.#newestTime) this.#newestTime = certifiedAt;
  }
}

/**
 * Whether one release was certified before the other. Uncertified releases carry this host's own time, which may have been set
 * back.
 */
function isOlder(one: Release, other: Release): boolean {
  return (
    one.verified === "certified" && other.verified === "certified" && one.certifiedAt < other.certifiedAt
  );
}

/**
 * The chunks of several trees, each counted once: the keys of those with hashes, and the sizes of all of them and of the chunks
 * beside them. A generator, so that the caller can pause: there may be a million.
 */
function* chunksOf(
  releases: readonly ServedRelease[],
  beside: readonly ServedRelease[] = [],
): Generator<void, { keys: Set<string>; sizes: number[] }> {
  const keys = new Set<string>();
  const others = new Set<string>();
  const named = new Set<string>();
  const sizes: number[] = [];
  let step = 0;
  for (const { tree } of [...releases, ...beside]) {
    const hashed = releases.some((release) => release.tree === tree) ? keys : others;
    for (const listed of tree.chunks) {
      step += 1;
      if (step % CHUNKS_PER_STEP === 0) yield;
      const chunk = tree.known(listed);
      const key = keyOf(chunk);
      const those = chunk.sha256 === undefined ? named : hashed;
      if (those.has(key) || (those === others && keys.has(key))) continue;
      those.add(key);
      sizes.push(chunk.size);
    }
  }
  return { keys, sizes };
}
