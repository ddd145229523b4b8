/**
 * One fetch of a chunk for all processes that share a disk cache: whoever fetches it says so, and the others wait until it is on disk.
 *
 *     DIRECTORY/fetching/SHA256     a symlink to the name of the process that fetches it: made at once, or not at all
 *
 * Nobody depends on a claim. It does not count when its process has died, or has heard nothing of the chunk for a while; where none can
 * be made (the disk is full or read-only, the file system has no symlinks), everybody fetches for himself.
 */
import { lstat, lutimes, readdir, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isLink, makeInside } from "../directories.ts";
import { isAbsent } from "../errors.ts";
import { nameOfThisProcess, stateOfProcess } from "../process/living.ts";

/** Between two looks at another's claim. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;
/** How often a claim says that more of the chunk has come. Much less than anybody's patience. */
const PROGRESS_MS = 200;
/** To make one in a directory that somebody takes away. */
const MOST_ATTEMPTS = 3;
/** A claim of another container that is older has been left behind. */
const FORGOTTEN_MS = 24 * 60 * 60 * 1000;

/** The right to fetch a chunk, which others wait for. */
export interface FetchClaim {
  /** More of the chunk has come: others are to go on waiting. */
  progress(): void;
  /** The chunk is on disk, or will not be. Never rejects. */
  release(): Promise<void>;
}

/** How long another process is waited for, in milliseconds. It may change meanwhile. */
export interface Patience {
  /** While nothing of the chunk comes. */
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
   * Waits while another process, or another in this one, fetches the chunk.
   *
   * @param key SHA-256 in hexadecimal
   * @param read the chunk, if it is on disk
   * @returns its bytes, which another has brought; else the caller is to fetch it, and to release the claim, if there is one. Never rejects
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
        // Whoever had it may have put it there since the caller has looked.
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

  /** Takes away the claims of processes that have ended. Never rejects. */
  async tidy(): Promise<void> {
    if (isLink(this.#directory)) return;
    for (const name of await readdir(this.#directory).catch(() => [])) {
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
    // What is no link is nobody's claim, and says nothing new either.
    return isAbsent(error) ? "none" : 0;
  }
}
