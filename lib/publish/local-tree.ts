/** Reads and hashes a local directory, as entries to compare with a release. */

import { createHash } from "node:crypto";
import { messageOf } from "../errors.ts";
import type { Comparable } from "../tree/diff.ts";
import { bytesOfFile } from "./file-bytes.ts";
import { Problems } from "./problems.ts";
import { listing, type Progress } from "./progress.ts";
import { bytesOf, type Reading, scan } from "./scan.ts";
import type { Scanned, ScannedFile } from "./scanned.ts";
import { type Seen, withFile } from "./seen.ts";

export interface LocalTree {
  /** Sorted by path. */
  readonly entries: readonly Comparable[];
  /** What cannot be read, or cannot be part of any release, by path. */
  readonly problems: readonly string[];
  /** Files that exist, but cannot be read or have changed since the scan. */
  readonly unreadable: ReadonlySet<string>;
}

const READ_BYTES = 1024 * 1024;

/** @throws UserError when `directory` is not a directory */
export async function readLocalTree(
  directory: string,
  reading: Reading,
  stage: string,
  progress: Progress,
): Promise<LocalTree> {
  const problems = new Problems();
  const { entries, seen } = await listing(progress, (named) => scan(directory, reading, problems, named));
  return hashedTree(entries, seen, problems, stage, progress);
}

/** @param problems receives what cannot be read, or has changed since the scan */
export async function hashedTree(
  scanned: readonly Scanned[],
  seen: Seen,
  problems: Problems,
  stage: string,
  progress: Progress,
): Promise<LocalTree> {
  const entries: Comparable[] = [];
  const unreadable = new Set<string>();
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  progress.start(stage, bytesOf(scanned));
  for (const entry of scanned) {
    if (entry.kind !== "file") {
      entries.push(entry);
      continue;
    }
    try {
      const { kind, path, size, executable } = entry;
      entries.push({ kind, path, executable, size, sha256: await hashed(entry, buffer, progress) });
    } catch (error) {
      unreadable.add(entry.path);
      problems.add(`${entry.path}: ${messageOf(error)}`);
    }
  }
  problems.addChanges(await seen.changes());
  progress.stop();
  return { entries, problems: problems.found, unreadable };
}

function hashed(file: ScannedFile, buffer: Buffer, progress: Progress): Promise<Uint8Array> {
  return withFile(file, async (handle) => {
    const hash = createHash("sha256");
    for await (const bytes of bytesOfFile(handle, file.size, buffer)) {
      hash.update(bytes);
      progress.add(bytes.length);
    }
    return hash.digest();
  });
}
