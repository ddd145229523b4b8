/** Manifests for tests: valid ones, and one for each rule that can be broken. */
import type { Entry, Extent, FileEntry, Manifest } from "../../lib/tree/manifest.ts";
import { LINK_CASES, PATH_CASES } from "./rule-cases.ts";

export const HASH = Buffer.alloc(32, 7);
/** The size of the only chunk in the table. */
export const CHUNK_SIZE = 5;

export function file(path: string, extents: readonly Extent[], size: number): FileEntry {
  return { kind: "file", path, modified: 0n, size, sha256: HASH, executable: false, extents };
}

const directory = (path: string): Entry => ({ kind: "directory", path, modified: 0n });
const symlink = (path: string, target: string): Entry => ({ kind: "symlink", path, modified: 0n, target });
const whole: Extent = { chunk: 0, offset: 0, length: CHUNK_SIZE };

/** A manifest with one chunk of 5 bytes in its table. */
export function manifestOf(entries: readonly Entry[], sha256: Uint8Array = HASH): Manifest {
  return { chunks: [{ sha256, size: CHUNK_SIZE }], entries };
}

export interface BrokenManifest {
  readonly name: string;
  readonly manifest: Manifest;
  /** The identical error of the decoder and the canister. */
  readonly message: string;
}

/** One manifest for each broken rule, valid otherwise. @param sha256 of the chunk (5 bytes) that they name */
export function brokenManifests(sha256: Uint8Array = HASH): BrokenManifest[] {
  const broken: BrokenManifest[] = [];
  const add = (
    name: string,
    message: string,
    entries: readonly Entry[],
    chunks = manifestOf([], sha256).chunks,
  ) => broken.push({ name, message, manifest: { chunks, entries } });
  const a = file("a", [whole], CHUNK_SIZE);

  for (const { path, problem } of PATH_CASES) {
    if (problem !== undefined)
      add(`path ${JSON.stringify(path.slice(0, 20))}`, `${path}: ${problem}`, [
        file(path, [whole], CHUNK_SIZE),
      ]);
  }
  for (const { tree, link, problem } of LINK_CASES) {
    if (problem === undefined) continue;
    const entries = Object.entries(tree)
      .map(([path, what]) => {
        if (what === "directory") return directory(path);
        return what === "file" ? file(path, [], 0) : symlink(path, what.slice(2));
      })
      // This file names the chunk, because a manifest must name every chunk.
      .concat(file("~", [whole], CHUNK_SIZE))
      .sort((x, y) => (x.path < y.path ? -1 : 1));
    const first = entries.find(({ path, kind }) => kind === "symlink" && isBroken(tree, path))!.path;
    const wrong = first === link ? problem : undefined;
    if (wrong !== undefined) add(`symlink ${tree[link]!.slice(0, 20)}`, `${link}: ${wrong}`, entries);
  }
  add(
    "the canister's own name",
    ".icfs: this name at the top of a tree is the canister's own: rename it, or leave it out",
    [file(".icfs", [whole], CHUNK_SIZE)],
  );
  add("order", "a: the path is out of order or there twice", [
    file("b", [whole], CHUNK_SIZE),
    file("a", [], 0),
  ]);
  add("twice", "a: the path is out of order or there twice", [a, file("a", [], 0)]);
  add("no directory", "d/x: its directory d is not listed", [a, file("d/x", [], 0)]);
  add("file as directory", "a/x: a is not a directory", [a, file("a/x", [], 0)]);
  add("symlink as directory", "l/x: l is not a directory", [
    a,
    directory("d"),
    symlink("l", "d"),
    file("l/x", [], 0),
  ]);
  add("past the chunk", "a: the file runs past the end of a chunk", [
    file("a", [{ ...whole, offset: 1 }], 5),
  ]);
  add("empty extent", "a: the file has an extent of no bytes", [
    file("a", [whole, { ...whole, length: 0 }], 5),
  ]);
  add("size", "a: the file's size is not the sum of its extents", [file("a", [whole], 6)]);
  add("no such chunk", "a: the file names a chunk that is not in the table", [
    file("a", [whole, { ...whole, chunk: 1 }], 10),
  ]);
  add("unused chunk", "the manifest lists a chunk that no file uses", [file("a", [], 0)]);
  add("empty chunk", "chunk 0 of the table has a size outside 1 to 1048576", [a], [{ sha256, size: 0 }]);
  add(
    "large chunk",
    "chunk 0 of the table has a size outside 1 to 1048576",
    [a],
    [{ sha256, size: 1_048_577 }],
  );
  return broken;
}

/** Whether a link of the tree is broken: it is a case with a problem, or its chain loops. */
function isBroken(tree: Readonly<Record<string, string>>, path: string): boolean {
  return (
    LINK_CASES.some((c) => c.tree === tree && c.link === path && c.problem !== undefined) || loops(tree, path)
  );
}

function loops(tree: Readonly<Record<string, string>>, path: string): boolean {
  const seen = new Set<string>();
  for (let at = path; tree[at]?.startsWith("->"); at = tree[at]!.slice(2)) {
    if (seen.has(at)) return true;
    seen.add(at);
  }
  return false;
}
