/** A local directory as an icboot canister would have it, to compare with what it has: files alone, under all of their names. */
import { comparePaths } from "../../tree/manifest.ts";
import { parentPath } from "../../tree/rules.ts";
import { hashedTree, type LocalTree, readLocalTree } from "../local-tree.ts";
import { Problems } from "../problems.ts";
import { listing, type Progress } from "../progress.ts";
import type { Reading, Scanned } from "../scan.ts";
import { plainFiles } from "./plain-files.ts";

/** As readLocalTree(), of which it is the twin. @throws UserError when `directory` is none, or has too much in it */
export async function readLocalFiles(
  directory: string,
  reading: Reading,
  stage: string,
  progress: Progress,
): Promise<LocalTree> {
  const problems = new Problems();
  const { files, seen } = await listing(progress, (named) => plainFiles(directory, reading, problems, named));
  // There are no files then, and what is wrong is to be named beside all that is there.
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
