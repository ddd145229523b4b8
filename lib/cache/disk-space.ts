/**
 * How much the chunks on disk take, and room for more: what was used longest ago goes, but for what mounts have pinned.
 *
 * What counts is what the file system takes: whole blocks, also for a chunk of a few bytes, and those of the directories that
 * chunks lie in. So it is in all that tells of it, and in what is reserved.
 *
 * Nobody waits for a count when a mount begins: it is made when the first chunk is written, or when somebody wants to know. Then each
 * process goes by what it has written itself, and counts again now and then, and whenever it seems to be full.
 */
import { type Stats, statfsSync } from "node:fs";
import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import pLimit from "p-limit";
import { isLink } from "../directories.ts";
import { isAbandoned } from "../replace-file.ts";
import type { Pins } from "./pins.ts";

export interface StoredChunk {
  readonly key: string;
  readonly path: string;
  /** Bytes of its content. */
  readonly size: number;
  /** Bytes that the file system takes for it. */
  readonly taken: number;
  /** When it was last used, in milliseconds since 1970; 0: at a time that cannot be. */
  readonly used: number;
}

/** Of a cache directory. */
export interface Stored {
  readonly chunks: readonly StoredChunk[];
  /** Bytes that the file system takes for all of them, and for the directories that they lie in. */
  readonly taken: number;
}

/** Making room makes a little more: a count of 4,000 files takes some ten milliseconds, and is not for every chunk. */
const FILL = 0.95;
/** Others write as well: after so much of its own a process counts again. Of the capacity, and bytes at most. */
const COUNT_EVERY_SHARE = 1 / 4;
const COUNT_EVERY_BYTES = 256 * 1024 * 1024;
/** Directories that chunks are spread over, by how their names begin. */
const DIRECTORIES = 256;
/** What stat(2) counts blocks in, whatever the file system's are. */
const STAT_BLOCK_BYTES = 512;
/** What most file systems give out at least. */
const USUAL_BLOCK_BYTES = 4096;
/** What says that its blocks are larger (ZFS, NFS) means how much is best read at once. */
const LARGEST_BLOCK_BYTES = 65_536;
/**
 * Milliseconds that a time of use may be ahead of this host's clock, as a file server's is that is not set well. What is further ahead
 * was used while a clock was wrong: it would outlast all that is used from then on.
 */
const AHEAD_MS = 60 * 60 * 1000;
/** Enough to hide a disk's latency, and few enough to leave Node's threads to readers. */
const PARALLEL = 4;

export class DiskSpace {
  readonly #directory: string;
  readonly #capacity: number;
  readonly #pins: Pins;
  readonly #block: number;
  /** Bytes; undefined: not counted yet. */
  #used: number | undefined;
  /** Those of them that are for what is being written. */
  #pending = 0;
  /** Bytes that this process has written, and had when it counted last. */
  #written = 0;
  #writtenThen = 0;
  #isCounting = false;
  readonly #oneEviction = pLimit(1);

  constructor(directory: string, capacity: number, pins: Pins) {
    this.#directory = directory;
    this.#capacity = capacity;
    this.#pins = pins;
    this.#block = blockSizeOf(directory);
  }

