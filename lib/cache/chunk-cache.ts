/**
 * Verified chunks from memory, from disk, or from the network. Everything in here has been verified; what
 * fails verification never gets in.
 */
import { LRUCache } from "lru-cache";
import { WANTED_MS } from "../readahead.ts";
import { type Chunk, keyOf, type VerifiedChunk } from "../tree/tree.ts";
import { LEISURE_TIMES, type Urgency } from "../urgency.ts";
import type { Breaker } from "./breaker.ts";
import { mostChunksIn } from "./chunk-memory.ts";
import type { FetchClaim, Patience } from "./fetch-claims.ts";
import {
  type FetchChunk,
  type FetchEvent,
  type FetcherOptions,
  FetchScheduler,
  type FetchStatistics,
} from "./fetch-scheduler.ts";
import { Garbage } from "./garbage.ts";
import { HeldChunks } from "./held-chunks.ts";

/** The disk cache, as this module needs it (disk-store.ts). Keys are SHA-256 in hexadecimal. */
export interface Disk {
  /** The chunk's bytes, verified; undefined when they are not here. Never rejects. */
  read(key: string): Promise<Buffer | undefined>;
  has(key: string, size: number): Promise<boolean>;
  /** Never rejects. */
  write(key: string, bytes: Buffer): Promise<void>;
  /**
   * Called before a chunk is fetched: waits while another process fetches it. Returns its bytes if they have arrived, or otherwise
   * what to release after writing them. Never rejects.
   */
  claim(key: string, patience: Patience): Promise<Buffer | FetchClaim | undefined>;
}

/** The source of chunks, as this module needs it (lib/source/source.ts). */
export interface ChunkSource {
  readonly chunk: FetchChunk;
  /** The chunk as it is known by now: itself or, if it was listed without a hash and has been fetched, one with its hash. */
  readonly known: (reference: Chunk) => Chunk;
}

/** Chunks that can be read without the network until they are released. */
export interface Hold {
  /**
   * Adds a chunk. If it is on disk, the caller pins it; otherwise it is held in memory.
   *
   * @returns false when there is no room for it, or all have been released meanwhile
   * @throws Error when it cannot be fetched within the read timeout
   */
  keep(reference: Chunk): Promise<boolean>;
  letGo(): void;
}

/** What the cache has done since it was made. */
export interface CacheStatistics extends FetchStatistics {
  /** Reads of a chunk answered from memory. */
  hits: number;
  /** Reads of a chunk answered from disk. */
  diskHits: number;
  /** Reads of a chunk that waited for the network, alone or with others. */
  misses: number;
}

export interface ChunkCacheOptions extends FetcherOptions {
  readonly disk?: Disk;
}

/**
 * After a failed readahead, the kernel asks at once for the page that it needs. Without this, one read() would wait
 * for two deadlines. A later read gets a new deadline.
 */
const KERNEL_RETRY_MS = 100;
/** Share of the memory for chunks on their way to a slow disk, in addition to those in use. Chunks beyond it are not written this time. */
const SHARE_WRITING = 1 / 8;
const LEAST_WRITING_BYTES = 4 * 1024 * 1024;
const MOST_WRITING_BYTES = 16 * 1024 * 1024;
/**
 * Shares of the read timeout to wait for another process that is fetching a chunk: while nothing of it arrives, and in all. What is left
 * is enough to fetch the chunk here.
 */
const SHARE_SILENCE = 1 / 8;
const SHARE_CLAIMED = 1 / 2;

export class ChunkCache {
  readonly #source: ChunkSource;
  readonly #fetcher: FetchScheduler;
  readonly #options: ChunkCacheOptions;
  readonly #memory: LRUCache<string, Buffer>;
  readonly #garbage: Garbage;
  /** Lookups on disk that are under way: the kernel asks for a chunk in several pieces at once. */
  readonly #diskReads = new Map<string, Promise<Buffer | undefined>>();
  readonly #reads = { hits: 0, diskHits: 0, misses: 0 };
  /** Why chunks could not be fetched, a moment ago. */
  readonly #late = new LRUCache<string, Error>({ max: 1000, ttl: KERNEL_RETRY_MS });
  /** Chunks to fetch ahead as soon as there is room: no more than fit the memory, or some would push out others. */
  readonly #wanted: LRUCache<string, Chunk>;
  /** Chunks on their way to disk, where a lookup would not find them yet. */
  readonly #writes = new Map<string, { readonly bytes: Buffer; readonly done: Promise<void> }>();
  /** Chunks held for open files. They count against `memory` too: #memory may hold that much less. */
  readonly #held: HeldChunks;
  /** Bytes of those that #keep() is writing. */
  #writing = 0;

