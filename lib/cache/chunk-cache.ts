/**
 * Verified chunks, and the way to them: from memory, from disk, from the network. What is in here has been verified; what
 * fails verification never gets in.
 */
import { LRUCache } from "lru-cache";
import { hexOf } from "../tree/hash.ts";
import type { ChunkReference } from "../tree/manifest.ts";
import type { Breaker } from "./breaker.ts";
import { ChunkFetcher, type FetchChunk, type FetcherOptions, type FetchStatistics } from "./chunk-fetcher.ts";
import { Garbage } from "./garbage.ts";

/** Where chunks are kept beyond memory, as seen from here (disk-store.ts). Keys are SHA-256 in hexadecimal. */
export interface Disk {
  /** The chunk's bytes, verified; undefined when they are not here. Never rejects. */
  read(key: string): Promise<Buffer | undefined>;
  has(key: string, size: number): Promise<boolean>;
  /** Never rejects. */
  write(key: string, bytes: Buffer): Promise<void>;
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
 * When reading ahead has failed, the kernel asks at once for the page that it needs: without this, one read() would wait
 * for two deadlines. Whoever reads again later gets a new one.
 */
const KERNEL_RETRY_MS = 100;
/** Of the memory, for chunks on their way to a slow disk, beside those in use. What is over this is not kept this time. */
const SHARE_WRITING = 1 / 8;
const LEAST_WRITING_BYTES = 4 * 1024 * 1024;
const MOST_WRITING_BYTES = 16 * 1024 * 1024;

export class ChunkCache {
  readonly #fetcher: ChunkFetcher;
  readonly #options: ChunkCacheOptions;
  readonly #memory: LRUCache<string, Buffer>;
  readonly #garbage: Garbage;
  /** What is being looked for on disk: the kernel asks for a chunk in several pieces at once. */
  readonly #diskReads = new Map<string, Promise<Buffer | undefined>>();
  readonly #reads = { hits: 0, diskHits: 0, misses: 0 };
  /** Why chunks could not be had, a moment ago. */
  readonly #late = new LRUCache<string, Error>({ max: 1000, ttl: KERNEL_RETRY_MS });
  #writing = 0;

  constructor(fetch: FetchChunk, options: ChunkCacheOptions) {
    this.#options = options;
    this.#fetcher = new ChunkFetcher(fetch, options);
    this.#garbage = new Garbage(options.memory);
    this.#memory = new LRUCache({
      maxSize: options.memory,
      sizeCalculation: (bytes) => bytes.length,
      dispose: (bytes) => this.#garbage.letGo(bytes.length),
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
    return this.#memory.calculatedSize;
  }

  /** The chunk's verified bytes. @throws Error when they cannot be had within the read timeout, never later */
  async get(reference: ChunkReference): Promise<Buffer> {
    const key = hexOf(reference.sha256);
    const cached = this.#memory.get(key);
    if (cached !== undefined) {
      this.#reads.hits += 1;
      return cached;
    }
    const kept = this.#options.disk && (await this.#fromDisk(key, this.#options.disk));
    if (kept !== undefined) {
      this.#reads.diskHits += 1;
      return kept;
    }
    this.#reads.misses += 1;
    const late = this.#late.get(key);
    if (late !== undefined) throw late;
    const deadline = performance.now() + this.#options.readTimeout;
    try {
      return this.#arrived(key, await this.#fetcher.forReader(key, reference, deadline));
    } catch (error) {
      this.#late.set(key, error as Error);
      throw error;
    }
  }

  /** Fetches the chunk in the background, unless it is here or enough is under way. */
  prefetch(reference: ChunkReference): void {
    const key = hexOf(reference.sha256);
    if (this.#memory.has(key) || this.#diskReads.has(key)) return;
    if (!this.#fetcher.hasRoom(key, this.#diskReads.size)) return;
    this.#ahead(key, reference).catch(() => {
      // Already logged; whoever reads the chunk tries again and is told.
    });
  }

  /**
   * Gets the chunk to where it is kept, behind what readers ask for.
   *
   * @param keep in memory as well; else it does not push out what readers use
   * @throws Error when it cannot be had within the read timeout
   */
  async load(reference: ChunkReference, { keep }: { keep: boolean }): Promise<Buffer> {
    const key = hexOf(reference.sha256);
    const { disk } = this.#options;
    const here = this.#memory.peek(key) ?? (await disk?.read(key));
    const bytes = here ?? (await this.#fetcher.inBackground(key, reference));
    if (here === undefined) this.#garbage.arrived(bytes.length);
    if (keep) this.#memory.set(key, bytes);
    else if (!this.#memory.has(key)) this.#garbage.letGo(bytes.length);
    await disk?.write(key, bytes);
    return bytes;
  }

  /** Whether the chunk can be read without the network. */
  async holds(reference: ChunkReference): Promise<boolean> {
    const key = hexOf(reference.sha256);
    return this.#memory.has(key) || (await this.#options.disk?.has(key, reference.size)) === true;
  }

  async #ahead(key: string, reference: ChunkReference): Promise<void> {
    const { disk } = this.#options;
    if (disk !== undefined && (await this.#fromDisk(key, disk)) !== undefined) return;
    this.#arrived(key, await this.#fetcher.ahead(key, reference));
  }

  #fromDisk(key: string, disk: Disk): Promise<Buffer | undefined> {
    let read = this.#diskReads.get(key);
    if (read === undefined) {
      read = this.#readDisk(key, disk);
      this.#diskReads.set(key, read);
    }
    return read;
  }

  async #readDisk(key: string, disk: Disk): Promise<Buffer | undefined> {
    try {
      const bytes = await disk.read(key);
      if (bytes !== undefined) this.#memory.set(key, bytes);
      return bytes;
    } finally {
      this.#diskReads.delete(key);
    }
  }

  /** Of all who have waited for a chunk, the first keeps it. */
  #arrived(key: string, bytes: Buffer): Buffer {
    if (!this.#memory.has(key)) {
      this.#garbage.arrived(bytes.length);
      this.#memory.set(key, bytes);
      const { disk } = this.#options;
      if (disk !== undefined) this.#keep(disk, key, bytes);
    }
    return bytes;
  }

  #keep(disk: Disk, key: string, bytes: Buffer): void {
    const most = Math.min(MOST_WRITING_BYTES, SHARE_WRITING * this.#options.memory);
    if (this.#writing + bytes.length > Math.max(LEAST_WRITING_BYTES, most)) return;
    this.#writing += bytes.length;
    void disk.write(key, bytes).finally(() => {
      this.#writing -= bytes.length;
    });
  }
}
