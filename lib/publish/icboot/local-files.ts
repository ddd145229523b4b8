/** Reads a local directory as an icboot canister would store it, to compare the two: only files, under all of their names. */

import { comparePaths } from "../../tree/manifest.ts";
import { parentPath } from "../../tree/rules.ts";
import { hashedTree, type LocalTree, readLocalTree } from "../local-tree.ts";
import { Problems } from "../problems.ts";
import { listing, type Progress } from "../progress.ts";
import type { Reading } from "../scan.ts";
import type { Scanned } from "../scanned.ts";
import { plainFiles } from "./plain-files.ts";

/** The counterpart of readLocalTree(). @throws UserError when `directory` is not a directory, or has too many entries */
export async function readLocalFiles(
  directory: string,
  reading: Reading,
  stage: string,
  progress: Progress,
): Promise<LocalTree> {
  const problems = new Problems();
  const { files, seen } = await listing(progress, (named) => plainFiles(directory, reading, problems, named));
  // plainFiles() returns no files then, but the problems must be reported along with everything else.
  if (problems.found.length > 0) return readLocalTree(directory, reading, stage, progress);
  const entries = new Map<string, Scanned>();
  for (const file of files) {
    entries.set(file.path, { ...file, kind: "file", modified: 0n, executable: false });
    for (let path = parentPath(file.path); path !== "" && !entries.has(path); path = parentPath(path)) {
      entries.set(path, { kind: "directory", path, modified: 0n });
    }
  }
  const sorted = [...entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  return hashedTree(sorted, seen, problems, stage, progress);
}
