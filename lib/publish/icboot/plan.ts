/** Finds out by queries alone what publishing a directory to the original's canister would do. */
import { UserError } from "../../errors.ts";
import type { Call } from "../../ic/canister-calls.ts";
import type { Differences } from "../../tree/diff.ts";
import { comparePaths } from "../../tree/manifest.ts";
import { parentPath } from "../../tree/rules.ts";
import type { PlanOptions } from "../plan.ts";
import { addPrivateFiles, throwIfEmpty } from "../policy.ts";
import { Problems } from "../problems.ts";
import { listing } from "../progress.ts";
import type { CopiedLink, PrivateFile } from "../scan.ts";
import type { Seen } from "../seen.ts";
import { listedLengths, unlike } from "./compare.ts";
import { type PlainFile, plainFiles } from "./plain-files.ts";

/**
 * The limit for all names together, in bytes with Candid's overhead: the canister lists them in one reply, which may have 2 MiB
 * on its way through consensus. With a longer list nobody could find out any more what the canister has, and nothing can be
 * deleted.
 */
const MAX_LISTING_BYTES = 2_000_000;
const LISTING_BYTES_A_NAME = 8;

export interface IcbootPlan {
  readonly files: readonly PlainFile[];
  /** The files that the canister lacks, or has with other content. */
  readonly missing: readonly PlainFile[];
  /** `removed` is empty: the canister cannot delete. */
  readonly differences: Differences;
  /** Names of files on the canister that are not in the directory, and stay. */
  readonly stale: readonly string[];
  /** Links that were skipped because they lead to a directory that contains them. */
  readonly loops: readonly string[];
  /** Checked again when everything has been sent. */
  readonly seen: Seen;
  readonly copied: readonly CopiedLink[];
  readonly privateFiles: readonly PrivateFile[];
}

/** @throws UserError that names everything that cannot or must not be published */
export async function planFiles(options: PlanOptions, call: Call): Promise<IcbootPlan> {
  const { directory, reading, policy, progress } = options;
  const problems = new Problems();
  const { files, leftOut, ...found } = await listing(progress, (named) =>
    plainFiles(directory, reading, problems, named),
  );
  addPrivateFiles(problems, found.privateFiles, policy);
  problems.throwIfAny(directory);

  const lengths = await listedLengths(call);
  if (lengths.size > 0) {
    const own = files.filter((file) => !("made" in file)).length;
    throwIfEmpty({ directory, files: own, leftOut }, `the canister has ${lengths.size}`, policy);
  }
  for (const { path } of files) {
    const file = fileAbove(path, lengths);
    if (file !== undefined) {
      problems.add(`${path}: on the canister ${file} is a file, which cannot be deleted there`);
    }
  }
  problems.throwIfAny(directory);
  checkListing(files, lengths);

  const missing = await unlike(call, files, lengths, "comparing", progress);
  problems.addChanges(await found.seen.changes());
  problems.throwIfAny(directory);
  const change = ({ path }: PlainFile) => ({ path, kind: "file" as const, what: "bytes" });
  const added = ({ path }: PlainFile) => ({ path, kind: "file" as const });
  const own = new Set(files.map(({ path }) => path));
  return {
    files,
    missing,
    differences: {
      added: missing.filter(({ path }) => !lengths.has(path)).map(added),
      changed: missing.filter(({ path }) => lengths.has(path)).map(change),
      removed: [],
    },
    stale: [...lengths.keys()].filter((name) => !own.has(name)).sort(comparePaths),
    ...found,
  };
}

/** The listed file that would have to be a directory to contain `path`. */
function fileAbove(path: string, lengths: ReadonlyMap<string, number>): string | undefined {
  for (let at = parentPath(path); at !== ""; at = parentPath(at)) if (lengths.has(at)) return at;
  return undefined;
}

/** @throws UserError when the canister could no longer list its files afterwards */
function checkListing(files: readonly PlainFile[], lengths: ReadonlyMap<string, number>): void {
  const names = new Set([...lengths.keys(), ...files.map(({ path }) => path)]);
  let bytes = 0;
  for (const name of names) bytes += Buffer.byteLength(name) + LISTING_BYTES_A_NAME;
  if (bytes > MAX_LISTING_BYTES) {
    throw new UserError(
      `the canister could not list its files any more, with ${names.size} names of ${bytes} bytes in all: publish fewer files, or use shorter names`,
    );
  }
}
