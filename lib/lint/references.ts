/**
 * Names of files in configurations, and where a loader looks for them. Which directory a TFTP server serves is not known: it may be any
 * directory above the configuration. So a name is missing only when it leads nowhere from all of them.
 */
import { parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, quoted } from "./finding.ts";

/** A kernel with the initrds that are loaded with it. */
export interface Pair {
  readonly config: string;
  readonly line: number;
  readonly kernel: TreeFile;
  readonly initrds: readonly TreeFile[];
}

/** What the configurations of a tree lead to. */
export interface Configured {
  readonly pairs: Pair[];
  /** Files that are booted, by path. */
  readonly kernels: Map<string, TreeFile>;
  readonly initrds: Map<string, TreeFile>;
}

/** Where something is written. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** For each file, the directories in which it has a name: its own, and those of links to it. */
export function placesOf(tree: BootTree): ReadonlyMap<string, readonly string[]> {
  const places = new Map<string, string[]>();
  for (const { entry } of tree.tree.nodes) {
    const file = entry.kind === "directory" ? undefined : tree.file(entry.path);
    if (file === undefined) continue;
    const directories = places.get(file.path);
    if (directories === undefined) places.set(file.path, [parentPath(entry.path)]);
    else directories.push(parentPath(entry.path));
  }
  return places;
}

/** Servers' directories are not deeper. */
const MAX_DEPTH = 32;

/** A directory and all above it, the root ("") last. */
export function ancestorsOf(directory: string): string[] {
  const found = [directory];
  for (let path = directory; path !== "" && found.length < MAX_DEPTH; ) {
    path = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    found.push(path);
  }
  return found;
}

/** The file that `name` leads to from one of `bases`. */
export function resolve(tree: BootTree, name: string, bases: Iterable<string>): TreeFile | undefined {
  for (const base of bases) {
    const file = tree.file(`${base}/${name}`);
    if (file !== undefined) return file;
  }
  return undefined;
}

/** What to do about a name that leads nowhere. */
export function adviceFor(tree: BootTree, name: string, bases: Iterable<string>): string {
  for (const base of bases) {
    const near = tree.near(`${base}/${name}`);
    if (near !== undefined) return `There is ${near}: TFTP servers tell upper case from lower case`;
  }
  return "Publish the file, or correct the name";
}

/** A finding about a name that leads nowhere. */
export function missingFile(
  tree: BootTree,
  place: Place,
  {
    name,
    bases,
    outcome,
  }: { readonly name: string; readonly bases: readonly string[]; readonly outcome: string },
): Finding {
  return {
    kind: "missing-file",
    ...place,
    problem: `names ${quoted(name)}, which is not there`,
    outcome,
    advice: adviceFor(tree, name, bases),
  };
}
