/**
 * A mirror as a directory, with the paths of the canister's own URLs: what any web server, rsync or a USB stick carries. Each file is
 * whole or not there, and what proves the release is written when all else is there: who reads meanwhile, or after a power cut, sees the
 * release before.
 */
import { existsSync, readdirSync } from "node:fs";
import { lstat, open, readdir, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isLink, makeDirectory } from "../directories.ts";
import { isAbsent, messageOf, UserError } from "../errors.ts";
import { readKept } from "../kept-file.ts";
import { takeLock } from "../lock.ts";
import { replaceFile, syncDirectory } from "../replace-file.ts";
import { decodeHeaders, encodeHeaders } from "../source/icfs/header-list.ts";
import {
  CHANNEL,
  CHUNKS,
  channelPath,
  chunkPath,
  HEADERS,
  headersPath,
  MIRROR_DIRECTORY,
  RELEASE,
  releasePath,
} from "../source/icfs/mirror-paths.ts";
import { MAX_HEADERS_BYTES } from "../source/icfs/mirrored-reader.ts";
import { MAX_PROOF_BYTES } from "../source/icfs/query-reader.ts";
import type { Pieces } from "../source/source.ts";
import { hexOf, sha256 } from "../tree/hash.ts";
import { MAX_CHUNK_BYTES } from "../tree/limits.ts";

/** Web servers run as somebody else, and so may who copies it. What a umask takes away stays away: a release may be private. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Stands for the lock of who writes. */
const LOCK = "lock";
/** Milliseconds. A run may take hours: a timer's next one need not wait for it. */
const PATIENCE_MS = 1000;
const KNOWN = new Set([CHUNKS, HEADERS, RELEASE, CHANNEL, LOCK]);
/** What replaceFile() calls a file until it is whole. */
const UNFINISHED = /\.new$/;
/** What an empty ext4 has. */
const OF_FILE_SYSTEM = "lost+found";
const A_CHUNK = /^[0-9a-f]{64}$/;
const A_PAGE = /^\d+$/;

export class MirrorDirectory implements Pieces {
  readonly #directory: string;
  readonly #check: boolean;
  readonly #proofPath: string;
  readonly #damaged = new Set<string>();

  private constructor(directory: string, check: boolean, proofPath: string) {
    this.#directory = directory;
    this.#check = check;
    this.#proofPath = proofPath;
  }

  /**
   * Makes the directory if need be, and works in it while nobody else writes there.
   * @param check whether what is there is verified again, or believed by its size
   * @param proofPath where it has what proves its release: that of the newest, or that of a channel
   * @throws UserError when it is something else, cannot be written, or another process is at work there
   */
  static async open<T>(
    directory: string,
    work: (opened: MirrorDirectory) => Promise<T>,
    check = false,
    proofPath = releasePath,
  ): Promise<T> {
    const inside = join(directory, MIRROR_DIRECTORY);
    try {
      mustBeMirror(directory, proofPath);
      const forProof = dirname(join(directory, proofPath));
      for (const one of [inside, join(inside, CHUNKS), join(inside, HEADERS), forProof]) {
        makeDirectory(one, DIRECTORY_MODE);
      }
      await makeLock(join(inside, LOCK));
      const lock = await takeLock(join(inside, LOCK), PATIENCE_MS);
      if (lock === undefined) {
        throw new UserError(
          `another process is at work in ${directory}: wait until it has ended. Where there is none, the file system has no locks: choose a directory on another`,
        );
      }
      try {
        const opened = new MirrorDirectory(directory, check, proofPath);
        await opened.#removeUnfinished();
        return await work(opened);
      } finally {
        lock.close();
      }
    } catch (error) {
      // Those of the network are none of the system's.
      if (!(error instanceof Error && "syscall" in error)) throw error;
      throw new UserError(
        `cannot write the mirror ${directory}: ${messageOf(error)}; once that is mended, run it again: what has arrived stays`,
        { cause: error },
      );
    }
  }

  #path(path: string): string {
    return join(this.#directory, path);
  }

