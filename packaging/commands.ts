/**
 * What icfs understands, as its manual and the shells' completions describe it: read off the program itself, so that they cannot
 * say anything else. Defaults are those of root on any host, whoever builds.
 */
import type { Argument, Command, Option } from "commander";

// Before the commands are made: they look at whose program it is, and at the environment.
for (const name of Object.keys(process.env)) if (/^(ICFS|XDG)_/.test(name)) delete process.env[name];
process.getuid = () => 0;
const { icfsProgram } = await import("../lib/cli/program.ts");
export const program: Command = await icfsProgram();

/** A command with what leads to it: `icfs cache ls`. */
export interface Leaf {
  readonly command: Command;
  /** Without `icfs`: ["cache", "ls"]. */
  readonly path: readonly string[];
}

/** The commands that do something, in the order of the help. */
export function leaves(from: Command = program, path: readonly string[] = []): Leaf[] {
  return from.commands.flatMap((command) => {
    const at = [...path, command.name()];
    return command.commands.length > 0 ? leaves(command, at) : [{ command, path: at }];
  });
}

/** `cache` and `trust`, which have commands of their own, with these. */
export function groups(): Map<string, readonly Leaf[]> {
  return Map.groupBy(
    leaves().filter(({ path }) => path.length > 1),
    ({ path }) => path[0]!,
  );
}

/** What stands in an argument's or an option's place: words to choose from, a path, or something that no shell knows. */
export type Value = { readonly words: readonly string[] } | "directory" | "file" | "other";

/** What an argument is. */
export function argumentValue(argument: Argument): Value {
  return valueFor(argument.name(), argument.argChoices);
}

/** What an option takes; undefined: nothing. */
export function optionValue(option: Option): Value | undefined {
  const placeholder = /<(.*)>/.exec(option.flags)?.[1];
  return placeholder === undefined ? undefined : valueFor(placeholder, option.argChoices);
}

/** By the names that the help has for them: `<ic|local|URL>` has two words, and something else. */
function valueFor(placeholder: string, choices: readonly string[] | undefined): Value {
  if (choices !== undefined) return { words: choices };
  if (/\b(dir|directory|mountpoint)\b/.test(placeholder)) return "directory";
  if (/\b(file|FILE|PEM)\b/.test(placeholder)) return "file";
  const words = placeholder.split("|").filter((one) => /^[a-z]+$/.test(one));
  return placeholder.includes("|") && words.length > 0 ? { words } : "other";
}

/** A command's options with those that every one has. */
export function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** What the help says of one, with choices, default and variable. */
export function describeOption(command: Command, option: Option): string {
  return command.createHelp().optionDescription(option);
}

/** `-h` and `--help`. */
export function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter((flag) => flag != null);
}

/** The first words of a description, which are enough in a list. */
export function brief(text: string): string {
  return text.split(/[;(]|: /, 1)[0]!.trim();
}

/** For a shell, as one word. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
