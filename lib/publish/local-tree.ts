/** A local directory as entries to compare with a release's: its files are read and hashed, and nothing else. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { messageOf } from "../errors.ts";
import type { Comparable } from "../tree/diff.ts";
import type { Progress } from "./progress.ts";
import { bytesOf, Problems, type ScannedFile, scan } from "./scan.ts";

export interface LocalTree {
  /** Sorted by path. */
  readonly entries: readonly Comparable[];
  /** What cannot be read, or cannot be in any release, by path. */
  readonly problems: readonly string[];
  /** Files that are there, but cannot be read. */
  readonly unreadable: ReadonlySet<string>;
}

const READ_BYTES = 1024 * 1024;

/** @throws UserError when `directory` is none */
export async function readLocalTree(
  directory: string,
  stage: string,
  progress: Progress,
): Promise<LocalTree> {
  const problems = new Problems();
  const scanned = await scan(directory, problems);
  const entries: Comparable[] = [];
  const unreadable = new Set<string>();
  progress.start(stage, bytesOf(scanned));
  for (const entry of scanned) {
    if (entry.kind !== "file") {
      entries.push(entry);
      continue;
    }
    try {
      const { kind, path, executable } = entry;
      entries.push({ kind, path, executable, ...(await hashed(entry, progress)) });
    } catch (error) {
      unreadable.add(entry.path);
      problems.add(`${entry.path}: ${messageOf(error)}`);
    }
  }
  progress.stop();
  return { entries, problems: problems.found, unreadable };
}

async function hashed(
  { source }: ScannedFile,
  progress: Progress,
): Promise<{ size: number; sha256: Uint8Array }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const bytes of createReadStream(source, {
    highWaterMark: READ_BYTES,
  }) as AsyncIterable<Buffer>) {
    hash.update(bytes);
    size += bytes.length;
    progress.add(bytes.length);
  }
  return { size, sha256: hash.digest() };
}
