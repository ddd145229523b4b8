/**
 * Checks a release as its readers would, all of it: every chunk, every file's own hash, what the header says of them;
 * then, if asked to, a directory or a mount beside it. Nothing ends at the first thing that is wrong, so that all of it
 * is known in the end, up to a thousand files.
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

/** What is wrong with what a release's header says of its files. */
export function totalsProblems(claimed: Totals, tree: Tree): string[] {
  const actual = totalsOf(tree);
  return (Object.keys(actual) as (keyof Totals)[])
    .filter((name) => claimed[name] !== actual[name])
    .map((name) => `the header says ${name}: ${claimed[name]}, and the manifest has ${actual[name]}`);
}

/** Of files: each is asked for three times, and there may be 100,000. */
const MOST_WRONG = 1000;

/** What is wrong with a tree's files, by path, up to MOST_WRONG of them. */
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
      const why = wrong ? `${MOST_WRONG} files are wrong` : "the network does not answer";
      if (left > 0) problems.push(`${why}: ${left} more files were not checked`);
      break;
    }
  }
  progress.stop();
  return problems;
}

/**
 * What publishing the directory would change in the release, and what in it cannot be compared.
 *
 * @param read the directory, as publishing to this kind of canister does
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

/** What a mount of the release serves otherwise than it should. */
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
  // All but the root.
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
