/**
 * Flattens a directory for a canister that has only files: a link to a file becomes a copy under the link's name, and a link to a
 * directory copies everything below it. (Debian's pxelinux.cfg is such a link.)
 */

import { UserError } from "../../errors.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import { treeProblems } from "../../tree/manifest-decoder.ts";
import { baseName, followLink, parentPath, pathProblem, readersBudget } from "../../tree/rules.ts";
import type { Problems } from "../problems.ts";
import { type CopiedLink, type PrivateFile, type Reading, scan } from "../scan.ts";
import type { MadeContent, Scanned } from "../scanned.ts";
import type { Seen, SeenFile } from "../seen.ts";

/** A file under one of its names. */
export type PlainFile = {
  readonly path: string;
  /** Bytes, when it was scanned. */
  readonly size: number;
} & (SeenFile | MadeContent);

export interface PlainFiles {
  readonly files: readonly PlainFile[];
  /** The paths of links to a directory that contains them. They are skipped: their content is there already, and endless. */
  readonly loops: readonly string[];
  /** How many names are excluded by patterns. */
  readonly leftOut: number;
  /** Checks, once the files have been read, whether they are still as scanned. */
  readonly seen: Seen;
  /** Links out of the directory that were replaced by what they point to. */
  readonly copied: readonly CopiedLink[];
  /** By their names in the directory. */
  readonly privateFiles: readonly PrivateFile[];
}

/**
 * Links must follow the rules of a release: one that leads nowhere, or out of the directory unless such links are copied, is a
 * problem.
 *
 * @param problems receives what cannot be published; then the files are incomplete
 * @param listed called for each entry of the directory
 * @throws UserError when `directory` is not a directory, or has too many entries
 */
export async function plainFiles(
  directory: string,
  reading: Reading,
  problems: Problems,
  listed?: () => void,
): Promise<PlainFiles> {
  // All links are followed in the end; those inside the directory are kept for now, so that loops can be detected.
  const links = reading.links === "keep" ? "keep" : "copy-unsafe";
  const { entries: scanned, ...found } = await scan(directory, { ...reading, links }, problems, listed);
  await problems.addAll(treeProblems(scanned, readersBudget()), directory);
  // Do not follow broken links.
  if (problems.found.length > 0) return { files: [], loops: [], ...found };

  const tree = new ScannedTree(scanned);
  const files: PlainFile[] = [];
  const loops: string[] = [];
  let entries = 0;
  /** @param above this directory, and those it was reached through, links followed */
  const enter = (path: string, at: string, above: ReadonlySet<string>): void => {
    for (const entry of tree.in(at)) {
      entries += 1;
      if (entries > MAX_ENTRIES) {
        throw new UserError(`${directory}, with its links followed, has more than ${MAX_ENTRIES} entries`);
      }
      const name = path === "" ? baseName(entry.path) : `${path}/${baseName(entry.path)}`;
      const problem = pathProblem(name);
      const found = tree.follow(entry);
      if (problem !== undefined) {
        problems.add(`${name}: ${problem}`);
      } else if (found.kind === "file") {
        files.push({ ...found, path: name });
      } else if (above.has(found.path)) {
        loops.push(name);
      } else {
        enter(name, found.path, new Set([...above, found.path]));
      }
    }
  };
  enter("", "", new Set([""]));
  return { files, loops, ...found };
}

type Target = Exclude<Scanned, { kind: "symlink" }> | { readonly kind: "directory"; readonly path: "" };

/** A tree without broken links. */
class ScannedTree {
  readonly #byPath: ReadonlyMap<string, Scanned>;
  readonly #byParent: ReadonlyMap<string, readonly Scanned[]>;
  /** By the link's path: a link in a directory that many links lead to is met many times. */
  readonly #followed = new Map<string, Target>();

  constructor(scanned: readonly Scanned[]) {
    this.#byPath = new Map(scanned.map((entry) => [entry.path, entry]));
    this.#byParent = Map.groupBy(scanned, ({ path }) => parentPath(path));
  }

  in(path: string): readonly Scanned[] {
    return this.#byParent.get(path) ?? [];
  }

  /** The file or directory that an entry finally leads to. */
  follow(entry: Scanned): Target {
    if (entry.kind !== "symlink") return entry;
    let target = this.#followed.get(entry.path);
    if (target === undefined) {
      target = this.#behind(entry.path, entry.target);
      this.#followed.set(entry.path, target);
    }
    return target;
  }

  #behind(path: string, target: string): Target {
    const found = followLink(path, target, (at) => {
      const step = this.#byPath.get(at);
      return step?.kind === "symlink" ? step : step?.kind;
    });
    if ("problem" in found) throw new Error(`${path}: ${found.problem}`);
    if (found.path === "") return { kind: "directory", path: "" };
    return this.#byPath.get(found.path) as Target;
  }
}
