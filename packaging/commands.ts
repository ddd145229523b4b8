/**
 * Reads the commands and options of icfs from the program itself, for its manual and the shells' completions, so that they cannot
 * differ. Defaults are root's, whoever builds.
 */
import type { Argument, Command, Option } from "commander";

// Before the commands are made, since they read the user and the environment.
for (const name of Object.keys(process.env)) if (/^(ICFS|XDG)_/.test(name)) delete process.env[name];
process.getuid = () => 0;
const { wholeProgram } = await import("../lib/cli/program.ts");
export const program: Command = await wholeProgram();

/** A command with its path: `icfs cache ls`. */
export interface Leaf {
  readonly command: Command;
  /** Without `icfs`: ["cache", "ls"]. */
  readonly path: readonly string[];
}

/** The commands without subcommands, in the order of the help. */
export function leaves(from: Command = program, path: readonly string[] = []): Leaf[] {
  return from.commands.flatMap((command) => {
    const at = [...path, command.name()];
    return command.commands.length > 0 ? leaves(command, at) : [{ command, path: at }];
  });
}

/** The commands that have subcommands (`cache` and `trust`), with these. */
export function groups(): Map<string, readonly Leaf[]> {
  return Map.groupBy(
    leaves().filter(({ path }) => path.length > 1),
    ({ path }) => path[0]!,
  );
}

/** The value of an argument or an option: words to choose from, a path, or something that no shell can complete. */
export type Value = { readonly words: readonly string[] } | "directory" | "file" | "other";

/** The value of an argument. */
export function argumentValue(argument: Argument): Value {
  return valueFor(argument.name(), argument.argChoices);
}

/** The value of an option; undefined if it takes none. */
export function optionValue(option: Option): Value | undefined {
  const placeholder = /<(.*)>/.exec(option.flags)?.[1];
  return placeholder === undefined ? undefined : valueFor(placeholder, option.argChoices);
}

/** Recognizes values by their names in the help: `<ic|local|URL>` is two words, and something else. */
function valueFor(placeholder: string, choices: readonly string[] | undefined): Value {
  if (choices !== undefined) return { words: choices };
  if (/\b(dir|directory|mountpoint)\b/.test(placeholder)) return "directory";
  if (/\b(file|FILE|PEM)\b/.test(placeholder)) return "file";
  const words = placeholder.split("|").filter((one) => /^[a-z]+$/.test(one));
  return placeholder.includes("|") && words.length > 0 ? { words } : "other";
}

/** A command's options, including the common ones. */
export function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** The help's text on an option, with choices, default and variable. */
export function describeOption(command: Command, option: Option): string {
  return command.createHelp().optionDescription(option);
}

/** `-h` and `--help`. */
export function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter((flag) => flag != null);
}

/** The first words of a description, enough for a list. */
export function brief(text: string): string {
  return text.split(/[;(]|: /, 1)[0]!.trim();
}

/** Quotes a text as one word for a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
