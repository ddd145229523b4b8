/**
 * A mirror as a directory, with the paths of the canister's own URLs, which any web server, rsync or a USB stick can carry. Files
 * are written atomically, and the proof of the release last: a reader in the meantime, or after a power cut, sees the previous
 * release.
 */
import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from "node:fs";
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

/**
 * Readable by others, since web servers and copying programs run as other users. A umask can restrict this: a release may be
 * private.
 */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** The file that represents the writer's lock. */
const LOCK = "lock";
/** Milliseconds. A run may take hours, and the next one of a timer need not wait for it. */
const PATIENCE_MS = 1000;
const KNOWN = new Set([CHUNKS, HEADERS, RELEASE, CHANNEL, LOCK]);
/** The names of replaceFile() for unfinished files. */
const UNFINISHED = /\.[0-9a-f]{16}\.new$/;
/** Names that file systems and desktops create by themselves in any directory, or at the top of a disk. */
const NOBODYS =
  /^(lost\+found|\.DS_Store|\._.*|\.Spotlight-V100|\.Trashes|\.Trash-\d+|\.fseventsd|\.TemporaryItems|Thumbs\.db|desktop\.ini|System Volume Information|\$RECYCLE\.BIN)$/i;
const A_CHUNK = /^[0-9a-f]{64}$/;
const A_PAGE = /^\d+$/;

export class MirrorDirectory implements Pieces {
  readonly #directory: string;
  readonly #check: boolean;
  readonly #proofPath: string;
  readonly #damaged = new Set<string>();

  /** Removes the directories that open() created, if nothing has been written in them yet: when the process is about to end. */
  readonly removeIfEmpty: () => void;

  private constructor(directory: string, check: boolean, proofPath: string, removeIfEmpty: () => void) {
    this.#directory = directory;
    this.#check = check;
    this.#proofPath = proofPath;
    this.removeIfEmpty = removeIfEmpty;
  }

  /**
   * Creates the directory if necessary, and works in it while no other process writes there.
   *
   * @param check whether existing chunks are verified again, rather than trusted by their size
   * @param proofPath the path of the proof of its release: the newest one, or that of a channel
   * @throws UserError when it is something else, cannot be written, or another process is at work there
   */
  static async open<T>(
    directory: string,
    work: (opened: MirrorDirectory) => Promise<T>,
    check = false,
    proofPath = releasePath,
  ): Promise<T> {
    const inside = join(directory, MIRROR_DIRECTORY);
    const directories = [join(inside, CHUNKS), join(inside, HEADERS), dirname(join(directory, proofPath))];
    const isNew = !existsSync(inside);
    const above = missingAbove(inside);
    try {
      mustBeMirror(directory, proofPath);
      for (const one of directories) makeDirectory(one, DIRECTORY_MODE);
      await makeLock(join(inside, LOCK));
      const lock = await takeLock(join(inside, LOCK), PATIENCE_MS);
      if (lock === undefined) {
        throw new UserError(
          `another process is at work in ${directory}: wait until it has ended. Where there is none, the file system has no locks: choose a directory on another`,
        );
      }
      const removeIfEmpty = () => {
        if (isNew) removeEmpty(inside, directories, above);
      };
      try {
        const opened = new MirrorDirectory(directory, check, proofPath, removeIfEmpty);
        await opened.#removeUnfinished();
        return await work(opened);
      } catch (error) {
        removeIfEmpty();
        throw error;
      } finally {
        lock.close();
      }
    } catch (error) {
      // Errors of the network are not system errors of the directory.
      if (!(error instanceof Error && "syscall" in error)) throw error;
      throw new UserError(
        `cannot write the mirror ${directory}: ${messageOf(error)}; once that is fixed, run it again: what has arrived stays`,
        { cause: error },
      );
    }
  }

  /** The path of the proof of its release. */
  get proofPath(): string {
    return this.#proofPath;
  }

