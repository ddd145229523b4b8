/**
 * What a host serves to others: the live release, its chunks and what proves it, and such chunks of the one before and of the one to
 * come as are here. Nothing is fetched because somebody asks: of a release that is being fetched anyway, a chunk that somebody waits for may
 * come earlier. And nothing is known by its hash alone: it is of one of these trees.
 */
import pLimit from "p-limit";
import { messageOf } from "../errors.ts";
import { type Log, oneLine } from "../log.ts";
import { IcfsRelease } from "../source/icfs/source.ts";
import type { Pieces, Release, Source } from "../source/source.ts";
import { inSteps } from "../steps.ts";
import { hexOf } from "../tree/hash.ts";
import { type Chunk, keyOf, type Tree, type TreeFile } from "../tree/tree.ts";
import type { AwaitedChunks } from "./awaited-chunks.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { type HeaderSource, Headers } from "./release-headers.ts";
import type { Waits } from "./waits.ts";

/** A release with its tree. */
export interface Whole {
  readonly release: Release;
  readonly tree: Tree;
}

/** A release that is being fetched, or is not live yet. */
export interface Coming extends Whole {
  /** All of it is being fetched, or has been: there may be waits for its chunks. */
  readonly isFetched?: boolean;
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
  /** Releases of which such chunks as are here are given to who knows of them. */
  readonly coming?: () => readonly Coming[];
  /** Where there are waits: has those who ask for a chunk of one that is being fetched wait until it is here. */
  readonly awaited?: { readonly waits: Waits; readonly chunks: AwaitedChunks };
  /** Told of a chunk of the live release that is not here. */
  readonly missing?: (chunk: Chunk) => void;
  readonly log: Log;
}

export interface Proof {
  readonly bytes: Uint8Array;
  readonly certifiedAt: Date;
  /** Undefined: that of the newest release alone. */
  readonly channel: string | undefined;
}

/** What is waited for that is no chunk. */
const PROOF = "proof";

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
  /** A release that others are told of before it is live, as there is no other. */
  #announced: IcfsRelease | undefined;
  /** The one or the other, with the proof that is handed out: once the headers below it are here. */
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

  /**
   * Others get the proof of this release, which is being fetched, while none is live: they ask for its chunks, and wait for those. Resolves
   * when they get it; never rejects.
   */
  async announce(release: Release): Promise<void> {
    if (!(release instanceof IcfsRelease)) return;
    this.#announced = release;
    await this.#oneProof(() => this.#prove(release));
    this.#options.awaited?.waits.came(PROOF);
  }

  /** Resolves when there is a proof, or nobody waits for one. @param response as Waits has it */
  async untilProved(response: Parameters<Waits["until"]>[1]): Promise<void> {
    if (this.#announced === undefined || this.#proved !== undefined) return;
    await this.#options.awaited?.waits.until(PROOF, response);
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
    const newest = this.#live?.release ?? this.#announced;
    if (newest?.hash.equals(release.hash)) this.#proved = release;
  }

  /** What proves the newest release, or with it the channel that is served, and when that was certified; undefined: nothing does yet. */
  get proof(): Proof | undefined {
    if (this.#proved === undefined) return undefined;
    const { proven, certifiedAt, channel } = this.#proved;
    return { bytes: proven.evidence.proof, certifiedAt, channel: channel?.name };
  }

  /** A page of headers from release `from` downwards; undefined when they are not here. */
  headers(from: number): Buffer | undefined {
    return this.#headers?.page(from);
  }

  /**
   * Resolves when a chunk is here, or takes too long; at once when it will not come, as it is of no release that is being fetched.
   *
   * @param response as Waits has it
   * @returns whether it is here, or still on its way
   */
  async untilHere(sha256: Buffer, response: Parameters<Waits["until"]>[1]): Promise<boolean> {
    const { awaited, coming } = this.#options;
    if (awaited === undefined) return false;
    for (const { tree, isFetched } of coming?.() ?? []) {
      if (isFetched !== true) continue;
      const chunk = (await this.#indexOf(tree.chunks)).find(sha256);
      if (chunk === undefined) continue;
      return (await this.#chunks.holds(chunk)) || awaited.chunks.until(chunk, response);
    }
    return false;
  }

  /** A chunk by its hash, if it is here, and of one of the releases; undefined: it is not. */
  async chunk(sha256: Buffer): Promise<Buffer | undefined> {
    const key = hexOf(sha256);
    for (const { chunks, pieces } of this.#all()) {
      const found = (await this.#indexOf(chunks)).find(sha256);
      // What is only coming, or was live before, is not missed.
      if (found !== undefined)
        return chunks === this.#live?.tree.chunks ? this.read(found) : this.#local(found);
      if (pieces.includes(key)) return this.#once(key, () => this.#pieces.read(key));
    }
    return undefined;
  }

  /** A chunk of the live tree, or of one of before of which somebody still reads a file; undefined: it is not here. */
  async read(listed: Chunk): Promise<Buffer | undefined> {
    const bytes = await this.#local(listed);
    const chunk = this.#source.known(listed);
    if (bytes === undefined && chunk.sha256 !== undefined) this.#options.missing?.(chunk);
    return bytes;
  }

  async #local(listed: Chunk): Promise<Buffer | undefined> {
    const chunk = this.#source.known(listed);
    if (chunk.sha256 === undefined) return undefined;
    const { keep } = this.#options;
    return this.#once(keyOf(chunk), () => this.#chunks.local(chunk, { keep }));
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
    for (const coming of this.#options.coming?.() ?? []) yield this.#partsOf(coming);
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
