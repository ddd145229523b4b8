/**
 * How much room the chunks on disk take, and how to make more: the least recently used ones go first, except those that mounts have pinned.
 *
 * Sizes are what the file system uses: whole blocks, even for a chunk of a few bytes, and the blocks of the chunks' directories.
 * This holds for reports and for reservations.
 *
 * A mount does not wait for a count when it begins: counting starts when the first chunk is written, or when somebody asks. Then each
 * process adds what it has written itself, and counts again now and then, and whenever the cache seems to be full.
 */
import { type Stats, statfsSync } from "node:fs";
import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import pLimit from "p-limit";
import { isLink, namesInside } from "../directories.ts";
import { isAbandoned } from "../replace-file.ts";
import type { Pins } from "./pins.ts";

export interface StoredChunk {
  readonly key: string;
  readonly path: string;
  /** Bytes of its content. */
  readonly size: number;
  /** Bytes that the file system takes for it. */
  readonly taken: number;
  /** When it was last used, in milliseconds since 1970; 0 for an impossible time. */
  readonly used: number;
}

/** The content of a cache directory. */
export interface Stored {
  readonly chunks: readonly StoredChunk[];
  /** Bytes that the file system takes for all of them, and for the directories that they lie in. */
  readonly taken: number;
}

/** Making room makes a little more than needed: counting 4,000 files takes about ten milliseconds, too much for every chunk. */
const FILL = 0.95;
/**
 * Other processes write as well, so a process counts again once it has written this much itself: a share of the capacity, and at most so
 * many bytes.
 */
const COUNT_EVERY_SHARE = 1 / 4;
const COUNT_EVERY_BYTES = 256 * 1024 * 1024;
/** Directories that chunks are spread over, by how their names begin. */
const DIRECTORIES = 256;
/** The unit of stat(2)'s block count, independent of the file system's blocks. */
const STAT_BLOCK_BYTES = 512;
/** The smallest allocation of most file systems. */
const USUAL_BLOCK_BYTES = 4096;
/** A file system that reports larger blocks (ZFS, NFS) means the best size for reads. */
const LARGEST_BLOCK_BYTES = 65_536;
/**
 * Milliseconds by which a time of use may be ahead of this host's clock, for example on a file server whose clock is off. A time further
 * ahead comes from a wrong clock: such a chunk would outlast everything that is used from then on.
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
  /** The part of them that is reserved for current writes. */
  #pending = 0;
  /** Bytes that this process has written so far, and that it had written when it last counted. */
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

  /** Bytes that all chunks take, as far as this process knows; undefined: it is counting, and will know in a moment. */
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
    // Plus their directories, and the one that makeRoom() keeps free for the next chunk.
    const directories = Math.min(sizes.length, DIRECTORIES) + 2;
    return files + directories * this.#block <= this.#capacity;
  }

  /**
   * Makes room for a chunk of so many bytes, and keeps it free for that; undefined when there is none, since all that is here is
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

  /** Reserves so many bytes, unless that takes a new count. @returns whether they are reserved */
  #reserved(bytes: number): boolean {
    const countEvery = Math.min(COUNT_EVERY_BYTES, COUNT_EVERY_SHARE * this.#capacity);
    if (this.#used === undefined || this.#written - this.#writtenThen >= countEvery) return false;
    if (this.#used + bytes > this.#capacity) return false;
    this.#used += bytes;
    this.#pending += bytes;
    return true;
  }

  /** Counts, evicts chunks if that is necessary, and reserves so many bytes. @returns whether there is room for them */
  async #evict(bytes: number): Promise<boolean> {
    const chunks = await this.#count();
    if (this.#used! + bytes > this.#capacity) {
      const pinned = new Set<string>();
      for (const { keys } of await this.#pins.read()) for (const one of keys) pinned.add(one);
      for (const chunk of [...chunks].sort((a, b) => a.used - b.used)) {
        if (this.#used! + bytes <= FILL * this.#capacity) break;
        if (pinned.has(chunk.key)) continue;
        const isEmptied = await removeChunk(chunk);
        // #used is read only after the await, since other writes change it meanwhile.
        this.#used! -= chunk.taken + (isEmptied ? this.#block : 0);
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
    // The count may or may not include what was written meanwhile: better count it twice until the next count.
    this.#used = taken + this.#pending + this.#written - before;
    this.#writtenThen = before;
    return chunks;
  }

  /** Bytes that the file system takes for a file of so many bytes. */
  #taken(size: number): number {
    return Math.ceil(size / this.#block) * this.#block;
  }
}

/** Bytes that the file system takes for a file or directory. */
export function takenBy({ blocks }: Pick<Stats, "blocks">): number {
  return STAT_BLOCK_BYTES * blocks;
}

/** The block size of the file system that a directory is on, in bytes. */
function blockSizeOf(directory: string): number {
  try {
    const { bsize } = statfsSync(directory);
    return bsize > 0 && bsize <= LARGEST_BLOCK_BYTES ? bsize : USUAL_BLOCK_BYTES;
  } catch {
    return USUAL_BLOCK_BYTES;
  }
}

/** Removes a chunk, and its directory if that is empty then. @returns whether the directory is gone as well */
export async function removeChunk({ path }: StoredChunk): Promise<boolean> {
  // Another process may have removed it already. Anything with a chunk's name is removed.
  await rm(path, { recursive: true, force: true });
  return rmdir(dirname(path)).then(
    () => true,
    () => false,
  );
}

/**
 * The content of a cache directory. Files that killed processes have left half written are removed.
 *
 * @param tidy false: leaves such files
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

/** The chunks in one directory, and the bytes that the directory itself takes. */
async function listOf(
  directory: string,
  tidy: boolean,
): Promise<{ chunks: StoredChunk[]; directory: number }> {
  const chunks: StoredChunk[] = [];
  // The target of a link is not part of the cache, so it is neither counted nor removed.
  const names = isLink(dirname(directory)) ? [] : await namesInside(directory);
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
