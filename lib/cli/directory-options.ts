/** Options that select which part of a directory to publish or compare. */
import { type Command, InvalidArgumentError } from "commander";
import { UsageError } from "../errors.ts";
import type { Making } from "../publish/made-files.ts";
import type { Reading } from "../publish/scan.ts";
import { flag, isGiven, named, option } from "./options.ts";

export interface DirectoryOptions {
  readonly copyLinks?: boolean;
  readonly copyUnsafeLinks?: boolean;
  readonly exclude: readonly string[];
  readonly machines?: string;
  readonly machinesTemplate?: string;
  readonly allowSecrets?: boolean;
}

/** Adds --copy-links, --copy-unsafe-links, --exclude, and the options for files made from a list of machines. */
export function withDirectory(command: Command): Command {
  return command
    .addOption(flag("--copy-links", "replace all symlinks by what they point to"))
    .addOption(
      flag(
        "--copy-unsafe-links",
        "replace symlinks that are absolute or leave the directory by what they point to",
      ),
    )
    .addOption(
      option(
        "--exclude <pattern>",
        "leave out what matches, as a line of .gitignore would; repeat the option, or use one line each in the variable. Files .icfsignore in the directory have such lines as well",
      )
        .argParser(collectPatterns)
        .default([], "none"),
    )
    .addOption(
      option(
        "--machines <file>",
        "add files for each machine that this file lists, in YAML or CSV, made of templates; `icfs example machines` prints such a file",
      ).argParser(named("a file")),
    )
    .addOption(
      option(
        "--machines-template <directory>",
        "make machines' files of the templates in this directory, and put them where it has them; default: built-in ones for PXELINUX, GRUB and iPXE",
      ).argParser(named("a directory")),
    )
    .addOption(
      flag("--allow-secrets", "take variables and files of machines that look like passwords or keys"),
    );
}

function collectPatterns(text: string, before: readonly string[] = []): string[] {
  const patterns = text.split("\n").filter((pattern) => pattern !== "");
  if (patterns.length === 0) throw new InvalidArgumentError("Use a pattern such as *.bak");
  return [...before, ...patterns];
}

/** @param command as it was parsed. @throws UserError when the machines file cannot be read */
export async function readingOf(options: DirectoryOptions, command: Command): Promise<Reading> {
  const { copyLinks, copyUnsafeLinks, exclude } = options;
  const links = copyLinks ? "copy" : copyUnsafeLinks ? "copy-unsafe" : "keep";
  return { links, exclude, ignoreFiles: true, making: await makingOf(options, command) };
}

async function makingOf(options: DirectoryOptions, command: Command): Promise<Making | undefined> {
  const { machines: file, machinesTemplate: templates, allowSecrets = false } = options;
  if (file === undefined) {
    if (isGiven(command, "machinesTemplate"))
      throw new UsageError("--machines-template needs machines: name a file with --machines");
    return undefined;
  }
  const { readMachines } = await import("../machines/machines.ts");
  return readMachines({ file, templates, allowSecrets });
}
