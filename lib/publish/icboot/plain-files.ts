/**
 * The files of a directory for a canister that has only files: where a link points to one, it is there under the link's name
 * as well, and where it points to a directory, so is all that is below. (Debian's pxelinux.cfg is such a link.)
 */
import { UserError } from "../../errors.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import { treeProblems } from "../../tree/manifest-decoder.ts";
import { baseName, followLink, parentPath, pathProblem, readersBudget } from "../../tree/rules.ts";
import type { Problems } from "../problems.ts";
import { type CopiedLink, type PrivateFile, type Reading, type Scanned, scan } from "../scan.ts";
import type { Seen, SeenFile } from "../seen.ts";

/** A file under one of its names. */
export interface PlainFile extends SeenFile {
  readonly path: string;
  /** Bytes, when it was looked at. */
  readonly size: number;
}

export interface PlainFiles {
  readonly files: readonly PlainFile[];
  /** Links to a directory that they are in, by their paths: what is below is there already, and has no end. */
  readonly loops: readonly string[];
  /** How many names patterns leave out. */
  readonly leftOut: number;
  /** To be asked, once the files have been read, whether they are still what they were. */
  readonly seen: Seen;
  /** Links out of the directory that gave way to what they point to. */
  readonly copied: readonly CopiedLink[];
  /** By the names that they have in the directory. */
  readonly privateFiles: readonly PrivateFile[];
}

/**
 * Links are held to the rules of a release: one that leads out of the directory, unless those are to give way to what they
 * point to, or nowhere, is a problem.
 *
 * @param problems what cannot be published; the files are not all there then
 * @param listed called for each entry of the directory
 * @throws UserError when `directory` is none, or has too much in it
 */
export async function plainFiles(
  directory: string,
  reading: Reading,
  problems: Problems,
  listed?: () => void,
): Promise<PlainFiles> {
  // All links are followed anyway; those inside the directory so that a loop has an end.
  const links = reading.links === "keep" ? "keep" : "copy-unsafe";
  const { entries: scanned, ...found } = await scan(directory, { ...reading, links }, problems, listed);
  await problems.addAll(treeProblems(scanned, readersBudget()), directory);
  // Links that are no good would be followed.
  if (problems.found.length > 0) return { files: [], loops: [], ...found };

  const tree = new ScannedTree(scanned);
  const files: PlainFile[] = [];
  const loops: string[] = [];
  let entries = 0;
  /** @param above the directory that this is, and those that it was reached through, links followed */
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
        files.push({ path: name, source: found.source, state: found.state, size: found.size });
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

/** A tree in which each link leads somewhere. */
class ScannedTree {
  readonly #byPath: ReadonlyMap<string, Scanned>;
  readonly #byParent: ReadonlyMap<string, readonly Scanned[]>;
  /** By the link's path: one in a directory that many links lead to is met many times. */
  readonly #followed = new Map<string, Target>();

  constructor(scanned: readonly Scanned[]) {
    this.#byPath = new Map(scanned.map((entry) => [entry.path, entry]));
    this.#byParent = Map.groupBy(scanned, ({ path }) => parentPath(path));
  }

  in(path: string): readonly Scanned[] {
    return this.#byParent.get(path) ?? [];
  }

  /** What is there in the end. */
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
