/**
 * The tree of a canister's list of names. Anybody can choose the names: those that cannot be files of one tree are left out,
 * and the log names each once.
 */
import { type Log, oneLine } from "../log.ts";
import { atOnce, inSteps, letOthers, sorting } from "../steps.ts";
import { MAX_ENTRIES } from "../tree/limits.ts";
import { comparePaths } from "../tree/manifest.ts";
import { parentPath, pathProblem } from "../tree/rules.ts";
import { Tree, type TreeContent, type TreeEntry } from "../tree/tree.ts";
import { chunksIn, type KnownChunks, type ListedFile } from "./listed-file.ts";

/** A name in a list, and the length of its file, in bytes. */
export interface Listed {
  readonly path: string;
  readonly size: number;
}

/** Limit on the chunks of all files together: 100 GiB. A list can claim any length for a file, and each chunk takes memory. */
const MOST_CHUNKS = 100_000;
/** Limit on the names that the log says are left out: after so many, the problem is clear. */
const MOST_NAMED = 1000;
/** Characters of a name that are shown: names may be megabytes long. */
const LONGEST_NAME = 200;
/** Names between two pauses: about a millisecond. */
const NAMES_PER_STEP = 500;
/** Limit on directories within one another. */
const MOST_DEPTH = 100;

/** Says what is left out of a tree, once for each name. */
export class LeftOut {
  readonly #log: Log;
  readonly #said = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  say(name: string, why: string): void {
    const shown = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}...` : name;
    const line = `left out: ${oneLine(JSON.stringify(shown))}: ${why}`;
    if (this.#said.has(line) || this.#said.size > MOST_NAMED) return;
    this.#said.add(line);
    this.#log.warn(this.#said.size > MOST_NAMED ? "more names are left out; they are not listed" : line);
  }
}

/** The names that can be files of one tree, sorted by path. If a file and a directory have the same name, the file stays. */
export function possible<T extends Listed>(listed: readonly T[], leftOut: LeftOut): T[] {
  return atOnce(choosing(listed, leftOut));
}

/** possible(), in steps: 100,000 names take a quarter of a second, and readers are served meanwhile. */
export function* choosing<T extends Listed>(listed: readonly T[], leftOut: LeftOut): Generator<void, T[]> {
  const files = new Map<string, T>();
  const directories = new Set<string>();
  const large = yield* tooLarge(listed);
  const sorted = yield* sorting(listed, (a, b) => comparePaths(a.path, b.path));
  for (const [i, one] of sorted.entries()) {
    if (i % NAMES_PER_STEP === 0) yield;
    const isFull = files.size + directories.size >= MAX_ENTRIES;
    const problem =
      (isFull ? `there are more than ${MAX_ENTRIES} entries` : undefined) ??
      pathProblem(one.path) ??
      (isDeep(one.path) ? `it lies in more than ${MOST_DEPTH} directories` : undefined) ??
      clash(one.path, files) ??
      (large.has(one) ? "the files take more than 100 GiB" : undefined);
    if (problem !== undefined) {
      leftOut.say(one.path, problem);
      continue;
    }
    files.set(one.path, one);
    for (const directory of parents(one.path)) {
      if (directories.has(directory)) break;
      directories.add(directory);
    }
  }
  return [...files.values()];
}

/** The files over the limit of MOST_CHUNKS, counted from the smallest on: one made-up length must not hide all other files. */
function* tooLarge<T extends Listed>(listed: readonly T[]): Generator<void, Set<T>> {
  let chunks = 0;
  const large = new Set<T>();
  for (const one of yield* sorting(listed, (a, b) => a.size - b.size)) {
    chunks += chunksIn(one.size);
    if (chunks > MOST_CHUNKS) large.add(one);
  }
  return large;
}

function isDeep(path: string): boolean {
  let depth = 0;
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) depth += 1;
  return depth > MOST_DEPTH;
}

function clash(path: string, files: ReadonlyMap<string, unknown>): string | undefined {
  if (files.has(path)) return "it is listed twice";
  for (const directory of parents(path)) if (files.has(directory)) return `${directory} is a file`;
  return undefined;
}

function* parents(path: string): Generator<string> {
  for (let at = parentPath(path); at !== ""; at = parentPath(at)) yield at;
}

/** The tree of files, which choosing() has chosen. @param known the hashes of their chunks, as far as they are known */
export async function listedTree(files: readonly ListedFile[], known: KnownChunks): Promise<Tree> {
  const newest = files.reduce((latest, { modified }) => (modified > latest ? modified : latest), 0n);
  const entries: TreeEntry[] = [];
  const chunks: TreeContent["chunks"][number][] = [];
  const directories = new Set<string>();
  for (const [i, file] of files.entries()) {
    if (i % NAMES_PER_STEP === NAMES_PER_STEP - 1) await letOthers();
    for (const path of parents(file.path)) directories.add(path);
    entries.push(entryOf(file, chunks.length));
    chunks.push(...file.chunks);
  }
  for (const path of directories) entries.push({ kind: "directory", path, modified: newest });
  const sorted = await inSteps(sorting(entries, (a, b) => comparePaths(a.path, b.path)));
  return inSteps(Tree.growing({ chunks, entries: sorted, known: (chunk) => known.of(chunk) }, newest));
}

/** @param first index of the file's first chunk among all */
function entryOf(file: ListedFile, first: number): TreeEntry {
  return {
    kind: "file",
    path: file.path,
    modified: file.modified,
    size: file.size,
    get sha256() {
      return file.sha256;
    },
    executable: false,
    extents: file.chunks.map(({ size }, i) => ({ chunk: first + i, offset: 0, length: size })),
    learn(sha256) {
      file.sha256 = sha256;
    },
  };
}
