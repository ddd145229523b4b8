/** What a publisher may not have meant: a directory that is empty, most files gone, files that were private. */
import { UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import type { Differences } from "../tree/diff.ts";
import type { Problems } from "./problems.ts";
import type { PrivateFile } from "./scan.ts";

export interface Policy {
  /** Whether a tree without files may take the place of one with some. */
  readonly allowEmpty: boolean;
  /** What becomes of files that others on the publisher's host cannot read. */
  readonly privateFiles: "publish" | "error";
  /** What becomes of what would keep machines from booting (lib/lint): it is told, it is an error, or nobody looks for it. */
  readonly lint: "warn" | "error" | "off";
}

/** So many names are worth showing. */
const NAMES_SHOWN = 5;

/** The first of some names, and how many more there are. */
export function shown(names: readonly string[], most = NAMES_SHOWN): string {
  const more = names.length - most;
  return `${names.slice(0, most).map(oneLine).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/**
 * For a directory that is to take the place of one with files.
 *
 * @param leftOut how many names in it patterns leave out
 * @param there what is published already, as "the canister has 5"
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

/** That more than half of a release's files are gone, in a sentence; undefined when they are not. @param files that the release has */
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

/** Names files that others cannot read, by the directory or symlink behind which they are where that is why. */
function privateNames(files: readonly PrivateFile[]): string[] {
  const names = new Map<string, number>();
  for (const { path, behind } of files) {
    const name = behind === undefined || behind === path ? path : `${behind}/`;
    names.set(name, (names.get(name) ?? 0) + 1);
  }
  return [...names].map(([name, count]) => (name.endsWith("/") ? `${name} (${count} files)` : name));
}

/** Has them refused, where that is wanted. */
export function addPrivateFiles(
  problems: Problems,
  files: readonly PrivateFile[],
  { privateFiles }: Policy,
): void {
  if (privateFiles !== "error") return;
  for (const name of privateNames(files)) {
    problems.add(
      `${name}: others on this host cannot read it`,
      "--private-files publish publishes these as well, for all who may read the canister",
    );
  }
}

/** What publishing them means, in a sentence; undefined when there are none. */
export function describePrivateFiles(files: readonly PrivateFile[]): string | undefined {
  if (files.length === 0) return undefined;
  const names = shown(privateNames(files), PRIVATE_NAMES_SHOWN);
  return `${files.length} files that others on this host cannot read become readable to all who may read the canister: ${names}`;
}

const PRIVATE_NAMES_SHOWN = 20;
