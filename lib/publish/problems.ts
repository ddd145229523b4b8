/** Collects what is wrong with a tree, so that all of it is said at once. */
import { lstat, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import type { TreeProblem } from "../tree/manifest-decoder.ts";

/** So many problems are worth showing; whoever has more knows by then what is wrong. */
const MAX_PROBLEMS = 20;

export const LEAVE_OUT =
  "--exclude PATTERN, or a line in a file .icfsignore, leaves out what is not to be published";
const COPY_LINKS =
  "--copy-unsafe-links publishes what a symlink out of the directory points to in its place, --copy-links what any does";

export class Problems {
  readonly #found = new Set<string>();
  readonly #advice = new Set<string>();

  /**
   * What is said already is not said again.
   * @param advice in a sentence, for all problems of its kind
   */
  add(problem: string, advice?: string): void {
    this.#found.add(oneLine(problem));
    if (advice !== undefined) this.#advice.add(advice);
  }

  /** What is not as it was when it was looked at. */
  addChanges(changes: readonly string[]): void {
    for (const change of changes) this.add(change, "publish again when nobody writes to it");
  }

  /** What a release cannot have. @param directory that has the paths */
  async addAll(found: Iterable<TreeProblem>, directory: string): Promise<void> {
    for (const { path, problem, target } of found) {
      if (target === undefined) {
        this.add(`${path}: ${problem}`);
        continue;
      }
      this.add(`${path} -> ${target}: ${problem}`, LEAVE_OUT);
      if (!this.#advice.has(COPY_LINKS) && (await canBeCopied(join(directory, path)))) {
        this.#advice.add(COPY_LINKS);
      }
    }
  }

  get found(): readonly string[] {
    return [...this.#found];
  }

  /** @throws UserError that lists them, when there are any */
  throwIfAny(directory: string): void {
    const { found } = this;
    if (found.length === 0) return;
    const more = found.length - MAX_PROBLEMS;
    throw new UserError(
      [
        `${directory} cannot be published; nothing was uploaded:`,
        ...found.slice(0, MAX_PROBLEMS).map((problem) => `  ${problem}`),
        ...(more > 0 ? [`  and ${more} more`] : []),
        ...[...this.#advice].sort(),
      ].join("\n"),
    );
  }
}

/** Whether a symlink leads to something that could be published in its place: not nowhere, in a circle, or to where it is itself. */
async function canBeCopied(link: string): Promise<boolean> {
  try {
    const real = await realpath(link);
    const stats = await lstat(real);
    if (!stats.isDirectory()) return stats.isFile();
    return !`${await realpath(dirname(link))}/`.startsWith(real === "/" ? real : `${real}/`);
  } catch {
    return false;
  }
}