  /** Bytes that all takes, as far as this process knows; undefined: it counts, and will know in a moment. */
  get used(): number | undefined {
    if (this.#used === undefined && !this.#isCounting) {
      this.#isCounting = true;
      void this.#oneEviction(async () => {
        if (this.#used === undefined) await this.#count();
      }).finally(() => {
        this.#isCounting = false;
      });
    }
    return this.#used;
  }

  /** Whether chunks of those sizes (bytes of their contents) can be kept together. */
  fits(sizes: readonly number[]): boolean {
    const files = sizes.reduce((sum, size) => sum + this.#taken(size), 0);
    // And the directory of those, and the one that makeRoom() keeps free for the next.
    const directories = Math.min(sizes.length, DIRECTORIES) + 2;
    return files + directories * this.#block <= this.#capacity;
  }

  /**
   * Makes room for a chunk of so many bytes, and keeps it free for that; undefined when there is none to be had: all that is here is
   * pinned. What it returns is called once, with what the file system has taken, or 0 when nothing was written.
   */
  async makeRoom(size: number): Promise<((taken: number) => void) | undefined> {
    // Its directory may have to be made.
    const bytes = this.#taken(size) + this.#block;
    if (!this.#reserved(bytes)) {
      const isMade = await this.#oneEviction(async () => this.#reserved(bytes) || this.#evict(bytes));
      if (!isMade) return undefined;
    }
    return (taken) => {
      this.#pending -= bytes;
      this.#used! += taken - bytes;
      this.#written += taken;
    };
  }

  /** Takes so many bytes where there is no need to look at the directory for that; whether it has. */
  #reserved(bytes: number): boolean {
    const countEvery = Math.min(COUNT_EVERY_BYTES, COUNT_EVERY_SHARE * this.#capacity);
    if (this.#used === undefined || this.#written - this.#writtenThen >= countEvery) return false;
    if (this.#used + bytes > this.#capacity) return false;
    this.#used += bytes;
    this.#pending += bytes;
    return true;
  }

  async #evict(bytes: number): Promise<boolean> {
    const chunks = await this.#count();
    if (this.#used! + bytes > this.#capacity) {
      const pinned = new Set<string>();
      for (const { keys } of await this.#pins.read()) for (const one of keys) pinned.add(one);
      for (const chunk of [...chunks].sort((a, b) => a.used - b.used)) {
        if (this.#used! + bytes <= FILL * this.#capacity) break;
        if (pinned.has(chunk.key)) continue;
        this.#used! -= chunk.taken + ((await removeChunk(chunk)) ? this.#block : 0);
      }
    }
    if (this.#used! + bytes > this.#capacity) return false;
    this.#used! += bytes;
    this.#pending += bytes;
    return true;
  }

  async #count(): Promise<readonly StoredChunk[]> {
    const before = this.#written;
    const { chunks, taken } = await stored(this.#directory);
    // What was written meanwhile may have been seen or not: better to count it twice, until the next time.
    this.#used = taken + this.#pending + this.#written - before;
    this.#writtenThen = before;
    return chunks;
  }

  /** For a file of so many bytes. */
  #taken(size: number): number {
    return Math.ceil(size / this.#block) * this.#block;
  }
}

/** Bytes that the file system takes for a file or directory. */
export function takenBy({ blocks }: Pick<Stats, "blocks">): number {
  return STAT_BLOCK_BYTES * blocks;
}

/** Of the file system that a directory is on, in bytes. */
function blockSizeOf(directory: string): number {
  try {
    const { bsize } = statfsSync(directory);
    return bsize > 0 && bsize <= LARGEST_BLOCK_BYTES ? bsize : USUAL_BLOCK_BYTES;
  } catch {
    return USUAL_BLOCK_BYTES;
  }
}

/** Takes a chunk away, and its directory when nothing else is in it. @returns whether the directory is gone as well */
export async function removeChunk({ path }: StoredChunk): Promise<boolean> {
  // Another process may have been quicker: gone is gone. Whatever has a chunk's name goes.
  await rm(path, { recursive: true, force: true });
  return rmdir(dirname(path)).then(
    () => true,
    () => false,
  );
}

/**
 * What is in a cache directory. What killed processes have left half written is taken away.
 *
 * @param tidy false: only looks, and leaves that
 */
export async function stored(directory: string, tidy = true): Promise<Stored> {
  const chunks = join(directory, "chunks");
  const limit = pLimit(PARALLEL);
  const prefixes = await readdir(chunks).catch(() => []);
  const lists = await Promise.all(prefixes.map((prefix) => limit(() => listOf(join(chunks, prefix), tidy))));
  const all = lists.flatMap((list) => list.chunks);
  const directories = [await takenAt(chunks), ...lists.map((list) => list.directory)];
  const taken = [...directories, ...all.map((chunk) => chunk.taken)].reduce((sum, bytes) => sum + bytes, 0);
  return { chunks: all, taken };
}

/** @returns with what the directory itself takes, in bytes */
async function listOf(
  directory: string,
  tidy: boolean,
): Promise<{ chunks: StoredChunk[]; directory: number }> {
  const chunks: StoredChunk[] = [];
  // What a link leads to is not ours to count, and to clear away.
  const names =
    isLink(directory) || isLink(dirname(directory)) ? [] : await readdir(directory).catch(() => []);
  for (const name of names) {
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) continue;
    if (/^[0-9a-f]{64}$/.test(name)) {
      chunks.push({ key: name, path, size: status.size, taken: takenBy(status), used: timeOfUse(status) });
    } else if (tidy && isAbandoned(name, status.mtimeMs)) {
      await rm(path, { force: true }).catch(() => {});
    }
  }
  return { chunks, directory: await takenAt(directory) };
}

function timeOfUse({ mtimeMs }: Stats): number {
  return mtimeMs > Date.now() + AHEAD_MS ? 0 : mtimeMs;
}

async function takenAt(path: string): Promise<number> {
  const status = await stat(path).catch(() => undefined);
  return status === undefined ? 0 : takenBy(status);
}
