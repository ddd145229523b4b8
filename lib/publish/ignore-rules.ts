/**
 * Decides what of a directory is not published, by the rules of gitignore(5): patterns of the command line, and files with
 * patterns.
 */
import ignore, { type Ignore } from "ignore";

/** The name of a file with patterns, in any directory. It is not published itself. */
export const IGNORE_FILE = ".icfsignore";

/** A comment, or nothing but slashes and blanks, which has no name to match. */
const NO_PATTERN = /^(#.*|!?\/*\s*)$/s;

export class IgnoreRules {
  readonly #commandLine: readonly string[];
  /** The patterns of all files, rewritten for the topmost directory. Later ones are stronger. */
  readonly #files: readonly string[];
  readonly #all: Ignore | undefined;

  private constructor(commandLine: readonly string[], files: readonly string[]) {
    this.#commandLine = commandLine;
    this.#files = files;
    const all = [...files, ...commandLine];
    // One matcher for all files: what a file says about a directory also applies to what other files say about its contents.
    this.#all = all.length === 0 ? undefined : ignore({ ignorecase: false }).add(all);
  }

  /**
   * @param patterns of the command line, stronger than any file's. As with git, # does not begin a comment in them, and trailing
   * blanks count
   */
  static of(patterns: readonly string[]): IgnoreRules {
    const literal = (pattern: string) =>
      pattern.replace(/^#/, "\\#").replace(/ +$/, (blanks) => "\\ ".repeat(blanks.length));
    return new IgnoreRules(patterns.map(literal), []);
  }

  /** These rules plus those of a file in `directory`, which are stronger than those of files above it. */
  with(directory: string, file: string): IgnoreRules {
    const lines = file
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
      .filter((line) => !NO_PATTERN.test(line));
    const moved = directory === "" ? lines : lines.map((line) => fromAbove(directory, line));
    return new IgnoreRules(this.#commandLine, [...this.#files, ...moved]);
  }

  /** @param path in a directory that is not ignored itself */
  ignores(path: string, isDirectory: boolean): boolean {
    return this.#all?.ignores(isDirectory ? `${path}/` : path) ?? false;
  }
}

/** Rewrites a pattern of a file in `directory` for the topmost directory. */
function fromAbove(directory: string, pattern: string): string {
  const [, not, body] = /^(!?)(.*)$/s.exec(pattern)!;
  // A slash other than at the end makes the pattern relative to the directory itself, not to any below.
  const isAnchored = /\/(?!\s*$)/.test(body!);
  // No longer the first character, these need no backslash.
  const rest = body!.replace(/^\//, "").replace(/^\\([!#])/, "$1");
  const base = directory.replace(/[\\*?[\] ]/g, "\\$&");
  return `${not}/${base}/${isAnchored ? "" : "**/"}${rest}`;
}
