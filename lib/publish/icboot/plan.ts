/** What publishing a directory to the original's canister comes to, found out by queries alone. */
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
 * Bytes of all names together, with what Candid adds to each: the canister lists them in one reply, of which the IC takes
 * 2 MiB through consensus. Beyond that nobody could find out any more what it has, and nothing can be deleted.
 */
const MAX_LISTING_BYTES = 2_000_000;
const LISTING_BYTES_A_NAME = 8;

export interface IcbootPlan {
  readonly files: readonly PlainFile[];
  /** Those that the canister has otherwise, or not at all. */
  readonly missing: readonly PlainFile[];
  /** `removed` is empty: nothing can be. */
  readonly differences: Differences;
  /** Names of what is on the canister and not in the directory, and stays there. */
  readonly stale: readonly string[];
  /** Links that were not entered, since they lead to a directory that they are in. */
  readonly loops: readonly string[];
  /** To be asked again when all has been sent. */
  readonly seen: Seen;
  readonly copied: readonly CopiedLink[];
  readonly privateFiles: readonly PrivateFile[];
}

/** @throws UserError that names all that cannot be published, or is not to be */
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
    throwIfEmpty({ directory, files: files.length, leftOut }, `the canister has ${lengths.size}`, policy);
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

/** The listed name that would have to be a directory for `path` to be there. */
function fileAbove(path: string, lengths: ReadonlyMap<string, number>): string | undefined {
  for (let at = parentPath(path); at !== ""; at = parentPath(at)) if (lengths.has(at)) return at;
  return undefined;
}

/** @throws UserError when the canister could not list what it has afterwards */
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
