/** Collects the problems of a file that the user wrote, by line, to report them together. */
import { UserError } from "../errors.ts";
import { oneLine } from "../log.ts";

/** More problems than this are one mistake, made many times. */
const MOST_SHOWN = 20;

export class FileProblems {
  readonly #file: string;
  readonly #found = new Set<string>();
  readonly #advice = new Set<string>();

  /** @param file as the user named it */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Repeated problems are reported once.
   *
   * @param line from 1; undefined where it concerns the whole file
   * @param advice a sentence for all problems of its kind
   */
  add(line: number | undefined, problem: string, advice?: string): void {
    const place = line === undefined ? this.#file : `${this.#file}:${line}`;
    this.#found.add(oneLine(`${place}: ${problem}`));
    if (advice !== undefined) this.#advice.add(advice);
  }

  /** @throws UserError that lists the problems, if there are any */
  throwIfAny(): void {
    const found = [...this.#found];
    if (found.length === 0) return;
    const more = found.length - MOST_SHOWN;
    const lines = [...found.slice(0, MOST_SHOWN), ...(more > 0 ? [`and ${more} more`] : []), ...this.#advice];
    throw new UserError(lines.join("\n  "));
  }
}
