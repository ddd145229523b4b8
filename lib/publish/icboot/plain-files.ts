/**
 * The files of a directory for a canister that has only files: where a link points to one, it is there under the link's name
 * as well, and where it points to a directory, so is all that is below. (Debian's pxelinux.cfg is such a link.)
 */
import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import { UserError } from "../../errors.ts";
import { MAX_ENTRIES } from "../../tree/limits.ts";
import { treeProblems } from "../../tree/manifest-decoder.ts";
import { baseName, parentPath, pathProblem } from "../../tree/rules.ts";
import { type Problems, type Scanned, scan } from "../scan.ts";
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
  /** To be asked, once the files have been read, whether they are still what they were. */
  readonly seen: Seen;
}

/**
 * Links are held to the rules of a release: one that leads out of the directory, or nowhere, is a problem.
 *
 * @param problems what cannot be published; the files are not all there then
 * @throws UserError when `directory` is none, or has too much in it
 */
export async function plainFiles(directory: string, problems: Problems): Promise<PlainFiles> {
  const { entries: scanned, seen } = await scan(directory, problems);
  for (const problem of treeProblems(scanned)) problems.add(problem);
  // Links that are no good would be followed.
  if (problems.found.length > 0) return { files: [], loops: [], seen };

  const tree = new ScannedTree(directory, scanned);
  const files: PlainFile[] = [];
  const loops: string[] = [];
  let entries = 0;
  /** @param above the directory that this is, and those that it was reached through, links followed */
  const enter = async (path: string, at: string, above: ReadonlySet<string>): Promise<void> => {
    for (const entry of tree.in(at)) {
      entries += 1;
      if (entries > MAX_ENTRIES) {
        throw new UserError(`${directory}, with its links followed, has more than ${MAX_ENTRIES} entries`);
      }
      const name = path === "" ? baseName(entry.path) : `${path}/${baseName(entry.path)}`;
      const problem = pathProblem(name);
      const found = problem === undefined ? await tree.follow(entry) : undefined;
      if (found === undefined) {
        problems.add(`${name}: ${problem ?? "it changed while it was looked at: publish again"}`);
      } else if (found.kind === "file") {
        files.push({ path: name, source: found.source, state: found.state, size: found.size });
      } else if (above.has(found.path)) {
        loops.push(name);
      } else {
        await enter(name, found.path, new Set([...above, found.path]));
      }
    }
  };
  await enter("", "", new Set([""]));
  return { files, loops, seen };
}

type Followed = Exclude<Scanned, { kind: "symlink" }> | { readonly kind: "directory"; readonly path: "" };

class ScannedTree {
  readonly #directory: string;
  readonly #byPath: ReadonlyMap<string, Scanned>;
  readonly #byParent: ReadonlyMap<string, readonly Scanned[]>;
  /** By the link's path: one in a directory that many links lead to is met many times. */
  readonly #followed = new Map<string, Followed | undefined>();

  constructor(directory: string, scanned: readonly Scanned[]) {
    this.#directory = directory;
    this.#byPath = new Map(scanned.map((entry) => [entry.path, entry]));
    this.#byParent = Map.groupBy(scanned, ({ path }) => parentPath(path));
  }

  in(path: string): readonly Scanned[] {
    return this.#byParent.get(path) ?? [];
  }

  /** What is there in the end; undefined when it was not there before. */
  async follow(entry: Scanned): Promise<Followed | undefined> {
    if (entry.kind !== "symlink") return entry;
    if (!this.#followed.has(entry.path)) this.#followed.set(entry.path, await this.#behind(entry.path));
    return this.#followed.get(entry.path);
  }

  async #behind(link: string): Promise<Followed | undefined> {
    let path: string;
    try {
      path = relative(await realpath(this.#directory), await realpath(join(this.#directory, link)));
    } catch {
      return undefined;
    }
    if (path === "") return { kind: "directory", path };
    const found = this.#byPath.get(path);
    return found?.kind === "symlink" ? undefined : found;
  }
}
