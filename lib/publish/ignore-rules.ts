/** What of a directory stays at home, by gitignore's rules (gitignore(5)): patterns of the command line, and files with patterns. */
import ignore, { type Ignore } from "ignore";

/** What a file with patterns is called, in whichever directory; it is not published itself. */
export const IGNORE_FILE = ".icfsignore";

export class IgnoreRules {
  readonly #commandLine: readonly string[];
  /** All files' patterns as if they stood in the topmost directory, stronger ones behind weaker. */
  readonly #files: readonly string[];
  readonly #all: Ignore | undefined;

  private constructor(commandLine: readonly string[], files: readonly string[]) {
    this.#commandLine = commandLine;
    this.#files = files;
    const all = [...files, ...commandLine];
    // One for all: what one file says of a directory counts for what another says of things in it.
    this.#all = all.length === 0 ? undefined : ignore({ ignorecase: false }).add(all);
  }

  /** @param patterns of the command line, stronger than any file's: in them, as with git, # begins no comment and blanks count */
  static of(patterns: readonly string[]): IgnoreRules {
    const literal = (pattern: string) =>
      pattern.replace(/^#/, "\\#").replace(/ +$/, (blanks) => "\\ ".repeat(blanks.length));
    return new IgnoreRules(patterns.map(literal), []);
  }

  /** These rules and those of a file in `directory`, which are stronger than those of files above it. */
  with(directory: string, file: string): IgnoreRules {
    const lines = file
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
      .filter((line) => line !== "" && !line.startsWith("#"));
    const moved = directory === "" ? lines : lines.map((line) => fromAbove(directory, line));
    return new IgnoreRules(this.#commandLine, [...this.#files, ...moved]);
  }

  /** @param path of what is in a directory that does not stay at home itself */
  ignores(path: string, isDirectory: boolean): boolean {
    return this.#all?.ignores(isDirectory ? `${path}/` : path) ?? false;
  }
}

/** A pattern in a file in `directory` as one above it. */
function fromAbove(directory: string, pattern: string): string {
  const [, not, body] = /^(!?)(.*)$/s.exec(pattern)!;
  // A slash that is not the last character: relative to the directory itself, and not to any below.
  const isAnchored = /\/(?!\s*$)/.test(body!);
  // Where they are no longer the first character, these need no backslash.
  const rest = body!.replace(/^\//, "").replace(/^\\([!#])/, "$1");
  const base = directory.replace(/[\\*?[\] ]/g, "\\$&");
  return `${not}/${base}/${isAnchored ? "" : "**/"}${rest}`;
}
