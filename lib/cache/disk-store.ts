/**
 * Verified chunks on disk, one file each, named by their SHA-256, for all mounts of a host. Every read is hashed again: a
 * disk may rot, and a power cut may leave half a file. Nothing here can fail a reader: if the disk is full, read-only or
 * broken, icfs works without it, and warns.
 *
 *     DIRECTORY/chunks/ab/ab12...   chunks
 *     DIRECTORY/proofs/NAME         small files: what proves a release (lib/source/kept.ts)
 *     DIRECTORY/proofs.lock         held while one of them is read and replaced
 *     DIRECTORY/pins/...            what live mounts need (pins.ts)
 *     DIRECTORY/fetching/...        what is being fetched, and by whom (fetch-claims.ts)
 *
 * Any number of processes can share a directory, even across containers, and none is in charge. A file appears under its name complete or
 * not at all, so a process can be killed at any moment. Each process counts what it writes, and counts the directory before it makes
 * room: together they can exceed the limit by what the others have written since (disk-space.ts).
 */
import { lstatSync } from "node:fs";
import { lutimes, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import pLimit from "p-limit";
import { makeInside } from "../directories.ts";
import { isAbsent, messageOf } from "../errors.ts";
import { readKept } from "../kept-file.ts";
import { withLock } from "../lock.ts";
import type { Log } from "../log.ts";
import { removeAbandoned, replaceFile, syncDirectory } from "../replace-file.ts";
import { hexOf, sha256 } from "../tree/hash.ts";
import { prepareCacheDirectory } from "./cache-directory.ts";
import { DiskSpace, takenBy } from "./disk-space.ts";
import { type FetchClaim, FetchClaims, type Patience } from "./fetch-claims.ts";
import { Pins } from "./pins.ts";

export interface DiskStatistics {
  /** Chunks read from disk, and their bytes. */
  reads: number;
  bytesRead: number;
  writes: number;
  bytesWritten: number;
  /** Files whose content did not match their names. */
  corrupt: number;
}

/** Chunks, and the other files here, are much smaller; a larger file is damaged. */
const MOST_FILE_BYTES = 32 * 1024 * 1024;
/** Errors that say that the host lacks something at the moment, and nothing about the chunk. */
const OF_THE_HOST: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);
/** A file's mtime says when it was last used. A read updates it only if it differs by more than this, past or future. */
const TOUCH_MS = 60_000;
/** Attempts to make a file in a directory that others remove as soon as it is empty. */
const MOST_ATTEMPTS = 5;
/**
 * Chunks that are written at a time. Each occupies a thread of Node's pool until the disk has it: a tenth of a second and more on a slow
 * disk. The other threads are for readers: each read of a chunk uses the pool several times, whether it is on disk or not (bin/icfs).
 */
const WRITES_AT_ONCE = 3;
/** Pause after a disk has refused a write, until the next attempt: somebody may have made room. */
const BROKEN_MS = 60_000;
/** Patience for the lock of small files, in milliseconds. A mount waits for it when it begins, but can do without it. */
const LOCK_PATIENCE_MS = 10_000;

/** Opens the store, private to this user. @throws UserError when it cannot be used at all */
export function openDiskStore(directory: string, capacity: number, log: Log): DiskStore {
  prepareCacheDirectory(directory);
  void removeAbandoned(join(directory, "proofs"));
  void new FetchClaims(directory).tidy();
  return new DiskStore(directory, capacity, log);
}

export class DiskStore {
  readonly statistics: DiskStatistics = { reads: 0, bytesRead: 0, writes: 0, bytesWritten: 0, corrupt: 0 };
  readonly directory: string;
  /** Bytes that chunks may take, as the file system counts them (disk-space.ts). */
  readonly capacity: number;
  readonly #log: Log;
  readonly #pins: Pins;
  readonly #claims: FetchClaims;
  readonly #space: DiskSpace;
  readonly #writes = pLimit(WRITES_AT_ONCE);
  /** Until when (of performance.now()) nothing is written. */
  #brokenUntil = 0;
  #problem: string | undefined;
  /** Until when (of performance.now()) the lock of small files is not waited for: a process that hangs, or is stopped, holds it. */
  #lockedUntil = 0;

  constructor(directory: string, capacity: number, log: Log) {
    this.directory = directory;
    this.capacity = capacity;
    this.#log = log;
    this.#pins = new Pins(directory);
    this.#claims = new FetchClaims(directory);
    this.#space = new DiskSpace(directory, capacity, this.#pins);
  }

  /** Why nothing can be written at the moment, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Bytes that chunks take, as far as this process knows; undefined: it is counting them, and will know in a moment. */
  get used(): number | undefined {
    return this.#space.used;
  }

  /** Whether chunks of those sizes, in bytes, can be kept together. */
  fits(sizes: readonly number[]): boolean {
    return this.#space.fits(sizes);
  }

