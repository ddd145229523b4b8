/**
 * Verified chunks in memory, and the way to them: one fetch for all who ask for the same chunk, tried again until the
 * asker's deadline. What is in here has been verified; what fails verification never gets in.
 */
import { LRUCache } from "lru-cache";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { retrying } from "../retry.ts";
import type { ChunkReference } from "../tree/manifest.ts";

/** One attempt to get a chunk's verified bytes (lib/source). */
export type FetchChunk = (reference: ChunkReference) => Promise<Buffer>;

/** What the cache has done since it was made. Bytes and chunks are counted once they are verified. */
export interface CacheStatistics {
  /** Reads of a chunk answered from memory. */
  hits: number;
  /** Reads of a chunk that waited for the network, alone or with others. */
  misses: number;
  chunksVerified: number;
  bytesVerified: number;
  /** Attempts that failed: no answer, or bytes that did not verify. */
  failures: number;
}

export interface ChunkCacheOptions {
  /** Bytes of memory for chunks. */
  readonly memory: number;
  /** Milliseconds until a read gives up. */
  readonly readTimeout: number;
  readonly log: Log;
}

/** A flipped bit or a dropped connection is seldom there twice. */
const FIRST_PAUSE_MS = 50;
/** Longest pause between attempts, so that a network that comes back is noticed within a read's deadline. */
const LONGEST_PAUSE_MS = 1000;
/** Prefetching stops at so many fetches under way, so that a read does not queue behind guesses. */
const MAX_PREFETCHES = 16;

export class ChunkCache {
  readonly statistics: CacheStatistics = {
    hits: 0,
    misses: 0,
    chunksVerified: 0,
    bytesVerified: 0,
    failures: 0,
  };
  readonly #fetch: FetchChunk;
  readonly #options: ChunkCacheOptions;
  readonly #memory: LRUCache<string, Buffer>;
  readonly #underWay = new Map<string, Promise<Buffer>>();

  constructor(fetch: FetchChunk, options: ChunkCacheOptions) {
    this.#fetch = fetch;
    this.#options = options;
    this.#memory = new LRUCache({ maxSize: options.memory, sizeCalculation: (bytes) => bytes.length });
  }

  /** The chunk's verified bytes. @throws Error when they cannot be had within the read timeout, never later */
  async get(reference: ChunkReference): Promise<Buffer> {
    const key = keyOf(reference);
    const cached = this.#memory.get(key);
    if (cached !== undefined) {
      this.statistics.hits += 1;
      return cached;
    }
    this.statistics.misses += 1;
    const deadline = performance.now() + this.#options.readTimeout;
    for (;;) {
      try {
        return await before(deadline, this.#shared(key, reference));
      } catch (error) {
        // A fetch that began earlier, for somebody else, ends earlier: then this one still has time for its own.
        if (performance.now() >= deadline) throw error;
      }
    }
  }

  /** Fetches the chunk in the background, unless it is here or enough is under way. */
  prefetch(reference: ChunkReference): void {
    const key = keyOf(reference);
    if (this.#memory.has(key) || this.#underWay.has(key) || this.#underWay.size >= MAX_PREFETCHES) return;
    this.#shared(key, reference).catch(() => {
      // Already logged; whoever reads the chunk tries again and is told.
    });
  }

  #shared(key: string, reference: ChunkReference): Promise<Buffer> {
    let fetching = this.#underWay.get(key);
    if (fetching === undefined) {
      fetching = this.#fetchUntilDeadline(key, reference).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, fetching);
    }
    return fetching;
  }

  async #fetchUntilDeadline(key: string, reference: ChunkReference): Promise<Buffer> {
    const deadline = performance.now() + this.#options.readTimeout;
    const bytes = await retrying(() => this.#fetch(reference), {
      firstPause: FIRST_PAUSE_MS,
      longestPause: LONGEST_PAUSE_MS,
      again: (error, attempts, pause) => {
        this.statistics.failures += 1;
        if (attempts === 1) this.#options.log.warn(`chunk ${key.slice(0, 16)}: ${messageOf(error)}`);
        return performance.now() + pause < deadline;
      },
    });
    this.statistics.chunksVerified += 1;
    this.statistics.bytesVerified += bytes.length;
    this.#memory.set(key, bytes);
    return bytes;
  }
}

function keyOf({ sha256 }: ChunkReference): string {
  return Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength).toString("hex");
}

/** `work`, or an error once `deadline` (of performance.now()) has passed. */
async function before<T>(deadline: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error("no answer within the read timeout")),
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
