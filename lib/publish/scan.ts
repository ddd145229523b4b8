/** What is in a directory that is to be published: every file, directory and symlink, or why not. */

import { isUtf8 } from "node:buffer";
import type { Stats } from "node:fs";
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import { MAX_ENTRIES } from "../tree/limits.ts";
import { comparePaths } from "../tree/manifest.ts";
import { directoryAt, Seen, type SeenFile, stateOf } from "./seen.ts";

interface ScannedBase {
  /** Relative to the directory, with `/`. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export interface ScannedFile extends ScannedBase, SeenFile {
  readonly kind: "file";
  /** Bytes, when it was looked at. */
  readonly size: number;
  readonly executable: boolean;
}

export type Scanned =
  | ScannedFile
  | (ScannedBase & { readonly kind: "directory" })
  | (ScannedBase & { readonly kind: "symlink"; readonly target: string });

/** So many problems are worth showing; whoever has more knows by then what is wrong. */
const MAX_PROBLEMS = 20;

/** Collects what is wrong with a tree, so that all of it is said at once. */
export class Problems {
  readonly #found = new Set<string>();

  /** What is said already is not said again. */
  add(problem: string): void {
    this.#found.add(oneLine(problem));
  }

  get found(): readonly string[] {
    return [...this.#found];
  }

  /** @throws UserError that lists them, when there are any */
  throwIfAny(directory: string): void {
    const { found } = this;
    if (found.length === 0) return;
    const more = found.length - MAX_PROBLEMS;
    throw new UserError(
      [
        `${directory} cannot be published; nothing was uploaded:`,
        ...found.slice(0, MAX_PROBLEMS).map((problem) => `  ${problem}`),
        ...(more > 0 ? [`  and ${more} more`] : []),
      ].join("\n"),
    );
  }
}

/** Bytes of all files together, when they were looked at. */
export function bytesOf(scanned: readonly Scanned[]): number {
  return scanned.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.size : 0), 0);
}

export interface Scan {
  /** Sorted by path. */
  readonly entries: readonly Scanned[];
  /** To be asked, once the files have been read, whether they are still what they were. */
  readonly seen: Seen;
}

/**
 * Lists `directory`. What cannot be published (devices, sockets, pipes, names that are no UTF-8, directories that cannot be
 * listed, what changes meanwhile) goes to `problems`.
 *
 * @throws UserError when `directory` is none, or has too many entries
 */
export async function scan(directory: string, problems: Problems): Promise<Scan> {
  const found: Scanned[] = [];
  const seen = new Seen();
  const visit = async (path: string, at: string): Promise<void> => {
    let listed: Awaited<ReturnType<typeof directoryAt>>;
    try {
      listed = await directoryAt(at);
    } catch (error) {
      if (path === "") throw new UserError(`cannot read ${directory}: ${messageOf(error)}`);
      problems.add(`${path}: ${messageOf(error)}`);
      return;
    }
    const { state, names } = listed;
    seen.addDirectory(path, { source: at, state }, names);
    for (const raw of names) {
      const name = raw.toString("utf8");
      const child = path === "" ? name : `${path}/${name}`;
      if (!isUtf8(raw)) {
        problems.add(`${child}: its name is not UTF-8`);
        continue;
      }
      const source = join(at, name);
      const entry = await look(source, child, problems, seen);
      if (entry === undefined) continue;
      found.push(entry);
      if (found.length > MAX_ENTRIES) {
        throw new UserError(`${directory} has more than ${MAX_ENTRIES} entries, the limit of a release`);
      }
      if (entry.kind === "directory") await visit(child, source);
    }
  };
  await mustBeDirectory(directory);
  // A symlink to the directory that is turned to another one meanwhile is the next publication's.
  await visit("", await realpath(directory));
  for (const change of await seen.settle()) problems.add(change);
  return { entries: found.sort((a, b) => comparePaths(a.path, b.path)), seen };
}

async function mustBeDirectory(directory: string): Promise<void> {
  let stats: Stats;
  try {
    stats = await stat(directory);
  } catch (error) {
    throw new UserError(`cannot read ${directory}: ${messageOf(error)}`);
  }
  if (!stats.isDirectory()) throw new UserError(`${directory} is not a directory`);
}

async function look(
  source: string,
  path: string,
  problems: Problems,
  seen: Seen,
): Promise<Scanned | undefined> {
  try {
    const stats = await lstat(source, { bigint: true });
    const state = stateOf(stats);
    const modified = clamp(stats.mtimeNs);
    if (stats.isDirectory()) return { kind: "directory", path, modified };
    if (stats.isSymbolicLink()) {
      const target = await readlink(source, { encoding: "buffer" });
      seen.add("symlink", path, { source, state });
      if (isUtf8(target)) return { kind: "symlink", path, modified, target: target.toString("utf8") };
      problems.add(`${path}: the symlink's target is not UTF-8`);
    } else if (stats.isFile()) {
      seen.add("file", path, { source, state });
      const executable = (stats.mode & 0o111n) !== 0n;
      return { kind: "file", path, modified, source, state, size: Number(stats.size), executable };
    } else {
      problems.add(
        `${path}: it is ${specialKind(stats)}, and only files, directories and symlinks can be published`,
      );
    }
  } catch (error) {
    problems.add(`${path}: ${messageOf(error)}`);
  }
  return undefined;
}

const MAX_NAT64 = 2n ** 64n - 1n;

/** What fits the format, 64 bits without a sign: from 1970 to 2554. */
function clamp(nanoseconds: bigint): bigint {
  if (nanoseconds < 0n) return 0n;
  return nanoseconds > MAX_NAT64 ? MAX_NAT64 : nanoseconds;
}

function specialKind(stats: {
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
  isFIFO(): boolean;
}): string {
  if (stats.isBlockDevice()) return "a block device";
  if (stats.isCharacterDevice()) return "a character device";
  return stats.isFIFO() ? "a named pipe" : "a socket";
}
