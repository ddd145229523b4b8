/** What is in a directory that is to be published: every file, directory and symlink, or why not. */

import { isUtf8 } from "node:buffer";
import type { Stats } from "node:fs";
import { lstat, readdir, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import { MAX_ENTRIES } from "../tree/limits.ts";
import { comparePaths } from "../tree/manifest.ts";

interface ScannedBase {
  /** Relative to the directory, with `/`. */
  readonly path: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

export interface ScannedFile extends ScannedBase {
  readonly kind: "file";
  /** Where to read it from. */
  readonly source: string;
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
  readonly found: string[] = [];

  add(problem: string): void {
    this.found.push(oneLine(problem));
  }

  /** @throws UserError that lists them, when there are any */
  throwIfAny(directory: string): void {
    if (this.found.length === 0) return;
    const more = this.found.length - MAX_PROBLEMS;
    throw new UserError(
      [
        `${directory} cannot be published; nothing was uploaded:`,
        ...this.found.slice(0, MAX_PROBLEMS).map((problem) => `  ${problem}`),
        ...(more > 0 ? [`  and ${more} more`] : []),
      ].join("\n"),
    );
  }
}

/** Bytes of all files together, when they were looked at. */
export function bytesOf(scanned: readonly Scanned[]): number {
  return scanned.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.size : 0), 0);
}

/**
 * Lists `directory`, sorted by path. What cannot be published (devices, sockets, pipes, names that are no UTF-8,
 * directories that cannot be listed) goes to `problems`.
 *
 * @throws UserError when `directory` is none, or has too many entries
 */
export async function scan(directory: string, problems: Problems): Promise<Scanned[]> {
  const found: Scanned[] = [];
  const visit = async (path: string): Promise<void> => {
    let names: Buffer[];
    try {
      names = await readdir(join(directory, path), { encoding: "buffer" });
    } catch (error) {
      if (path === "") throw new UserError(`cannot read ${directory}: ${messageOf(error)}`);
      problems.add(`${path}: ${messageOf(error)}`);
      return;
    }
    for (const raw of names) {
      const name = raw.toString("utf8");
      const child = path === "" ? name : `${path}/${name}`;
      if (!isUtf8(raw)) {
        problems.add(`${child}: its name is not UTF-8`);
        continue;
      }
      const entry = await look(join(directory, child), child, problems);
      if (entry === undefined) continue;
      found.push(entry);
      if (found.length > MAX_ENTRIES) {
        throw new UserError(`${directory} has more than ${MAX_ENTRIES} entries, the limit of a release`);
      }
      if (entry.kind === "directory") await visit(child);
    }
  };
  await mustBeDirectory(directory);
  await visit("");
  return found.sort((a, b) => comparePaths(a.path, b.path));
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

async function look(source: string, path: string, problems: Problems): Promise<Scanned | undefined> {
  try {
    const stats = await lstat(source, { bigint: true });
    const modified = clamp(stats.mtimeNs);
    if (stats.isDirectory()) return { kind: "directory", path, modified };
    if (stats.isSymbolicLink()) {
      const target = await readlink(source, { encoding: "buffer" });
      if (isUtf8(target)) return { kind: "symlink", path, modified, target: target.toString("utf8") };
      problems.add(`${path}: the symlink's target is not UTF-8`);
    } else if (stats.isFile()) {
      const executable = (stats.mode & 0o111n) !== 0n;
      return { kind: "file", path, modified, source, size: Number(stats.size), executable };
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
