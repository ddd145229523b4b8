/**
 * What a host serves to others: the live release, its chunks and its proof, and those chunks of the previous and the next release
 * that are here. Requests cause no fetches; of a release that is being fetched anyway, a requested chunk may be fetched earlier.
 * A hash alone does not identify a chunk: it must belong to one of these trees.
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
import { type HeaderSource, type HeaderStore, Headers } from "./release-headers.ts";
import type { Waiting, Waits } from "./waits.ts";

/** A release with its tree. */
export interface Whole {
  readonly release: Release;
  readonly tree: Tree;
}

/** A release that is being fetched, or is not live yet. */
export interface Coming extends Whole {
  /** Whether all of it is being fetched, or has been, so that requests for its chunks may wait. */
  readonly isFetched?: boolean;
}

/** Verified chunks on this host (lib/cache/chunk-cache.ts). */
export interface LocalChunks {
  local(reference: Chunk, options: { keep: boolean }): Promise<Buffer | undefined>;
  holds(reference: Chunk): Promise<boolean>;
}

export interface ReleasesOptions {
  /** Whether chunks read from disk for others stay in memory, because it has no better use. */
  readonly keep: boolean;
  /** How many chunks are read from disk, and hashed, at a time. */
  readonly loads: number;
  /** Releases that are being fetched. Their chunks that are here already are served to clients that ask by hash. */
  readonly coming?: () => readonly Coming[];
  /** If present, requests for chunks that are being fetched wait for them. */
  readonly awaited?: { readonly waits: Waits; readonly chunks: AwaitedChunks };
  /** Called with a chunk of the live release that is missing. */
  readonly missing?: (chunk: Chunk) => void;
  /** Keeps headers for times without the network. */
  readonly headers: HeaderStore;
  readonly log: Log;
}

export interface Proof {
  readonly bytes: Uint8Array;
  readonly certifiedAt: Date;
  /** Undefined: only the newest release. */
  readonly channel: string | undefined;
}

/** The key for requests that wait for a proof. */
const PROOF = "proof";

export class ServedReleases {
  readonly #source: Source & Partial<HeaderSource>;
  readonly #chunks: LocalChunks;
  readonly #pieces: Pick<Pieces, "read">;
  readonly #options: ReleasesOptions;
  readonly #headers: Headers | undefined;
  readonly #indexes = new WeakMap<readonly Chunk[], Promise<ChunkIndex>>();
  readonly #loads: ReturnType<typeof pLimit>;
  /** Reads from disk in progress, shared by all requests. */
  readonly #reads = new Map<string, Promise<Buffer | undefined>>();
  #live: Whole | undefined;
  /** The chunks of the previous live release. */
  #before: { readonly chunks: readonly Chunk[]; readonly pieces: readonly string[] } | undefined;
  /** A release that is offered to others before it is live, because no other is. */
  #announced: IcfsRelease | undefined;
  /** The live or announced release whose proof is served, once the headers below it are here. */
  #proved: IcfsRelease | undefined;
  readonly #oneProof = pLimit(1);
  /** Files whose chunks were all here at the last check. */
  readonly #whole = new WeakSet<TreeFile>();

  /** @param pieces where the parts of trees are kept */
  constructor(source: Source, chunks: LocalChunks, pieces: Pick<Pieces, "read">, options: ReleasesOptions) {
    this.#source = source;
    this.#chunks = chunks;
    this.#pieces = pieces;
    this.#options = options;
    this.#loads = pLimit(options.loads);
    if (hasHeaders(source)) this.#headers = new Headers(source, options.headers);
  }

  /** The release that others get; undefined: none yet. */
  get live(): Whole | undefined {
    return this.#live;
  }

  /**
   * Serves the proof of this release, which is being fetched, while none is live: clients request its chunks, and wait for them.
   * Resolves when the proof is served; never rejects.
   */
  async announce(release: Release): Promise<void> {
    if (!(release instanceof IcfsRelease)) return;
    this.#announced = release;
    await this.#oneProof(() => this.#prove(release));
    this.#options.awaited?.waits.came(PROOF);
  }

  /** Resolves when there is a proof, or the wait has ended. */
  async untilProved(response: Waiting): Promise<void> {
    if (this.#announced === undefined || this.#proved !== undefined) return;
    await this.#options.awaited?.waits.until(PROOF, response);
  }

  /** Serves this release from now on; it is new, or has a new proof. Resolves when its proof is served as well; never rejects. */
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
      // Only clients that come from an older release need the headers, and these can ask elsewhere.
      this.#options.log.warn(oneLine(`headers for others are not up to date: ${messageOf(error)}`));
    }
    const newest = this.#live?.release ?? this.#announced;
    if (newest?.hash.equals(release.hash)) this.#proved = release;
  }

  /** The proof of the newest release, or of the served channel, and its certification time; undefined: none yet. */
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
   * Resolves when a chunk is here, or takes too long; at once when it does not belong to a release that is being fetched.
   *
   * @returns whether it is here, or may still arrive
   */
  async untilHere(sha256: Buffer, response: Waiting): Promise<boolean> {
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

  /** A chunk by its hash; undefined when it is not here, or does not belong to one of the releases. */
  async chunk(sha256: Buffer): Promise<Buffer | undefined> {
    const key = hexOf(sha256);
    for (const { chunks, pieces } of this.#all()) {
      const found = (await this.#indexOf(chunks)).find(sha256);
      // Only chunks of the live release are reported as missing.
      if (found !== undefined)
        return chunks === this.#live?.tree.chunks ? this.read(found) : this.#local(found);
      if (pieces.includes(key)) return this.#once(key, () => this.#pieces.read(key));
    }
    return undefined;
  }

  /** A chunk of the live tree, or of an earlier one of which a file is still being read; undefined: it is not here. */
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
