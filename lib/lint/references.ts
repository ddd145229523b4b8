/**
 * Resolves the names of files in configurations as a loader would. The TFTP server's directory is unknown: it may be any
 * directory above the configuration. So a name is missing only if none of them contains it.
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

/** What the configurations of a tree boot. */
export interface Configured {
  readonly pairs: Pair[];
  /** Files that are booted, by path. */
  readonly kernels: Map<string, TreeFile>;
  readonly initrds: Map<string, TreeFile>;
}

/** A place in a configuration. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** For each file, the directories that contain it under any name: its own, and those of links to it. */
export function placesOf(tree: BootTree): ReadonlyMap<string, readonly string[]> {
  const places = new Map<string, string[]>();
  for (const { entry } of tree.tree.nodes) {
    // Only links need to be followed. Looking up every file would take time in proportion to its depth.
    const file = entry.kind === "symlink" ? tree.file(entry.path) : entry.kind === "file" ? entry : undefined;
    if (file === undefined) continue;
    const directories = places.get(file.path);
    if (directories === undefined) places.set(file.path, [parentPath(entry.path)]);
    else directories.push(parentPath(entry.path));
  }
  return places;
}

/** The most directories that are tried. No server's directory is further up. */
const MAX_DEPTH = 32;

/** A directory and its parents, the nearest first: up to the root (""), unless that is too far up. */
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

/** Names that people, editors and package managers give to a file that another has replaced. */
export const REPLACED =
  /(^|[-._])(old|orig|bak|backup|saved?|disabled|rej|sw[op]|rpm\w+|dpkg-\w+|ucf-\w+)$|~$|^#.*#$/i;

/** The advice about a name that does not exist. */
export function adviceFor(tree: BootTree, name: string, bases: Iterable<string>): string {
  for (const base of bases) {
    const near = tree.near(`${base}/${name}`);
    if (near !== undefined) return `There is ${near}: TFTP servers tell upper case from lower case`;
  }
  return "Publish the file, or correct the name";
}

/** A finding about a name that does not exist. */
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