  /** A chunk's bytes, which have its hash; undefined when they are not here. Never throws. */
  async read(key: string): Promise<Buffer | undefined> {
    const path = this.#pathOf(key);
    let bytes: Buffer;
    try {
      const kept = await readKept(path, MOST_FILE_BYTES);
      bytes = kept.bytes;
      if (Math.abs(Date.now() - kept.status.mtimeMs) > TOUCH_MS) touch(path);
    } catch (error) {
      if (isAbsent(error) || OF_THE_HOST.has((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      return this.#damaged(key, messageOf(error));
    }
    if (hexOf(await sha256(bytes)) !== key) {
      return this.#damaged(key, "its bytes are not those of its name");
    }
    this.statistics.reads += 1;
    this.statistics.bytesRead += bytes.length;
    return bytes;
  }

  /** Whether a chunk, of that size if it is known, is here. (Its bytes are only checked when they are read.) */
  async has(key: string, size?: number): Promise<boolean> {
    const status = await stat(this.#pathOf(key)).catch(() => undefined);
    return status?.isFile() === true && (size === undefined ? status.size > 0 : status.size === size);
  }

  /** Stores a chunk if possible. Never rejects. */
  async write(key: string, bytes: Buffer): Promise<void> {
    if (performance.now() < this.#brokenUntil) return;
    try {
      if (await this.has(key, bytes.length)) return;
      const written = await this.#space.makeRoom(bytes.length);
      if (written === undefined) {
        this.#problem = "all of it is needed by what is served from it";
        this.#broken("is too small for all that is served from it (--max-cache-size)");
        return;
      }
      let taken = 0;
      try {
        taken = await this.#writes(() => this.#replace(this.#pathOf(key), bytes));
      } finally {
        written(taken);
      }
      this.statistics.writes += 1;
      this.statistics.bytesWritten += bytes.length;
      this.#works();
    } catch (error) {
      this.#problem = messageOf(error);
      this.#broken(`cannot be written to: ${this.#problem}`);
    }
  }

  /**
   * Called before a chunk is fetched: waits while somebody else fetches it, unless nothing can be written and nobody would find it here.
   *
   * @returns its bytes, or what to release when they have been written; as FetchClaims.take()
   */
  async claim(key: string, patience: Patience): Promise<Buffer | FetchClaim | undefined> {
    if (performance.now() < this.#brokenUntil) return undefined;
    return this.#claims.take(key, () => this.read(key), patience);
  }

  /**
   * Pins these chunks, so that no process evicts them, in place of those pinned under the name before; whether that worked. Never rejects.
   */
  async pin(name: string, keys: Iterable<string>): Promise<boolean> {
    try {
      await this.#pins.pin(name, keys);
      return true;
    } catch (error) {
      this.#log.warn(`disk cache: cannot pin chunks that are needed: ${messageOf(error)}`);
      return false;
    }
  }

  async unpin(name: string): Promise<void> {
    await this.#pins.unpin(name).catch(() => {});
  }

  /** A small file that was kept; undefined when there is none. Never throws. */
  async readBlob(name: string): Promise<Buffer | undefined> {
    try {
      return (await readKept(join(this.directory, "proofs", name), MOST_FILE_BYTES)).bytes;
    } catch {
      return undefined;
    }
  }

  /**
   * Stores a small file in place of an existing one. Never rejects.
   *
   * @param replaces decides, under the lock, whether the existing one is replaced
   * @returns whether the new file is on disk, or the existing one was not to be replaced
   */
  async writeBlob(
    name: string,
    bytes: Uint8Array,
    replaces: (before: Buffer) => Promise<boolean> = async () => true,
  ): Promise<boolean> {
    if (bytes.length > MOST_FILE_BYTES) {
      this.#log.warn(`disk cache: ${name} is not kept: it has ${bytes.length} bytes`);
      return false;
    }
    const directory = join(this.directory, "proofs");
    const began = performance.now();
    let isLocked = false;
    try {
      makeInside(directory);
      const work = async () => {
        isLocked = true;
        const before = await this.readBlob(name);
        if (before !== undefined && !(await replaces(before))) return;
        const path = join(directory, name);
        // A file cannot replace a directory.
        if (before === undefined && lstatSync(path, { throwIfNoEntry: false })?.isDirectory())
          await rm(path, { recursive: true });
        await replaceFile(path, bytes);
        await syncDirectory(directory);
      };
      await withLock(`${directory}.lock`, work, began < this.#lockedUntil ? 0 : LOCK_PATIENCE_MS);
      return true;
    } catch (error) {
      const now = performance.now();
      if (!isLocked && now - began >= LOCK_PATIENCE_MS) this.#lockedUntil = now + BROKEN_MS;
      this.#log.warn(`disk cache: cannot keep ${name}: ${messageOf(error)}`);
      return false;
    }
  }

  /** Gives up what this process has pinned. */
  async close(): Promise<void> {
    await this.#pins.close();
  }

  #pathOf(key: string): string {
    return join(this.directory, "chunks", key.slice(0, 2), key);
  }

  /**
   * Writes a file, and makes its directory if necessary: an empty one may be removed at any moment.
   *
   * @returns the bytes that the file system has taken for it, and for its directory where that had to be made
   */
  async #replace(path: string, bytes: Uint8Array): Promise<number> {
    let taken = 0;
    for (let attempt = 1; ; attempt++) {
      const directory = dirname(path);
      makeInside(dirname(directory));
      if (makeInside(directory)) taken += takenBy(await stat(directory));
      try {
        return taken + takenBy(await replaceFile(path, bytes));
      } catch (error) {
        if (!isAbsent(error) || attempt === MOST_ATTEMPTS) throw error;
      }
    }
  }

  async #damaged(key: string, why: string): Promise<undefined> {
    this.statistics.corrupt += 1;
    this.#log.warn(`disk cache: chunk ${key.slice(0, 16)} is fetched again: ${why}`);
    await rm(this.#pathOf(key), { recursive: true, force: true }).catch(() => {});
    return undefined;
  }

  #broken(what: string): void {
    this.#brokenUntil = performance.now() + BROKEN_MS;
    this.#log.warn(`disk cache: ${this.directory} ${what}; going on without it`);
  }

  #works(): void {
    if (this.#problem !== undefined) this.#log.info(`disk cache: ${this.directory} can be written to again`);
    this.#problem = undefined;
  }
}

function touch(path: string): void {
  const now = new Date();
  lutimes(path, now, now).catch(() => {});
}