  /** The proof of the release that it has; undefined: none yet. Not verified. */
  async proof(): Promise<Buffer | undefined> {
    try {
      return (await readKept(this.#path(this.#proofPath), MAX_PROOF_BYTES)).bytes;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /**
   * Whether it has a chunk. It was verified when it was written, and was on the disk before it had its name: unless it is to be checked
   * again, one of that size is believed. A link's target may be anywhere, and is not carried by whoever copies the mirror.
   * @param size in bytes
   */
  async has(hash: string, size: number): Promise<boolean> {
    const found = await lstat(this.#path(chunkPath(hash))).catch(() => undefined);
    if (found === undefined) return false;
    const isBelievable = found.isFile() && found.size === size;
    if (!isBelievable) this.#damaged.add(hash);
    return isBelievable && (!this.#check || (await this.read(hash)) !== undefined);
  }

  /** How many chunks were there, and were not what they should be. */
  get damaged(): number {
    return this.#damaged.size;
  }

  /** A chunk, verified again; undefined when it is not there, or damaged. */
  async read(hash: string): Promise<Buffer | undefined> {
    try {
      const { bytes } = await readKept(this.#path(chunkPath(hash)), MAX_CHUNK_BYTES);
      if (hexOf(await sha256(bytes)) === hash) return bytes;
    } catch (error) {
      if (isAbsent(error)) return undefined;
    }
    this.#damaged.add(hash);
    return undefined;
  }

  /** @param bytes verified. @throws Error with the system's code: a mirror that lacks something is none */
  async write(hash: string, bytes: Uint8Array): Promise<void> {
    await replaceFile(this.#path(chunkPath(hash)), bytes, FILE_MODE);
  }

  /** A page of headers, newest first, not verified; undefined: there is none, or it is damaged. @param from the first one's number */
  async readHeaders(from: number): Promise<Uint8Array[] | undefined> {
    try {
      return decodeHeaders((await readKept(this.#path(headersPath(from)), MAX_HEADERS_BYTES)).bytes);
    } catch {
      return undefined;
    }
  }

  /** The numbers with which its pages of headers begin. */
  async pages(): Promise<number[]> {
    const names = await readdir(this.#path(join(MIRROR_DIRECTORY, HEADERS)));
    return names.filter((name) => A_PAGE.test(name)).map(Number);
  }

  /** Writes a page of headers, newest first. @param from the first one's number */
  async writeHeaders(from: number, headers: readonly Uint8Array[]): Promise<void> {
    await replaceFile(this.#path(headersPath(from)), encodeHeaders(headers), FILE_MODE);
  }

  /** From now on the mirror has the release that `proof` proves, whose chunks and headers were written before. */
  async publish(proof: Uint8Array): Promise<void> {
    for (const name of [CHUNKS, HEADERS]) await syncDirectory(this.#path(join(MIRROR_DIRECTORY, name)));
    await replaceFile(this.#path(this.#proofPath), proof, FILE_MODE);
    await syncDirectory(dirname(this.#path(this.#proofPath)));
    await syncDirectory(this.#path(MIRROR_DIRECTORY));
    await syncDirectory(this.#directory);
    // Which another user's process may be unable to read.
    await syncDirectory(dirname(this.#directory)).catch(() => {});
  }

  /** Removes all other chunks; how many. @param needed their hashes */
  pruneChunks(needed: ReadonlySet<string>): Promise<number> {
    return this.#remove(CHUNKS, (name) => A_CHUNK.test(name) && !needed.has(name));
  }

  /** Removes all other pages of headers. @param needed the numbers with which they begin */
  async prunePages(needed: ReadonlySet<number>): Promise<void> {
    await this.#remove(HEADERS, (name) => A_PAGE.test(name) && !needed.has(Number(name)));
  }

  /** What those have left who were killed: nobody else writes now. */
  async #removeUnfinished(): Promise<void> {
    const forProof = relative(MIRROR_DIRECTORY, dirname(this.#proofPath)) || ".";
    for (const name of new Set([CHUNKS, HEADERS, forProof, "."]))
      await this.#remove(name, (file) => UNFINISHED.test(file));
  }

  async #remove(name: string, isMeant: (file: string) => boolean): Promise<number> {
    const directory = this.#path(join(MIRROR_DIRECTORY, name));
    const files = (await readdir(directory)).filter(isMeant);
    for (const file of files) await rm(join(directory, file), { force: true });
    return files.length;
  }
}

/** @throws UserError when there is something else */
function mustBeMirror(directory: string, proofPath: string): void {
  const names = namesIn(directory);
  if (names === undefined || names.every((name) => name === OF_FILE_SYSTEM)) return;
  for (const one of ["", CHUNKS, HEADERS, CHANNEL]) mustBeNoLink(join(directory, MIRROR_DIRECTORY, one));
  const inside = names.includes(MIRROR_DIRECTORY) ? namesIn(join(directory, MIRROR_DIRECTORY)) : undefined;
  const strange = inside?.find((name) => !KNOWN.has(name) && !UNFINISHED.test(name));
  if (inside !== undefined && strange === undefined) {
    mustBeOf(proofPath, directory, inside);
    return;
  }
  const why =
    strange === undefined
      ? `it has files, and no ${MIRROR_DIRECTORY}`
      : `its ${MIRROR_DIRECTORY} has ${strange}`;
  throw new UserError(
    `${directory} is no mirror (${why}): name an empty directory, or one that is not there yet`,
  );
}

/** A mirror has one release, whose chunks --prune leaves. @throws UserError when it has another one's proof */
function mustBeOf(proofPath: string, directory: string, inside: readonly string[]): void {
  const channels = (namesIn(join(directory, MIRROR_DIRECTORY, CHANNEL)) ?? []).map(channelPath);
  const proofs = [...(inside.includes(RELEASE) ? [releasePath] : []), ...channels];
  const other = proofs.find((path) => path !== proofPath && !UNFINISHED.test(path));
  if (other === undefined) return;
  throw new UserError(
    `${directory} is a mirror of something else (it has ${other}): each channel, and the newest release, has a directory of its own`,
  );
}

/** What a link leads to may be another mirror's, which --prune would empty. @throws UserError */
function mustBeNoLink(path: string): void {
  // With a slash at its end it would be what it leads to.
  if (isLink(path.replace(/\/$/, ""))) throw new UserError(`${path} is a symbolic link: remove it`);
}

/** @returns undefined when it is not there */
function namesIn(directory: string): string[] | undefined {
  return existsSync(directory) ? readdirSync(directory) : undefined;
}

/** That everybody may read: rsync fails for a user who may not read all that it is to copy. */
async function makeLock(path: string): Promise<void> {
  try {
    // Never one that is there: closing it would release this process's lock.
    await (await open(path, "wx", FILE_MODE)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