  #path(path: string): string {
    return join(this.#directory, path);
  }

  /** Replaces a file, or a directory in its place: nothing else creates directories in here. */
  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    try {
      await replaceFile(path, bytes, FILE_MODE);
    } catch (error) {
      if (!isDirectory(path)) throw error;
      await rm(path, { recursive: true });
      await replaceFile(path, bytes, FILE_MODE);
    }
  }

  /** The proof of the mirror's release, not verified; undefined: none yet. */
  async proof(): Promise<Buffer | undefined> {
    const path = this.#path(this.#proofPath);
    if (isDirectory(path)) return undefined;
    try {
      return (await readKept(path, MAX_PROOF_BYTES)).bytes;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /**
   * Whether the mirror has a chunk. Chunks are verified before they are written, and are on disk before they get their names, so
   * one of the right size is trusted unless a check was requested. A link does not count: its target may be anywhere, and is lost
   * when the mirror is copied.
   *
   * @param size in bytes
   */
  async has(hash: string, size: number): Promise<boolean> {
    const found = await lstat(this.#path(chunkPath(hash))).catch(() => undefined);
    if (found === undefined) return false;
    const isBelievable = found.isFile() && found.size === size;
    if (!isBelievable) this.#damaged.add(hash);
    return isBelievable && (!this.#check || (await this.read(hash)) !== undefined);
  }

  /** How many chunks were found damaged. */
  get damaged(): number {
    return this.#damaged.size;
  }

  /** A chunk, verified again; undefined when it is missing or damaged. */
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

  /** @param bytes verified. @throws Error with the system's code: an incomplete mirror is useless */
  async write(hash: string, bytes: Uint8Array): Promise<void> {
    await this.#replace(this.#path(chunkPath(hash)), bytes);
  }

  /** A page of headers, newest first, not verified; undefined: it is missing or damaged. @param from the first header's number */
  async readHeaders(from: number): Promise<Uint8Array[] | undefined> {
    try {
      return decodeHeaders((await readKept(this.#path(headersPath(from)), MAX_HEADERS_BYTES)).bytes);
    } catch {
      return undefined;
    }
  }

  /** The numbers of the first headers of its pages. */
  async pages(): Promise<number[]> {
    const names = await readdir(this.#path(join(MIRROR_DIRECTORY, HEADERS)));
    return names.filter((name) => A_PAGE.test(name)).map(Number);
  }

  /** Writes a page of headers, newest first. @param from the first header's number */
  async writeHeaders(from: number, headers: readonly Uint8Array[]): Promise<void> {
    await this.#replace(this.#path(headersPath(from)), encodeHeaders(headers));
  }

  /** Switches the mirror to the release that `proof` proves, whose chunks and headers have been written. */
  async publish(proof: Uint8Array): Promise<void> {
    for (const name of [CHUNKS, HEADERS]) await syncDirectory(this.#path(join(MIRROR_DIRECTORY, name)));
    await this.#replace(this.#path(this.#proofPath), proof);
    await syncDirectory(dirname(this.#path(this.#proofPath)));
    await syncDirectory(this.#path(MIRROR_DIRECTORY));
    await syncDirectory(this.#directory);
    // The parent may belong to another user and be unreadable.
    await syncDirectory(dirname(this.#directory)).catch(() => {});
  }

  /** Removes all other chunks, and returns how many. @param needed their hashes */
  pruneChunks(needed: ReadonlySet<string>): Promise<number> {
    return this.#remove(CHUNKS, (name) => A_CHUNK.test(name) && !needed.has(name));
  }

  /** Removes all other pages of headers. @param needed the numbers of their first headers */
  async prunePages(needed: ReadonlySet<number>): Promise<void> {
    await this.#remove(HEADERS, (name) => A_PAGE.test(name) && !needed.has(Number(name)));
  }

  /** Removes what killed processes left: no other process is writing now. */
  async #removeUnfinished(): Promise<void> {
    const forProof = relative(MIRROR_DIRECTORY, dirname(this.#proofPath)) || ".";
    for (const name of new Set([CHUNKS, HEADERS, forProof, "."]))
      await this.#remove(name, (file) => UNFINISHED.test(file));
  }

  async #remove(name: string, isMeant: (file: string) => boolean): Promise<number> {
    const directory = this.#path(join(MIRROR_DIRECTORY, name));
    const files = (await readdir(directory)).filter(isMeant);
    for (const file of files) await rm(join(directory, file), { force: true, recursive: true });
    return files.length;
  }
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** @throws UserError when the directory contains something else */
function mustBeMirror(directory: string, proofPath: string): void {
  const names = namesIn(directory);
  if (names === undefined || names.every((name) => NOBODYS.test(name))) return;
  for (const one of ["", CHUNKS, HEADERS, CHANNEL]) mustBeNoLink(join(directory, MIRROR_DIRECTORY, one));
  const inside = names.includes(MIRROR_DIRECTORY) ? namesIn(join(directory, MIRROR_DIRECTORY)) : undefined;
  // A mirror may also contain files of programs that serve or carry it. They stay.
  const strange = inside?.some((name) => KNOWN.has(name))
    ? undefined
    : inside?.find((name) => !NOBODYS.test(name) && !UNFINISHED.test(name));
  if (inside !== undefined && strange === undefined) {
    mustBeOf(proofPath, directory, inside);
    return;
  }
  const why =
    strange === undefined
      ? `it has files, and no ${MIRROR_DIRECTORY}`
      : `its ${MIRROR_DIRECTORY} has ${strange}`;
  throw new UserError(
    `${directory} is not a mirror (${why}): name an empty directory, or one that is not there yet`,
  );
}

/** A mirror has one release, whose chunks --prune keeps. @throws UserError when it has the proof of another one */
function mustBeOf(proofPath: string, directory: string, inside: readonly string[]): void {
  const names = namesIn(join(directory, MIRROR_DIRECTORY, CHANNEL)) ?? [];
  const channels = names.filter((name) => !NOBODYS.test(name)).map(channelPath);
  const proofs = [...(inside.includes(RELEASE) ? [releasePath] : []), ...channels];
  const other = proofs.find((path) => path !== proofPath && !UNFINISHED.test(path));
  if (other === undefined) return;
  throw new UserError(
    `${directory} is a mirror of something else (it has ${other}): each channel, and the newest release, has a directory of its own`,
  );
}

/** A link could lead into another mirror, which --prune would empty. @throws UserError */
function mustBeNoLink(path: string): void {
  // With a trailing slash, lstat would follow the link.
  if (isLink(path.replace(/\/$/, ""))) throw new UserError(`${path} is a symbolic link: remove it`);
}

/** The directories above `path` that do not exist, the nearest first. */
function missingAbove(path: string): string[] {
  const above = dirname(path);
  return existsSync(above) ? [] : [above, ...missingAbove(above)];
}

/** Removes the directories that open() created, if they are still empty. @param above the created parents, the nearest first */
function removeEmpty(inside: string, directories: readonly string[], above: readonly string[]): void {
  try {
    for (const one of directories) if (one !== inside) rmdirSync(one);
    rmSync(join(inside, LOCK));
    for (const one of [inside, ...above]) rmdirSync(one);
  } catch {
    // It is not empty, and stays.
  }
}

/** @returns undefined when the directory does not exist */
function namesIn(directory: string): string[] | undefined {
  return existsSync(directory) ? readdirSync(directory) : undefined;
}

/** Creates the lock file, readable by all: rsync fails if it cannot read every file. */
async function makeLock(path: string): Promise<void> {
  try {
    // Only a new file: closing an existing one would release this process's lock.
    await (await open(path, "wx", FILE_MODE)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
