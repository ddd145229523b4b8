/** What a publication comes to, before anything is sent: the directory as chunks and manifest, beside the newest release. */
import { UsageError } from "../errors.ts";
import { type Finding, findingLine } from "../lint/finding.ts";
import { lint } from "../lint/lint.ts";
import type { Head, ReleaseReader } from "../source/icfs/release-reader.ts";
import { areNone, type Differences, differences } from "../tree/diff.ts";
import { MAX_NOTE_BYTES } from "../tree/limits.ts";
import type { Entry } from "../tree/manifest.ts";
import { treeProblems } from "../tree/manifest-decoder.ts";
import { canistersBudget } from "../tree/rules.ts";
import { Tree } from "../tree/tree.ts";
import { type ChunkedTree, chunkTree } from "./chunker.ts";
import { localReader } from "./lintable-tree.ts";
import { addPrivateFiles, lossOf, type Policy, throwIfEmpty } from "./policy.ts";
import { Problems } from "./problems.ts";
import { listing, type Progress } from "./progress.ts";
import { bytesOf, type CopiedLink, type PrivateFile, type Reading, type Scanned, scan } from "./scan.ts";
import type { Seen } from "./seen.ts";

export interface PlanOptions {
  readonly directory: string;
  readonly reading: Reading;
  readonly policy: Policy;
  readonly progress: Progress;
}

export interface Plan {
  readonly tree: ChunkedTree;
  /** To be asked again before the release is made: what has changed since is not what was published. */
  readonly seen: Seen;
  /** The newest release, unless there is none yet. */
  readonly head: Head | undefined;
  /** From the newest release's tree, or from nothing, to this one. */
  readonly differences: Differences;
  readonly copied: readonly CopiedLink[];
  readonly privateFiles: readonly PrivateFile[];
  /** In a sentence, that most of the newest release's files are not in this tree; undefined when they are. */
  readonly loss: string | undefined;
  /** What would keep machines from booting; empty where nothing has changed, or nobody is to look. */
  readonly findings: readonly Finding[];
  readonly totals: {
    readonly files: number;
    /** Bytes of all files together. */
    readonly bytes: number;
    /** Chunks of the release, the manifest's own included. */
    readonly chunks: number;
  };
}

/** Reading a large tree takes minutes, in which others may publish: what the canister said before so long is asked again. */
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
 * @throws UserError that names all that cannot be published, or is not to be
 */
export async function planPublication(
  { directory, reading, policy, progress }: PlanOptions,
  source: ReleaseReader,
  permitted: Promise<unknown> = Promise.resolve(),
): Promise<Plan> {
  // Asked while the directory is read; if that fails, nobody waits for the answer.
  const began = performance.now();
  const asked = newestRelease(source);
  asked.catch(() => {});
  await permitted;
  const problems = new Problems();
  const listed = await listing(progress, (named) => scan(directory, reading, problems, named));
  const { entries: scanned, seen, copied, privateFiles, leftOut } = listed;
  const budget = canistersBudget();
  await problems.addAll(treeProblems(scanned, budget), directory);
  // A tree with so many links is to be made in another way: nothing that its files may have would matter.
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
    if (countFiles(before) > 0) throwIfEmpty({ directory, files, leftOut }, has, policy);
  }
  const found = differences(before, entries);
  const isSame = newest !== undefined && areNone(found);
  const findings = isSame || policy.lint === "off" ? [] : await lintPlanned(tree, scanned);
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

function lintPlanned({ manifest }: ChunkedTree, scanned: readonly Scanned[]): Promise<readonly Finding[]> {
  return lint(Tree.of(manifest, 0n), localReader(scanned));
}

function countFiles(entries: readonly Entry[]): number {
  return entries.filter(({ kind }) => kind === "file").length;
}

interface Newest {
  readonly head: Head;
  readonly entries: readonly Entry[];
}

/** @param known is returned when it still is the newest */
async function newestRelease(source: ReleaseReader, known?: Newest): Promise<Newest | undefined> {
  const head = await source.head();
  if (head === undefined || known?.head.hash.equals(head.hash)) return head && known;
  return { head, entries: (await source.manifest(head.header)).entries };
}
