/**
 * What a host serves to others: the live release, its chunks and what proves it, and such chunks of the one before and of the one to
 * come as are here. Nothing is fetched because somebody asks, and nothing is known by its hash alone: it is of one of these trees.
 */
import pLimit from "p-limit";
import { messageOf } from "../errors.ts";
import { type Log, oneLine } from "../log.ts";
import { IcfsRelease } from "../source/icfs/source.ts";
import type { Pieces, Release, Source } from "../source/source.ts";
import { inSteps } from "../steps.ts";
import { hexOf } from "../tree/hash.ts";
import { type Chunk, keyOf, type Tree, type TreeFile } from "../tree/tree.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { type HeaderSource, Headers } from "./release-headers.ts";

/** A release with its tree. */
export interface Whole {
  readonly release: Release;
  readonly tree: Tree;
}

/** Verified chunks that are here, as seen from here (lib/cache/chunk-cache.ts). */
export interface LocalChunks {
  local(reference: Chunk, options: { keep: boolean }): Promise<Buffer | undefined>;
  holds(reference: Chunk): Promise<boolean>;
}

export interface ReleasesOptions {
  /** Whether what is read from the disk for others stays in memory, as that has no better use. */
  readonly keep: boolean;
  /** How many chunks are read from the disk at a time, and hashed. */
  readonly loads: number;
  /** A release that is being fetched, of which such chunks as are here are given to who knows of it; undefined: there is none. */
  readonly coming?: () => Whole | undefined;
  /** Told of a chunk of the live release that is not here. */
  readonly missing?: (chunk: Chunk) => void;
  readonly log: Log;
}

export class ServedReleases {
  readonly #source: Source & Partial<HeaderSource>;
  readonly #chunks: LocalChunks;
  readonly #pieces: Pick<Pieces, "read">;
  readonly #options: ReleasesOptions;
  readonly #headers: Headers | undefined;
  readonly #indexes = new WeakMap<readonly Chunk[], Promise<ChunkIndex>>();
  readonly #loads: ReturnType<typeof pLimit>;
  /** What is being read from the disk, once for all. */
  readonly #reads = new Map<string, Promise<Buffer | undefined>>();
  #live: Whole | undefined;
  /** What was live before: of that only chunks. */
  #before: { readonly chunks: readonly Chunk[]; readonly pieces: readonly string[] } | undefined;
  /** The live release, with the proof that is handed out: once the headers below it are here. */
  #proved: IcfsRelease | undefined;
  readonly #oneProof = pLimit(1);
  /** Files all of whose chunks were here when somebody looked. */
  readonly #whole = new WeakSet<TreeFile>();

  /** @param pieces where what trees are made of is kept */
  constructor(source: Source, chunks: LocalChunks, pieces: Pick<Pieces, "read">, options: ReleasesOptions) {
    this.#source = source;
    this.#chunks = chunks;
    this.#pieces = pieces;
    this.#options = options;
    this.#loads = pLimit(options.loads);
    if (hasHeaders(source)) this.#headers = new Headers(source);
  }

  /** What others get; undefined: nothing yet. */
  get live(): Whole | undefined {
    return this.#live;
  }

  /** From now on others get this release, or it is proved anew. Resolves when they get its proof as well; never rejects. */
  async goLive({ release, tree }: Whole): Promise<void> {
    const before = this.#live;
    if (before !== undefined && before.tree !== tree) {
      this.#before = { chunks: before.tree.chunks, pieces: this.#source.piecesOf(before.release) };
    }
    this.#live = { release, tree };
    if (release instanceof IcfsRelease) await this.#oneProof(() => this.#prove(release));
  }

  async #prove(release: IcfsRelease): Promise<void> {
    try {
      await this.#headers?.follow(release.proven);
    } catch (error) {
      // Only those need them who come from an older release, and these ask somebody else.
      this.#options.log.warn(oneLine(`headers for others are not up to date: ${messageOf(error)}`));
    }
    if (this.#live?.release.hash.equals(release.hash)) this.#proved = release;
  }

  /** What proves the newest release, and when that was certified; undefined: nothing does yet. */
  get proof(): { readonly bytes: Uint8Array; readonly certifiedAt: Date } | undefined {
    if (this.#proved === undefined) return undefined;
    return { bytes: this.#proved.proven.evidence.proof, certifiedAt: this.#proved.certifiedAt };
  }

  /** A page of headers from release `from` downwards; undefined when they are not here. */
  headers(from: number): Buffer | undefined {
    return this.#headers?.page(from);
  }

  /** A chunk by its hash, if it is here, and of one of the releases; undefined: it is not. */
  async chunk(sha256: Buffer): Promise<Buffer | undefined> {
    const key = hexOf(sha256);
    for (const { chunks, pieces } of this.#all()) {
      const found = (await this.#indexOf(chunks)).find(sha256);
      if (found !== undefined) return this.read(found);
      if (pieces.includes(key)) return this.#once(key, () => this.#pieces.read(key));
    }
    return undefined;
  }

  /** A chunk of the live tree, or of one of before; undefined: it is not here. */
  async read(listed: Chunk): Promise<Buffer | undefined> {
    const chunk = this.#source.known(listed);
    if (chunk.sha256 === undefined) return undefined;
    const { keep, missing } = this.#options;
    const bytes = await this.#once(keyOf(chunk), () => this.#chunks.local(chunk, { keep }));
    if (bytes === undefined) missing?.(chunk);
    return bytes;
  }

  /** Whether all of a file's chunks are here. */
  async isHere(file: TreeFile, { chunks }: Tree): Promise<boolean> {
    if (this.#whole.has(file)) return true;
    for (const number of new Set(file.extents.map(({ chunk }) => chunk))) {
      if (!(await this.#chunks.holds(chunks[number]!))) return false;
    }
    this.#whole.add(file);
    return true;
  }

  *#all() {
    if (this.#live !== undefined) yield this.#partsOf(this.#live);
    const coming = this.#options.coming?.();
    if (coming !== undefined) yield this.#partsOf(coming);
    if (this.#before !== undefined) yield this.#before;
  }

  #partsOf({ release, tree }: Whole) {
    return { chunks: tree.chunks, pieces: this.#source.piecesOf(release) };
  }

  #indexOf(chunks: readonly Chunk[]): Promise<ChunkIndex> {
    let index = this.#indexes.get(chunks);
    if (index === undefined) {
      index = inSteps(ChunkIndex.growing(chunks));
      this.#indexes.set(chunks, index);
    }
    return index;
  }

  #once(key: string, read: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    let reading = this.#reads.get(key);
    if (reading === undefined) {
      reading = this.#loads(read).finally(() => this.#reads.delete(key));
      this.#reads.set(key, reading);
    }
    return reading;
  }
}

function hasHeaders(source: Source & Partial<HeaderSource>): source is Source & HeaderSource {
  return source.headersBelow !== undefined;
}
