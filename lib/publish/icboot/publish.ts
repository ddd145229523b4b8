/**
 * Sends a directory's files to the original's canister, one by one. It has no releases, so a reader in the meantime sees some of
 * the new files and some of the old ones. Files that are there already are not sent, and what was sent is read back.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import { oneLine } from "../../log.ts";
import { areNone, type Differences, differenceLines } from "../../tree/diff.ts";
import { sizeText } from "../../units.ts";
import { readingLines } from "../dry-run.ts";
import { LOOK_PAUSE_MS, LOOKS } from "../patience.ts";
import type { PlanOptions } from "../plan.ts";
import { describePrivateFiles, shown } from "../policy.ts";
import type { Progress } from "../progress.ts";
import type { CopiedLink } from "../scan.ts";
import { listedLengths, unlike } from "./compare.ts";
import type { IcbootWriter } from "./icboot-updates.ts";
import type { PlainFile } from "./plain-files.ts";
import { type IcbootPlan, planFiles } from "./plan.ts";
import { uploadFiles } from "./upload.ts";

interface Common {
  readonly source: "icboot";
  readonly files: number;
  /** Total size of all files, in bytes. */
  readonly bytes: number;
  /** Names of files on the canister that are not in the directory, and stay. */
  readonly stale: readonly string[];
  /** Links that are skipped because they lead to a directory that contains them. */
  readonly loops: readonly string[];
  /** Files that others on this host cannot read. */
  readonly privateFiles: readonly string[];
}

export interface IcbootPublication extends Common {
  readonly filesUploaded: number;
  readonly bytesUploaded: number;
}

export interface IcbootDryRun extends Common {
  readonly filesToUpload: number;
  readonly bytesToUpload: number;
  readonly differences: Differences;
  /** Links out of the directory that would be replaced by what they point to. */
  readonly copiedLinks: readonly CopiedLink[];
}

export interface IcbootOptions extends PlanOptions {
  /** Makes a query. */
  readonly call: Call;
  /** Called with further warnings for the publisher, as sentences. */
  readonly warn: (message: string) => void;
}

/** @throws UserError; some files may have been uploaded by then, and the next attempt continues from there */
export async function publishFiles(
  options: IcbootOptions & { readonly canister: IcbootWriter },
): Promise<IcbootPublication> {
  const { directory, call, canister, progress, warn } = options;
  try {
    const plan = await planFiles(options, call);
    const { missing, stale } = plan;
    const said = describePrivateFiles(plan.privateFiles);
    if (said !== undefined) warn(said);
    if (missing.length > 0) {
      progress.start("uploading", bytesOf(missing));
      await uploadFiles(canister, missing, (bytes) => progress.add(bytes));
      progress.stop();
      await readBack(call, missing, progress);
      await plan.seen.throwIfChanged(directory, "and the canister has some files as they were");
    }
    warnOfLoops(plan, warn);
    if (stale.length > 0) {
      warn(`${stale.length} of the canister's files are not in ${directory}, and stay: ${shown(stale)}`);
    }
    return { ...common(plan), filesUploaded: missing.length, bytesUploaded: bytesOf(missing) };
  } finally {
    progress.stop();
  }
}

/** What publishFiles() would do. @throws UserError, as publishFiles() does */
export async function dryRunFiles(options: IcbootOptions): Promise<IcbootDryRun> {
  const { call, progress, warn } = options;
  try {
    const plan = await planFiles(options, call);
    const { missing, differences, copied } = plan;
    progress.stop();
    warnOfLoops(plan, warn);
    return {
      ...common(plan),
      filesToUpload: missing.length,
      bytesToUpload: bytesOf(missing),
      differences,
      copiedLinks: copied,
    };
  } finally {
    progress.stop();
  }
}

/** @throws UserError when the canister has something other than what was sent */
async function readBack(call: Call, sent: readonly PlainFile[], progress: Progress): Promise<void> {
  let wrong = sent;
  for (let looks = 1; ; looks++) {
    wrong = await unlike(call, wrong, await listedLengths(call), "verifying", progress);
    if (wrong.length === 0) return;
    if (looks === LOOKS) break;
    await sleep(LOOK_PAUSE_MS);
  }
  throw new UserError(
    `the canister has other bytes of ${shown(wrong.map(({ path }) => path))} than were sent: somebody else writes to it, or a file changed meanwhile; publish again`,
  );
}

/** The result in a sentence. */
export function describeFiles(result: IcbootPublication): string {
  const { files, bytes, filesUploaded, bytesUploaded } = result;
  if (filesUploaded === 0) return `nothing changed: ${whatIsThere(result)}`;
  return `published ${files} files, ${sizeText(bytes)}; uploaded ${filesUploaded} files, ${sizeText(bytesUploaded)}`;
}

/** Describes a canister to which nothing has to be sent. */
function whatIsThere({ files, bytes, stale }: Common): string {
  const own = `${files} files, ${sizeText(bytes)}`;
  if (stale.length === 0) return `the canister has this tree, ${own}`;
  if (files === 0) return `there is nothing to publish, and the canister's ${stale.length} files stay`;
  return `the canister has these ${own}, and ${stale.length} others, which stay`;
}

/** What would change and what stays, one per line, and the result as a sentence. */
export function describeDryRunOfFiles(result: IcbootDryRun): string {
  const { files, bytes, filesToUpload, bytesToUpload, differences, stale, copiedLinks, privateFiles } =
    result;
  return [
    ...differenceLines(differences),
    ...stale.map((name) => `stays   file      ${oneLine(name)}`),
    ...readingLines(copiedLinks, privateFiles),
    areNone(differences)
      ? `nothing would change: ${whatIsThere(result)}`
      : `would publish ${files} files, ${sizeText(bytes)}; to upload: ${filesToUpload} files, ${sizeText(bytesToUpload)}`,
  ].join("\n");
}

function common({ files, stale, loops, privateFiles }: IcbootPlan): Common {
  return {
    source: "icboot",
    files: files.length,
    bytes: bytesOf(files),
    stale,
    loops,
    privateFiles: privateFiles.map(({ path }) => path),
  };
}

function warnOfLoops({ loops }: IcbootPlan, warn: IcbootOptions["warn"]): void {
  if (loops.length === 0) return;
  warn(`not entered, since they lead to a directory that they are in: ${shown(loops)}`);
}

function bytesOf(files: readonly PlainFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}
