/** Finds out by queries alone what publishing a directory would do. */
import type { HttpAgent } from "@icp-sdk/core/agent";
import type { Principal } from "@icp-sdk/core/principal";
import { messageOf, UserError } from "../errors.ts";
import { icfsCanister } from "../icfs-canister.ts";
import { describeFinding } from "../lint/finding.ts";
import { oneLine } from "../log.ts";
import type { ReleaseReader } from "../source/icfs/release-reader.ts";
import { areNone, type Differences, differenceLines } from "../tree/diff.ts";
import { sizeText } from "../units.ts";
import type { UploadChunk } from "./chunker.ts";
import { checkNote, type PlanOptions, planPublication } from "./plan.ts";
import { arrow, type CopiedLink } from "./scan.ts";
import { missingChunks } from "./upload.ts";

export interface DryRun {
  /** The parent of the new release; null when it would be the first. */
  readonly newest: number | null;
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** Chunks of the release, including the manifest's own. */
  readonly chunks: number;
  readonly chunksToUpload: number;
  readonly bytesToUpload: number;
  readonly differences: Differences;
  /** Symlinks that would be replaced by what they point to. */
  readonly copiedLinks: readonly CopiedLink[];
  /** Files that others on this host cannot read. */
  readonly privateFiles: readonly string[];
}

export interface DryRunOptions extends PlanOptions {
  readonly canister: Principal;
  /** Needs no rights: only queries are made. */
  readonly agent: HttpAgent;
  readonly source: ReleaseReader;
  readonly note: string;
  /** Called with further warnings for the publisher, as sentences. */
  readonly warn: (message: string) => void;
}

/** @throws UserError where publishing would */
export async function dryRun(options: DryRunOptions): Promise<DryRun> {
  const { progress } = options;
  checkNote(options.note);
  try {
    const plan = await planPublication(options, options.source);
    const { tree, head, differences, totals, copied, privateFiles } = plan;
    for (const finding of plan.findings) options.warn(describeFinding(finding));
    if (plan.loss !== undefined) options.warn(plan.loss);
    // As in a real publication, an unchanged tree makes no release and uploads nothing.
    const same = head !== undefined && areNone(differences);
    const missing = same ? [] : await missingFrom(options, tree.chunks);
    return {
      newest: head === undefined ? null : head.header.number,
      ...totals,
      chunksToUpload: missing.length,
      bytesToUpload: missing.reduce((sum, { size }) => sum + size, 0),
      differences,
      copiedLinks: copied,
      privateFiles: privateFiles.map(({ path }) => path),
    };
  } finally {
    progress.stop();
  }
}

async function missingFrom(
  { agent, canister }: DryRunOptions,
  chunks: readonly UploadChunk[],
): Promise<readonly UploadChunk[]> {
  try {
    return await missingChunks(icfsCanister(agent, canister), chunks);
  } catch (error) {
    throw new UserError(`cannot find out what the canister has: ${messageOf(error)}`, { cause: error });
  }
}

/** The changes, one per line, and the result as a sentence. */
export function describeDryRun(result: DryRun): string {
  const { newest, files, bytes, chunksToUpload, bytesToUpload, differences } = result;
  const what = `${files} files, ${sizeText(bytes)}`;
  return [
    ...differenceLines(differences),
    ...readingLines(result.copiedLinks, result.privateFiles),
    newest !== null && areNone(differences)
      ? `nothing would change: release ${newest} has this tree, ${what}`
      : `would publish release ${(newest ?? 0) + 1}: ${what}; to upload: ${chunksToUpload} chunks, ${sizeText(bytesToUpload)}`,
  ].join("\n");
}

/**
 * Names what is published in another form than it has in the directory, or is less private there, one per line as in
 * differenceLines().
 */
export function readingLines(copied: readonly CopiedLink[], privateFiles: readonly string[]): string[] {
  return [
    ...copied.map((link) => oneLine(`copied  symlink   ${arrow(link)}`)),
    ...privateFiles.map((path) => oneLine(`private file      ${path}`)),
  ];
}
