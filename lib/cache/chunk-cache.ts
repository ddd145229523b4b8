/**
 * Verified chunks in memory, and the way to them: one fetch for all who ask for the same chunk, tried again until the
 * asker's deadline. What is in here has been verified; what fails verification never gets in.
 */
import { LRUCache } from "lru-cache";
import { AdaptiveWindow } from "../adaptive-window.ts";
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
  /** Whether to give up on a chunk earlier than that, after an error that ended so many attempts. Default: never. */
  readonly giveUp?: (error: unknown, attempts: number) => boolean;
  readonly log: Log;
}

/** A flipped bit or a dropped connection is seldom there twice. */
const FIRST_PAUSE_MS = 50;
/** Longest pause between attempts, so that a network that comes back is noticed within a read's deadline. */
const LONGEST_PAUSE_MS = 1000;
/** Readahead: enough to fill a first round trip, and at 1 MiB/s still in time for the first reader. */
const FIRST_PREFETCHES = 4;
/** 16 MiB on their way: more than a link of 100 MiB/s holds in 100 ms, and few enough for a gateway's rate limit. */
const MOST_PREFETCHES = 16;

/**
 * When reading ahead has failed, the kernel asks at once for the page that it needs: without this, one read() would wait
 * for two deadlines. Whoever reads again later gets a new one.
 */
const KERNEL_RETRY_MS = 100;

/** A chunk on its way, for all who ask for it meanwhile. */
interface SharedFetch {
  readonly bytes: Promise<Buffer>;
  /** Until when (of performance.now()) it is tried again: the last asker's deadline. */
  readonly time: { deadline: number };
}

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
  readonly #underWay = new Map<string, SharedFetch>();
  /** Why chunks could not be had, a moment ago. */
  readonly #late = new LRUCache<string, Error>({ max: 1000, ttl: KERNEL_RETRY_MS });
  /** At 1, nothing is asked for ahead while a reader's own chunk is on its way. */
  readonly #window: AdaptiveWindow;

  constructor(fetch: FetchChunk, options: ChunkCacheOptions) {
    this.#fetch = fetch;
    this.#options = options;
    this.#memory = new LRUCache({ maxSize: options.memory, sizeCalculation: (bytes) => bytes.length });
    this.#window = new AdaptiveWindow({
      deadline: options.readTimeout,
      first: FIRST_PREFETCHES,
      most: MOST_PREFETCHES,
    });
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
    const late = this.#late.get(key);
    if (late !== undefined) throw late;
    const deadline = performance.now() + this.#options.readTimeout;
    try {
      return await before(deadline, this.#shared(key, reference, deadline));
    } catch (error) {
      this.#late.set(key, error as Error);
      throw error;
    }
  }

  /** Fetches the chunk in the background, unless it is here or enough is under way. */
  prefetch(reference: ChunkReference): void {
    const key = keyOf(reference);
    if (this.#memory.has(key) || this.#underWay.has(key) || !this.#window.hasRoom(this.#underWay.size))
      return;
    this.#shared(key, reference, performance.now() + this.#options.readTimeout).catch(() => {
      // Already logged; whoever reads the chunk tries again and is told.
    });
  }

  /** The fetch that is under way, which goes on until the last asker's deadline, or a new one. */
  #shared(key: string, reference: ChunkReference, deadline: number): Promise<Buffer> {
    let shared = this.#underWay.get(key);
    if (shared === undefined) {
      const time = { deadline };
      shared = { time, bytes: this.#fetchUntil(time, key, reference) };
      this.#underWay.set(key, shared);
    }
    shared.time.deadline = Math.max(shared.time.deadline, deadline);
    return shared.bytes;
  }

  async #fetchUntil(time: SharedFetch["time"], key: string, reference: ChunkReference): Promise<Buffer> {
    try {
      const bytes = await retrying(() => this.#attempt(reference), {
        firstPause: FIRST_PAUSE_MS,
        longestPause: LONGEST_PAUSE_MS,
        again: (error, attempts, pause) => {
          this.statistics.failures += 1;
          this.#window.failed();
          if (attempts === 1) this.#options.log.warn(`chunk ${key.slice(0, 16)}: ${messageOf(error)}`);
          if (this.#options.giveUp?.(error, attempts)) return false;
          return performance.now() + pause < time.deadline;
        },
      });
      this.statistics.chunksVerified += 1;
      this.statistics.bytesVerified += bytes.length;
      this.#memory.set(key, bytes);
      return bytes;
    } finally {
      this.#underWay.delete(key);
    }
  }

  async #attempt(reference: ChunkReference): Promise<Buffer> {
    const started = performance.now();
    const bytes = await this.#fetch(reference);
    this.#window.arrived(performance.now() - started);
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
