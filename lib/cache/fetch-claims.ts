/**
 * One fetch of a chunk for all processes that share a disk cache: one process claims it, and the others wait until it is on disk.
 *
 *     DIRECTORY/fetching/SHA256     a symlink to the name of the process that fetches it, created atomically
 *
 * Nobody depends on a claim. It does not count if its process has died, or has received nothing of the chunk for a while. If no claim can
 * be made (the disk is full or read-only, the file system has no symlinks), every process fetches for itself.
 */
import { lstat, lutimes, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeInside, namesInside } from "../directories.ts";
import { isAbsent } from "../errors.ts";
import { nameOfThisProcess, stateOfProcess } from "../process/living.ts";

/** Between two checks of another process's claim. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;
/** How often a claim is refreshed while more of the chunk arrives. Much shorter than any patience. */
const PROGRESS_MS = 200;
/** Attempts to make a claim in a directory that somebody removes. */
const MOST_ATTEMPTS = 3;
/** An older claim from another container has been left behind. */
const FORGOTTEN_MS = 24 * 60 * 60 * 1000;

/** The right to fetch a chunk, which others wait for. */
export interface FetchClaim {
  /** More of the chunk has arrived: others should go on waiting. */
  progress(): void;
  /** The chunk is on disk, or will not be. Never rejects. */
  release(): Promise<void>;
}

/** How long to wait for another process, in milliseconds. It may change meanwhile. */
export interface Patience {
  /** While nothing of the chunk arrives. */
  readonly silence: number;
  readonly whole: number;
}

export class FetchClaims {
  readonly #directory: string;
  readonly #own = nameOfThisProcess();
  #isThere = false;

  /** @param directory of the cache */
  constructor(directory: string) {
    this.#directory = join(directory, "fetching");
  }

  /**
   * Claims a chunk. Waits while another process, or another cache in this one, fetches it.
   *
   * @param key SHA-256 in hexadecimal
   * @param read the chunk, if it is on disk
   * @returns its bytes, if it has come to disk meanwhile; otherwise the caller fetches it, and then releases the claim if there is one.
   *   Never rejects
   */
  async take(
    key: string,
    read: () => Promise<Buffer | undefined>,
    patience: Patience,
  ): Promise<Buffer | FetchClaim | undefined> {
    const path = join(this.#directory, key);
    const began = performance.now();
    let heard = began;
    let claimed: number | undefined;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const made = await this.#make(path);
      if (made === "impossible") return undefined;
      if (made === "made") {
        const claim = claimAt(path);
        // Whoever had the claim may have put the chunk there after the caller looked on disk.
        const bytes = await read();
        if (bytes === undefined) return claim;
        await claim.release();
        return bytes;
      }
      const other = await lookAt(path);
      if (other === "none") continue;
      const now = performance.now();
      if (other !== claimed) heard = now;
      claimed = other;
      if (now - heard >= patience.silence || now - began >= patience.whole) return undefined;
      await sleep(pause * (0.5 + Math.random()));
    }
  }

  /** Removes the claims of processes that have ended, and those that are so old that theirs must have. Never rejects. */
  async tidy(): Promise<void> {
    for (const name of await namesInside(this.#directory)) {
      const path = join(this.#directory, name);
      const written = await lookAt(path);
      if (written !== "none" && Math.abs(Date.now() - written) > FORGOTTEN_MS)
        await rm(path, { force: true }).catch(() => {});
    }
  }

  async #make(path: string): Promise<"made" | "taken" | "impossible"> {
    try {
      for (let attempt = 1; ; attempt++) {
        if (!this.#isThere) makeInside(this.#directory);
        this.#isThere = true;
        try {
          await symlink(this.#own, path);
          return "made";
        } catch (error) {
          // Somebody has cleared the cache.
          if (!isAbsent(error) || attempt === MOST_ATTEMPTS) throw error;
          this.#isThere = false;
        }
      }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EEXIST" ? "taken" : "impossible";
    }
  }
}

function claimAt(path: string): FetchClaim {
  let told = performance.now();
  return {
    progress() {
      const now = performance.now();
      if (now - told < PROGRESS_MS) return;
      told = now;
      const time = new Date();
      lutimes(path, time, time).catch(() => {});
    },
    release: () => rm(path, { force: true }).catch(() => {}),
  };
}

/** When there was last news of a claim, in milliseconds since 1970, by whichever clock; "none": it was given up, or its process is dead. */
async function lookAt(path: string): Promise<number | "none"> {
  try {
    if (stateOfProcess(await readlink(path)) !== "gone") return (await lstat(path)).mtimeMs;
    await rm(path, { force: true });
    return "none";
  } catch (error) {
    // Only a symlink is a claim. Anything else with this name says nothing new.
    return isAbsent(error) ? "none" : 0;
  }
}
