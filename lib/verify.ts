/**
 * Checks a whole release as its readers would: every chunk, every file's own hash, the totals in the header;
 * and then optionally a directory or a mount against it. It does not stop at the first problem, but reports up to a
 * thousand wrong files.
 */
import { FileReader } from "./cache/file-reader.ts";
import { messageOf } from "./errors.ts";
import { isWrong } from "./ic/certificate/certificate.ts";
import { readLocalTree } from "./publish/local-tree.ts";
import type { Progress } from "./publish/progress.ts";
import { EVERYTHING, type Reading } from "./publish/scan.ts";
import { type Comparable, type Differences, differenceLines, differences } from "./tree/diff.ts";
import type { Totals } from "./tree/header.ts";
import type { Chunks, Tree, TreeFile } from "./tree/tree.ts";

/** What is wrong with the totals in a release's header, a sentence for each wrong one. */
export function totalsProblems(claimed: Totals, tree: Tree): string[] {
  const actual = totalsOf(tree);
  return (Object.keys(actual) as (keyof Totals)[])
    .filter((name) => claimed[name] !== actual[name])
    .map((name) => `the header says ${name}: ${claimed[name]}, and the manifest has ${actual[name]}`);
}

/** Limit on wrong files: each takes several requests, and there may be 100,000. */
const MOST_WRONG = 1000;

/**
 * What is wrong with a tree's files, a sentence with the path for each, up to MOST_WRONG of them. Ends early when a chunk cannot be fetched
 * at all; the last sentence then says how many files were not checked.
 */
export async function fileProblems(tree: Tree, chunks: Chunks, progress: Progress): Promise<string[]> {
  const problems: string[] = [];
  const files = filesOf(tree);
  const reader = new FileReader(files, tree.chunks, chunks);
  progress.start("verifying", tree.bytes);
  for (const [i, { path }] of files.entries()) {
    try {
      for await (const bytes of reader.read(i)) progress.add(bytes.length);
    } catch (error) {
      problems.push(`${path}: ${messageOf(error)}`);
      const wrong = isWrong(error);
      if (wrong && problems.length < MOST_WRONG) continue;
      const left = files.length - i - 1;
      const why = wrong ? `${MOST_WRONG} files are wrong` : "nobody answers";
      if (left > 0) problems.push(`${why}: ${left} more files were not checked`);
      break;
    }
  }
  progress.stop();
  return problems;
}

/**
 * What publishing the directory would change in the release, and what in the directory cannot be compared, a sentence for each.
 *
 * @param reading how the directory is read
 * @param read reads the directory as publishing to this kind of canister does
 */
export async function compareDirectory(
  tree: Tree,
  directory: string,
  reading: Reading,
  progress: Progress,
  read: typeof readLocalTree,
): Promise<{ differences: Differences; problems: string[] }> {
  const local = await read(directory, reading, "comparing", progress);
  const found = differences(entriesOf(tree), local.entries);
  return {
    differences: { ...found, removed: found.removed.filter(({ path }) => !local.unreadable.has(path)) },
    problems: local.problems.map((problem) => `${directory}: ${problem}`),
  };
}

/** Where a mount's files differ from the release, and what in the mount cannot be read, a line for each. */
export async function mountProblems(tree: Tree, mountpoint: string, progress: Progress): Promise<string[]> {
  const served = await readLocalTree(mountpoint, EVERYTHING, "reading", progress);
  // Modes are the mount's options: with --file-mode 0555 everything is executable.
  const found = differences(withoutModes(entriesOf(tree)), withoutModes(served.entries));
  const removed = found.removed.filter(({ path }) => !served.unreadable.has(path));
  return [...served.problems, ...differenceLines({ ...found, removed })].map(
    (problem) => `${mountpoint}: ${problem}`,
  );
}

function entriesOf({ nodes }: Tree): Comparable[] {
  // Everything except the root.
  return nodes.slice(1).map(({ entry }) => entry);
}

function filesOf({ nodes }: Tree): TreeFile[] {
  return nodes.map(({ entry }) => entry).filter((entry) => entry.kind === "file");
}

function withoutModes(entries: readonly Comparable[]): Comparable[] {
  return entries.map((entry) => (entry.kind === "file" ? { ...entry, executable: false } : entry));
}

function totalsOf(tree: Tree): Totals {
  const entries = entriesOf(tree);
  const count = (kind: Comparable["kind"]) => entries.filter((entry) => entry.kind === kind).length;
  return {
    files: tree.files,
    directories: count("directory"),
    symlinks: count("symlink"),
    bytes: tree.bytes,
    chunks: tree.chunks.length,
    chunkBytes: tree.chunks.reduce((sum, { size }) => sum + size, 0),
  };
}
