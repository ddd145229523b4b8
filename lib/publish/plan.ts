/**
 * Plans a publication before anything is sent: turns the directory into chunks and a manifest, and compares it with the newest
 * release.
 */
import { UsageError } from "../errors.ts";
import { type Finding, findingLine } from "../lint/finding.ts";
import type { Head, ReleaseReader } from "../source/icfs/release-reader.ts";
import { areNone, type Differences, differences } from "../tree/diff.ts";
import { MAX_NOTE_BYTES } from "../tree/limits.ts";
import type { Entry } from "../tree/manifest.ts";
import { treeProblems } from "../tree/manifest-decoder.ts";
import { canistersBudget } from "../tree/rules.ts";
import { Tree } from "../tree/tree.ts";
import { type ChunkedTree, chunkTree } from "./chunker.ts";
import { lintLocal } from "./lintable-tree.ts";
import { addPrivateFiles, lossOf, type Policy, throwIfEmpty } from "./policy.ts";
import { Problems } from "./problems.ts";
import { listing, type Progress } from "./progress.ts";
import { bytesOf, type CopiedLink, type PrivateFile, type Reading, scan } from "./scan.ts";
import { isMade } from "./scanned.ts";
import type { Seen } from "./seen.ts";

export interface PlanOptions {
  readonly directory: string;
  readonly reading: Reading;
  readonly policy: Policy;
  readonly progress: Progress;
}

export interface Plan {
  readonly tree: ChunkedTree;
  /** Checked again before the release is made: a later change would not be what was published. */
  readonly seen: Seen;
  /** The newest release, unless there is none yet. */
  readonly head: Head | undefined;
  /** From the newest release's tree, or an empty one, to this tree. */
  readonly differences: Differences;
  readonly copied: readonly CopiedLink[];
  readonly privateFiles: readonly PrivateFile[];
  /** A sentence that warns when most of the newest release's files are not in this tree; undefined when they are. */
  readonly loss: string | undefined;
  /** What would keep machines from booting; empty when nothing has changed, or lint is off. */
  readonly findings: readonly Finding[];
  readonly totals: {
    readonly files: number;
    /** Total size of all files, in bytes. */
    readonly bytes: number;
    /** Chunks of the release, including the manifest's own. */
    readonly chunks: number;
  };
}

/** Reading a large tree takes minutes, in which others may publish. An answer older than this is asked for again. */
const STALE_MS = 2000;

/** @throws UsageError when a release cannot have this note */
export function checkNote(note: string): void {
  const bytes = Buffer.byteLength(note);
  if (bytes > MAX_NOTE_BYTES) {
    throw new UsageError(`the note has ${bytes} bytes; ${MAX_NOTE_BYTES} is the limit`);
  }
}

/**
 * @param permitted awaited before the directory is read
 * @throws UserError that names everything that cannot or must not be published
 */
export async function planPublication(
  { directory, reading, policy, progress }: PlanOptions,
  source: ReleaseReader,
  permitted: Promise<unknown> = Promise.resolve(),
): Promise<Plan> {
  // Starts now, beside the reading of the directory. If reading fails, nobody waits for the answer.
  const began = performance.now();
  const asked = newestRelease(source);
  asked.catch(() => {});
  await permitted;
  const problems = new Problems();
  const listed = await listing(progress, (named) => scan(directory, reading, problems, named));
  const { entries: scanned, seen, copied, privateFiles, leftOut } = listed;
  const budget = canistersBudget();
  await problems.addAll(treeProblems(scanned, budget), directory);
  // A tree with too many links must be built in another way, so problems of its files do not matter.
  if (budget.left < 0) problems.throwIfAny(directory);
  progress.start("hashing", bytesOf(scanned));
  const tree = await chunkTree(scanned, problems, (bytes) => progress.add(bytes));
  progress.stop();
  problems.addChanges(await seen.changes());
  addPrivateFiles(problems, privateFiles, policy);
  problems.throwIfAny(directory);

  const { entries } = tree.manifest;
  let newest = await asked;
  if (performance.now() - began > STALE_MS) newest = await newestRelease(source, newest);
  const before = newest?.entries ?? [];
  const files = countFiles(entries);
  if (newest !== undefined) {
    const has = `release ${newest.head.header.number} has ${countFiles(before)}`;
    // Generated files do not count: a source that is not mounted must still look empty.
    const own = scanned.filter((entry) => entry.kind === "file" && !isMade(entry)).length;
    if (countFiles(before) > 0) throwIfEmpty({ directory, files: own, leftOut }, has, policy);
  }
  const found = differences(before, entries);
  const isSame = newest !== undefined && areNone(found);
  const findings =
    isSame || policy.lint === "off" ? [] : await lintLocal(Tree.of(tree.manifest, 0n), scanned);
  if (policy.lint === "error") {
    for (const finding of findings)
      problems.add(findingLine(finding), `\`icfs lint ${directory}\` says what to do`);
    problems.throwIfAny(directory);
  }
  return {
    tree,
    seen,
    head: newest?.head,
    differences: found,
    copied,
    privateFiles,
    findings,
    loss: newest && lossOf(found, newest.head.header.number, countFiles(before)),
    totals: { files, bytes: tree.bytes, chunks: tree.chunks.length },
  };
}

function countFiles(entries: readonly Entry[]): number {
  return entries.filter(({ kind }) => kind === "file").length;
}

interface Newest {
  readonly head: Head;
  readonly entries: readonly Entry[];
}

/** @param known returned if it is still the newest */
async function newestRelease(source: ReleaseReader, known?: Newest): Promise<Newest | undefined> {
  const head = await source.head();
  if (head === undefined || known?.head.hash.equals(head.hash)) return head && known;
  return { head, entries: (await source.manifest(head.header)).entries };
}
