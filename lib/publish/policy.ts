/** Catches likely mistakes of a publisher: an empty directory, most files gone, files that were private. */
import { UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import type { Differences } from "../tree/diff.ts";
import type { Problems } from "./problems.ts";
import type { PrivateFile } from "./scan.ts";

export interface Policy {
  /** Whether a tree without files can replace one with files. */
  readonly allowEmpty: boolean;
  /** What to do with files that others on the publisher's host cannot read. */
  readonly privateFiles: "publish" | "error";
  /** What to do with findings of lint (lib/lint): warn, fail, or not look at all. */
  readonly lint: "warn" | "error" | "off";
}

/** How many names are shown at most. */
const NAMES_SHOWN = 5;

/** The first few names, and how many more there are. */
export function shown(names: readonly string[], most = NAMES_SHOWN): string {
  const more = names.length - most;
  return `${names.slice(0, most).map(oneLine).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/**
 * Checks a directory that would replace one with files.
 *
 * @param leftOut how many of its names are excluded by patterns
 * @param there what is published already, as in "the canister has 5"
 * @throws UserError when the directory has no files
 */
export function throwIfEmpty(
  {
    directory,
    files,
    leftOut,
  }: { readonly directory: string; readonly files: number; readonly leftOut: number },
  there: string,
  { allowEmpty }: Policy,
): void {
  if (files > 0 || allowEmpty) return;
  const [what, question] =
    leftOut > 0
      ? [
          `no files to publish but those that patterns leave out (${leftOut} names)`,
          "are --exclude, ICFS_EXCLUDE and the files .icfsignore as they should be?",
        ]
      : ["no files to publish", "is it the right directory, and is what belongs there mounted?"];
  throw new UserError(
    `${directory} has ${what}, and ${there}: ${question} --allow-empty publishes it as it is`,
  );
}

/**
 * A sentence that warns when more than half of a release's files are gone; otherwise undefined. @param files how many the release
 * has
 */
export function lossOf(
  { removed, changed }: Differences,
  release: number,
  files: number,
): string | undefined {
  const gone = [
    ...removed.filter(({ kind }) => kind === "file"),
    ...changed.filter(({ what }) => what === "was a file"),
  ].map(({ path }) => path);
  if (gone.length * 2 <= files) return undefined;
  return `of the ${files} files of release ${release} this removes ${gone.length}: ${shown(gone)}`;
}

/** Names for files that others cannot read: the directory or symlink that blocks access, where that is the reason. */
function privateNames(files: readonly PrivateFile[]): string[] {
  const names = new Map<string, number>();
  for (const { path, behind } of files) {
    const name = behind === undefined || behind === path ? path : `${behind}/`;
    names.set(name, (names.get(name) ?? 0) + 1);
  }
  return [...names].map(([name, count]) => (name.endsWith("/") ? `${name} (${count} files)` : name));
}

/** Reports private files as problems, if the policy says so. */
export function addPrivateFiles(
  problems: Problems,
  files: readonly PrivateFile[],
  { privateFiles }: Policy,
): void {
  if (privateFiles !== "error") return;
  for (const name of privateNames(files)) {
    problems.add(
      `${name}: others on this host cannot read it`,
      "--private-files publish publishes these as well, for all readers of the canister",
    );
  }
}

/** A sentence on what publishing them means; undefined when there are none. */
export function describePrivateFiles(files: readonly PrivateFile[]): string | undefined {
  if (files.length === 0) return undefined;
  const names = shown(privateNames(files), PRIVATE_NAMES_SHOWN);
  return `${files.length} files that others on this host cannot read become readable to all readers of the canister: ${names}`;
}

const PRIVATE_NAMES_SHOWN = 20;
