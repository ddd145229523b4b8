/** A directory on this host as a tree that can be looked at before it is published. */
import { createReadStream } from "node:fs";
import type { ReadFile } from "../lint/boot-tree.ts";
import { Tree, type TreeEntry } from "../tree/tree.ts";
import { Problems } from "./problems.ts";
import { type Reading, type Scanned, scan } from "./scan.ts";

/** @throws UserError when it is no directory, or has something in it that cannot be published */
export async function localTree(
  directory: string,
  reading: Reading,
): Promise<{ readonly tree: Tree; readonly read: ReadFile }> {
  const problems = new Problems();
  const { entries } = await scan(directory, reading, problems);
  problems.throwIfAny(directory);
  const listed = entries.map((entry): TreeEntry => {
    if (entry.kind !== "file") return entry;
    const { kind, path, modified, size, executable } = entry;
    return { kind, path, modified, size, executable, sha256: undefined, extents: [] };
  });
  return { tree: Tree.of({ chunks: [], entries: listed }, 0n), read: localReader(entries) };
}

/** Reads what was found in a directory from where it is. */
export function localReader(scanned: readonly Scanned[]): ReadFile {
  const sources = new Map(
    scanned.flatMap((entry) => (entry.kind === "file" ? [[entry.path, entry.source]] : [])),
  );
  return (file, from) => createReadStream(sources.get(file.path)!, { start: from });
}