  constructor(source: ChunkSource, options: ChunkCacheOptions) {
    this.#source = source;
    this.#options = options;
    this.#fetcher = new FetchScheduler(
      (...asked) => this.#fetchOnce(...asked),
      options,
      (change) => this.#fetchWanted(change),
    );
    this.#wanted = new LRUCache({ max: this.#fetcher.mostAhead, ttl: WANTED_MS });
    this.#garbage = new Garbage(options.memory);
    this.#held = new HeldChunks(options.memory);
    this.#memory = new LRUCache({
      max: mostChunksIn(options.memory),
      maxSize: options.memory,
      sizeCalculation: (bytes) => bytes.length,
      dispose: (bytes, _, reason) => {
        // A deleted chunk is still in use: it is held from now on (hold()).
        if (reason !== "delete") this.#garbage.letGo(bytes);
      },
    });
  }

  get statistics(): CacheStatistics {
    return { ...this.#reads, ...this.#fetcher.statistics };
  }

  get breaker(): Pick<Breaker, "openSince"> {
    return this.#fetcher.breaker;
  }

  /** Chunks on their way from the network. */
  get underWay(): number {
    return this.#fetcher.underWay;
  }

  /** Bytes of chunks in memory. */
  get memoryUsed(): number {
    return this.#memory.calculatedSize + this.#held.bytes;
  }

  /** Fetches a chunk from the source. If another process of this host is fetching it already, waits for that one instead. */
  async #fetchOnce(...asked: Parameters<FetchChunk>): ReturnType<FetchChunk> {
    const [reference, arrived, received, urgency] = asked;
    const { disk } = this.#options;
    // Without a hash, there is no name by which others could claim it.
    if (disk === undefined || reference.sha256 === undefined) return this.#source.chunk(...asked);
    const claim = await disk.claim(keyOf(reference), this.#patience(urgency));
    if (Buffer.isBuffer(claim)) return { chunk: reference, bytes: claim, isShared: true };
    if (claim === undefined) return this.#source.chunk(...asked);
    const told = () => {
      claim.progress();
      arrived();
    };
    let kept: Promise<void> | undefined;
    try {
      const receive = (bytes: number) => {
        claim.progress();
        received(bytes);
      };
      const verified = await this.#source.chunk(reference, told, receive, urgency);
      kept = this.#keep(disk, keyOf(verified.chunk), verified.bytes);
      return verified;
    } finally {
      void Promise.resolve(kept).then(() => claim.release());
    }
  }

  /** How long to wait for another process that fetches the chunk: longer as long as no reader waits for it. */
  #patience(urgency: Urgency | undefined): Patience {
    const { readTimeout, slow = false } = this.#options;
    const isLeisurely = () => urgency?.isUrgent === false;
    return {
      get silence() {
        return readTimeout * (isLeisurely() ? LEISURE_TIMES : slow ? SHARE_CLAIMED : SHARE_SILENCE);
      },
      get whole() {
        return readTimeout * (isLeisurely() ? LEISURE_TIMES : SHARE_CLAIMED);
      },
    };
  }

  #fetchWanted(change: FetchEvent): void {
    // The failure may mean that there was too much to do.
    if (change === "failure") this.#wanted.clear();
    // The oldest first.
    for (const key of [...this.#wanted.rkeys()]) {
      if (!this.#fetcher.hasRoom(this.#diskReads.size)) return;
      const reference = this.#wanted.peek(key);
      this.#wanted.delete(key);
      if (reference !== undefined) this.prefetch(reference);
    }
  }

  /** The chunk's verified bytes. @throws Error when they cannot be fetched within the read timeout, never later */
  async get(reference: Chunk): Promise<Buffer> {
    const chunk = this.#source.known(reference);
    const key = keyOf(chunk);
    const cached = this.#memory.get(key) ?? this.#here(key);
    if (cached !== undefined) {
      this.#reads.hits += 1;
      return cached;
    }
    const read = this.#fromDisk(chunk);
    if (read !== undefined) {
      const kept = await read;
      if (kept !== undefined) {
        this.#reads.diskHits += 1;
        return kept;
      }
      // Another fetch may have ended after the lookup on disk.
      const arrived = this.#here(key);
      if (arrived !== undefined) {
        this.#reads.hits += 1;
        return arrived;
      }
    }
    this.#reads.misses += 1;
    const late = this.#late.get(key);
    if (late !== undefined) throw late;
    const deadline = performance.now() + this.#options.readTimeout;
    try {
      return this.#arrived(await this.#fetcher.forReader(key, chunk, deadline));
    } catch (error) {
      this.#late.set(key, error as Error);
      throw error;
    }
  }

  /** Fetches the chunk in the background, unless it is here; if enough is under way, a moment later or not at all. */
  prefetch(reference: Chunk): void {
    const chunk = this.#source.known(reference);
    const key = keyOf(chunk);
    if (this.#here(key) !== undefined || this.#diskReads.has(key) || this.#fetcher.isUnderWay(key)) return;
    if (!this.#fetcher.hasRoom(this.#diskReads.size)) {
      this.#want(key, chunk);
      return;
    }
    this.#wanted.delete(key);
    this.#ahead(key, chunk).catch(() => {
      // Already logged; a reader of the chunk tries again and gets the error.
    });
  }

  #want(key: string, reference: Chunk): void {
    if (this.#wanted.size >= this.#wanted.max) this.#wanted.purgeStale();
    // A reader's nearest chunk is asked for first, and must not make room for the farthest.
    if (this.#wanted.has(key) || this.#wanted.size < this.#wanted.max) this.#wanted.set(key, reference);
  }

  /**
   * Fetches the chunk to where it is kept, after what readers ask for.
   *
   * @param keep in memory as well; else it does not push out what readers use
   * @throws Error when it cannot be fetched within the read timeout
   */
  async load(reference: Chunk, { keep }: { keep: boolean }): Promise<Buffer> {
    const { disk } = this.#options;
    const chunk = this.#source.known(reference);
    const here = () => this.#found(reference);
    const kept = here() ?? (await this.#onDisk(chunk)) ?? here();
    const { chunk: known, bytes } = kept ?? (await this.#fetcher.inBackground(keyOf(chunk), chunk, here));
    const key = keyOf(known);
    const another = this.#inMemory(key) !== undefined;
    if (kept === undefined && !another) this.#garbage.arrived(bytes.length);
    if (keep) this.#remember(key, bytes);
    else if (!another) this.#garbage.letGo(bytes);
    if (disk !== undefined) await this.#write(disk, key, bytes);
    return bytes;
  }

  /**
   * The chunk's verified bytes, if they are here; the network is not asked.
   *
   * @param keep in memory what is on disk; else it does not push out what readers use
   */
  async local(reference: Chunk, { keep }: { keep: boolean }): Promise<Buffer | undefined> {
    const chunk = this.#source.known(reference);
    const key = keyOf(chunk);
    // Counts as a use where it is kept for that.
    const here = (keep ? this.#memory.get(key) : undefined) ?? this.#here(key);
    if (here !== undefined) return here;
    return keep ? this.#fromDisk(chunk) : (await this.#onDisk(chunk))?.bytes;
  }

  /** Whether the chunk can be read without the network. */
  async holds(reference: Chunk): Promise<boolean> {
    const chunk = this.#source.known(reference);
    if (chunk.sha256 === undefined) return false;
    return this.#inMemory(keyOf(chunk)) !== undefined || (await this.#isOnDisk(chunk));
  }

  hold(): Hold {
    const keys = new Set<string>();
    let over = false;
    return {
      keep: async (reference) => {
        const { disk } = this.#options;
        const before = this.#source.known(reference);
        if (await this.#isOnDisk(before)) return true;
        const bytes = this.#here(keyOf(before)) ?? (await this.get(reference));
        const chunk = this.#source.known(reference);
        const key = keyOf(chunk);
        // It may not have been written, as too much was on its way to disk.
        if (disk !== undefined) await this.#write(disk, key, bytes);
        if (await this.#isOnDisk(chunk)) return true;
        if (over) return false;
        if (keys.has(key)) return true;
        if (!this.#held.add(key, bytes)) return false;
        this.#memory.delete(key);
        this.#makeRoom();
        keys.add(key);
        return true;
      },
      letGo: () => {
        over = true;
        for (const key of keys) {
          const bytes = this.#held.remove(key);
          // It may be needed again soon, so it is only the first to be evicted.
          if (bytes !== undefined) this.#remember(key, bytes);
        }
        keys.clear();
      },
    };
  }

  async #isOnDisk(chunk: Chunk): Promise<boolean> {
    if (chunk.sha256 === undefined) return false;
    return (await this.#options.disk?.has(keyOf(chunk), chunk.size)) === true;
  }

  async #ahead(key: string, chunk: Chunk): Promise<void> {
    const read = this.#fromDisk(chunk);
    if (read !== undefined && (await read) !== undefined) return;
    if (this.#here(key) !== undefined) return;
    this.#arrived(await this.#fetcher.ahead(key, chunk));
  }

  /** #here(), for a chunk whose hash is known by now. */
  #found(reference: Chunk): VerifiedChunk | undefined {
    const chunk = this.#source.known(reference);
    if (chunk.sha256 === undefined) return undefined;
    const bytes = this.#here(keyOf(chunk));
    return bytes && { chunk, bytes };
  }

  /** Without looking on disk, and without counting as a use. */
  #here(key: string): Buffer | undefined {
    return this.#inMemory(key) ?? this.#writes.get(key)?.bytes;
  }

  #inMemory(key: string): Buffer | undefined {
    return this.#memory.peek(key) ?? this.#held.get(key);
  }

  /** Keeps it until its room is needed. */
  #remember(key: string, bytes: Buffer): void {
    if (this.#held.get(key) !== undefined) return;
    this.#memory.set(key, bytes);
    this.#makeRoom();
  }

  /** Evicts the least recently used chunks until the limit is met. Held chunks alone never exceed it. */
  #makeRoom(): void {
    while (this.memoryUsed > this.#options.memory) this.#memory.pop();
  }

  /** A chunk without a hash is not on disk: it would have one. */
  async #onDisk(chunk: Chunk): Promise<VerifiedChunk | undefined> {
    if (chunk.sha256 === undefined) return undefined;
    const bytes = await this.#options.disk?.read(keyOf(chunk));
    return bytes && { chunk, bytes };
  }

  /** Undefined when no lookup is needed. */
  #fromDisk(chunk: Chunk): Promise<Buffer | undefined> | undefined {
    if (this.#options.disk === undefined || chunk.sha256 === undefined) return undefined;
    const key = keyOf(chunk);
    let read = this.#diskReads.get(key);
    if (read === undefined) {
      read = this.#readDisk(key, this.#options.disk);
      this.#diskReads.set(key, read);
    }
    return read;
  }

  async #readDisk(key: string, disk: Disk): Promise<Buffer | undefined> {
    try {
      const bytes = await disk.read(key);
      if (bytes !== undefined) this.#remember(key, bytes);
      return bytes;
    } finally {
      this.#diskReads.delete(key);
    }
  }

  /** A chunk has come from the network. Of all callers that have waited for it, the first stores it. */
  #arrived({ chunk, bytes }: VerifiedChunk): Buffer {
    const key = keyOf(chunk);
    if (this.#inMemory(key) === undefined) {
      this.#garbage.arrived(bytes.length);
      this.#remember(key, bytes);
      const { disk } = this.#options;
      if (disk !== undefined) void this.#keep(disk, key, bytes);
    }
    return bytes;
  }

  /** Writes a chunk to disk, unless too much is being written already. Resolves when it is there, or will not be. */
  async #keep(disk: Disk, key: string, bytes: Buffer): Promise<void> {
    if (this.#writes.has(key)) return this.#writes.get(key)!.done;
    const most = Math.min(MOST_WRITING_BYTES, SHARE_WRITING * this.#options.memory);
    if (this.#writing + bytes.length > Math.max(LEAST_WRITING_BYTES, most)) return;
    this.#writing += bytes.length;
    await this.#write(disk, key, bytes);
    this.#writing -= bytes.length;
  }

  /** Writes a chunk to disk, once for all callers that ask while it is being written. */
  #write(disk: Disk, key: string, bytes: Buffer): Promise<void> {
    const write = this.#writes.get(key);
    if (write !== undefined) return write.done;
    const done = disk.write(key, bytes).finally(() => this.#writes.delete(key));
    this.#writes.set(key, { bytes, done });
    return done;
  }
}
