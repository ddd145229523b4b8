/** Options that say what of a directory is published, or compared with what is. */
import { type Command, InvalidArgumentError } from "commander";
import type { Reading } from "../publish/scan.ts";
import { flag, option } from "./options.ts";

export interface DirectoryOptions {
  readonly copyLinks?: boolean;
  readonly copyUnsafeLinks?: boolean;
  readonly exclude: readonly string[];
}

/** Adds --copy-links, --copy-unsafe-links and --exclude. */
export function withDirectory(command: Command): Command {
  return command
    .addOption(flag("--copy-links", "take what symlinks point to in place of all symlinks"))
    .addOption(
      flag(
        "--copy-unsafe-links",
        "take what symlinks point to in place of those that are absolute or leave the directory",
      ),
    )
    .addOption(
      option(
        "--exclude <pattern>",
        "leave out what matches, as a line of .gitignore does; more than once, or a line each in the variable. Files .icfsignore in the directory have such lines as well",
      )
        .argParser(collectPatterns)
        .default([], "none"),
    );
}

function collectPatterns(text: string, before: readonly string[] = []): string[] {
  const patterns = text.split("\n").filter((pattern) => pattern !== "");
  if (patterns.length === 0) throw new InvalidArgumentError("Use a pattern such as *.bak");
  return [...before, ...patterns];
}

export function readingOf({ copyLinks, copyUnsafeLinks, exclude }: DirectoryOptions): Reading {
  return { links: copyLinks ? "copy" : copyUnsafeLinks ? "copy-unsafe" : "keep", exclude, ignoreFiles: true };
}
