/**
 * How much the chunks on disk take, and room for more: what was used longest ago goes, but for what mounts have pinned.
 *
 * Nobody waits for a count when a mount begins: it is made when the first chunk is written. Then each process goes by
 * what it has written itself, and counts again now and then, and whenever it seems to be full.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { isAbandoned } from "../replace-file.ts";
import type { Pins } from "./pins.ts";

export interface StoredChunk {
  readonly key: string;
  readonly path: string;
  readonly size: number;
  /** When it was last used, in milliseconds since 1970. */
  readonly used: number;
}

/** Making room makes a little more: a count of 4,000 files takes some ten milliseconds, and is not for every chunk. */
const FILL = 0.95;
/** Others write as well: after so much of its own a process counts again. */
const COUNT_EVERY_BYTES = 256 * 1024 * 1024;
/** Enough to hide a disk's latency, and few enough to leave Node's threads to readers. */
const PARALLEL = 4;

export class DiskSpace {
  readonly #directory: string;
  readonly #capacity: number;
  readonly #pins: Pins;
  /** Bytes; undefined: not counted yet. */
  #used: number | undefined;
  #sinceCount = 0;
  readonly #oneEviction = pLimit(1);

  constructor(directory: string, capacity: number, pins: Pins) {
    this.#directory = directory;
    this.#capacity = capacity;
    this.#pins = pins;
  }

  /** So many bytes were written. */
  add(bytes: number): void {
    this.#used = (this.#used ?? 0) + bytes;
    this.#sinceCount += bytes;
  }

  /** Makes room for so many bytes; false when there is none to be had: all that is here is pinned. */
  makeRoom(bytes: number): Promise<boolean> {
    const fits = () => (this.#used ?? Number.POSITIVE_INFINITY) + bytes <= this.#capacity;
    if (fits() && this.#sinceCount < COUNT_EVERY_BYTES) return Promise.resolve(true);
    return this.#oneEviction(async () => {
      if (fits() && this.#sinceCount < COUNT_EVERY_BYTES) return true;
      return this.#evict(bytes);
    });
  }

  async #evict(bytes: number): Promise<boolean> {
    const chunks = await storedChunks(this.#directory);
    let used = chunks.reduce((sum, { size }) => sum + size, 0);
    this.#sinceCount = 0;
    if (used + bytes > this.#capacity) {
      const pinned = new Set<string>();
      for (const { keys } of await this.#pins.read()) for (const one of keys) pinned.add(one);
      for (const chunk of chunks.sort((a, b) => a.used - b.used)) {
        if (used + bytes <= FILL * this.#capacity) break;
        if (pinned.has(chunk.key)) continue;
        // Another process may have been quicker: gone is gone. Whatever has a chunk's name goes.
        await rm(chunk.path, { recursive: true, force: true });
        used -= chunk.size;
      }
    }
    this.#used = used;
    return used + bytes <= this.#capacity;
  }
}

/**
 * What is in a cache directory. What killed processes have left half written is taken away.
 *
 * @param tidy false: only looks, and leaves that
 */
export async function storedChunks(directory: string, tidy = true): Promise<StoredChunk[]> {
  const chunks = join(directory, "chunks");
  const limit = pLimit(PARALLEL);
  const prefixes = await readdir(chunks).catch(() => []);
  const lists = await Promise.all(prefixes.map((prefix) => limit(() => listOf(join(chunks, prefix), tidy))));
  return lists.flat();
}

async function listOf(directory: string, tidy: boolean): Promise<StoredChunk[]> {
  const found: StoredChunk[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) continue;
    if (/^[0-9a-f]{64}$/.test(name)) {
      found.push({ key: name, path, size: status.size, used: status.mtimeMs });
    } else if (tidy && isAbandoned(name, status.mtimeMs)) {
      await rm(path, { force: true }).catch(() => {});
    }
  }
  return found;
}
