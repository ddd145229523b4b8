/** What a publication comes to, before anything is sent: the directory as chunks and manifest, beside the newest release. */
import { UserError } from "../errors.ts";
import type { Head, ReleaseReader } from "../source/icfs/release-reader.ts";
import { type Differences, differences } from "../tree/diff.ts";
import { MAX_NOTE_BYTES } from "../tree/limits.ts";
import type { Entry } from "../tree/manifest.ts";
import { treeProblems } from "../tree/manifest-decoder.ts";
import { type ChunkedTree, chunkTree } from "./chunker.ts";
import type { Progress } from "./progress.ts";
import { bytesOf, Problems, scan } from "./scan.ts";
import type { Seen } from "./seen.ts";

export interface Plan {
  readonly tree: ChunkedTree;
  /** To be asked again before the release is made: what has changed since is not what was published. */
  readonly seen: Seen;
  /** The newest release, unless there is none yet. */
  readonly head: Head | undefined;
  /** From the newest release's tree, or from nothing, to this one. */
  readonly differences: Differences;
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

/** @throws UserError when a release cannot have this note */
export function checkNote(note: string): void {
  const bytes = Buffer.byteLength(note);
  if (bytes > MAX_NOTE_BYTES) {
    throw new UserError(`the note has ${bytes} bytes; ${MAX_NOTE_BYTES} is the limit`);
  }
}

/** @throws UserError that names all that cannot be published */
export async function planPublication(
  directory: string,
  source: ReleaseReader,
  progress: Progress,
): Promise<Plan> {
  // Asked while the directory is read; if that fails, nobody waits for the answer.
  const began = performance.now();
  const asked = newestRelease(source);
  asked.catch(() => {});
  const problems = new Problems();
  const { entries: scanned, seen } = await scan(directory, problems);
  progress.start("hashing", bytesOf(scanned));
  const tree = await chunkTree(scanned, problems, (bytes) => progress.add(bytes));
  progress.stop();
  for (const change of await seen.changes()) problems.add(change);
  for (const problem of treeProblems(tree.manifest.entries)) problems.add(problem);
  problems.throwIfAny(directory);

  const { entries } = tree.manifest;
  let newest = await asked;
  if (performance.now() - began > STALE_MS) newest = await newestRelease(source, newest);
  return {
    tree,
    seen,
    head: newest?.head,
    differences: differences(newest?.entries ?? [], entries),
    totals: {
      files: entries.filter(({ kind }) => kind === "file").length,
      bytes: tree.bytes,
      chunks: tree.chunks.length,
    },
  };
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
