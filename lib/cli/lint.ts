/** icfs lint: finds what would keep machines from booting from a directory or a release. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import type { ReadFile } from "../lint/boot-tree.ts";
import { describeFinding, type Finding } from "../lint/finding.ts";
import { lint } from "../lint/lint.ts";
import { jsonLine } from "../log.ts";
import { lintDirectory } from "../publish/lintable-tree.ts";
import { FILE_READER_CHUNKS } from "../readahead.ts";
import { fileBytes } from "../serve/file-bytes.ts";
import { isRelease } from "./addresses.ts";
import { type DirectoryOptions, readingOf, withDirectory } from "./directory-options.ts";
import { flag, type ReadingOptions, withMirrors } from "./options.ts";
import { openForReading } from "./reading.ts";
import { readingCache } from "./reading-cache.ts";

interface LintOptions extends ReadingOptions, DirectoryOptions {
  readonly json?: boolean;
}

export function lintCommand(): Command {
  const command = new Command("lint")
    .description(
      "look for problems that would keep machines from booting: boot loaders without their modules, configurations that name missing files, broken kernels and initrds; exit code 1 when it finds something",
    )
    .argument(
      "<directory|canister>",
      "a directory to be published, or a canister id, or ID@RELEASE, or ID@CHANNEL",
    )
    .addOption(
      flag(
        "--json",
        "print an array of objects: kind, file, line, problem, outcome, advice; also machine and template, of files that are made for machines",
      ),
    );
  withDirectory(command);
  return withMirrors(command).action(lintNamed);
}

async function lintNamed(name: string, options: LintOptions, command: Command): Promise<void> {
  const findings = isRelease(name)
    ? await lintRelease(name, options)
    : await lintDirectory(name, await readingOf(options, command));
  if (options.json) console.log(jsonLine(findings));
  else for (const finding of findings) console.log(describeFinding(finding));
  if (findings.length > 0)
    throw new UserError(`${name}: ${findings.length === 1 ? "1 finding" : `${findings.length} findings`}`);
}

async function lintRelease(name: string, options: LintOptions): Promise<Finding[]> {
  const { source, tree } = await openForReading(name, options);
  const cache = readingCache(source);
  const read: ReadFile = (file, from) => {
    const chunks = [...new Set(file.extents.map(({ chunk }) => tree.chunks[chunk]!))];
    return fileBytes(file, tree, from, file.size, (wanted) => {
      const next = chunks.indexOf(wanted) + 1;
      for (const chunk of chunks.slice(next, next + FILE_READER_CHUNKS)) cache.prefetch(chunk);
      return cache.get(wanted);
    });
  };
  return lint(tree, read);
}
