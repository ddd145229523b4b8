/** Collects the problems of a tree, so that they are reported together. */
import { lstat, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UserError } from "../errors.ts";
import { oneLine } from "../log.ts";
import type { TreeProblem } from "../tree/manifest-decoder.ts";

/** How many problems are shown at most; by then the cause is clear. */
const MAX_PROBLEMS = 20;

export const LEAVE_OUT =
  "--exclude PATTERN, or a line in a file .icfsignore, leaves out what is not to be published";
const COPY_LINKS =
  "--copy-unsafe-links publishes what a symlink out of the directory points to in its place, --copy-links what any does";

export class Problems {
  readonly #found = new Set<string>();
  readonly #advice = new Set<string>();

  /**
   * Repeated problems are reported once.
   *
   * @param advice a sentence for all problems of its kind
   */
  add(problem: string, advice?: string): void {
    this.#found.add(oneLine(problem));
    if (advice !== undefined) this.#advice.add(advice);
  }

  /** Adds what has changed since it was scanned. */
  addChanges(changes: readonly string[]): void {
    for (const change of changes) this.add(change, "publish again when nobody writes to it");
  }

  /** Adds what a release cannot contain. @param directory contains the paths */
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

  /** @throws UserError that lists the problems, if there are any */
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

/**
 * Whether a copy of a symlink's target could be published instead: the target exists, and is not a circle or a directory around
 * the link.
 */
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
