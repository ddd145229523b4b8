/** The completion for fish: a line for each option and argument, with the command that it belongs to. */
import {
  argumentValue,
  brief,
  groups,
  leaves,
  optionsOf,
  optionValue,
  program,
  quoted,
  type Value,
} from "../commands.ts";

/** @returns the file */
export function fish(): string {
  const all = leaves();
  const first = program.commands;
  const lines = [
    "# fish completion for icfs; made by packaging/completions.ts",
    "# The command so far, without options and arguments.",
    "function __icfs_command",
    "  set -l words (string match --invert -- '-*' (commandline --tokenize --cut-at-cursor --current-process))[2..]",
    `  if contains -- "$words[1]" ${[...groups().keys()].join(" ")}`,
    '    echo "$words[1] $words[2]"',
    "  else",
    '    echo "$words[1]"',
    "  end",
    "end",
    "complete -c icfs -f",
  ];
  const when = (text: string) => `complete -c icfs -n 'test (__icfs_command) = "${text}"'`;
  const value = (one: Value): string => {
    if (one === "directory") return ` -x -a '(__fish_complete_directories)'`;
    if (one === "file") return " -r -F";
    return one === "other" ? " -x" : ` -x -a ${quoted(one.words.join(" "))}`;
  };
  for (const command of first) {
    lines.push(`${when("")} -a ${command.name()} -d ${quoted(brief(command.description()))}`);
  }
  for (const { command, path } of all) {
    const name = path.join(" ");
    if (path.length > 1) {
      lines.push(`${when(`${path[0]} `)} -a ${path[1]} -d ${quoted(brief(command.description()))}`);
    }
    for (const option of optionsOf(command)) {
      const takes = optionValue(option);
      const short = option.short == null ? "" : ` -s ${option.short.slice(1)}`;
      lines.push(
        `${when(name)}${short} -l ${option.long!.slice(2)}${takes === undefined ? "" : value(takes)} -d ${quoted(brief(option.description))}`,
      );
    }
    for (const argument of command.registeredArguments) {
      const takes = argumentValue(argument);
      if (takes === "directory") lines.push(`${when(name)} -a '(__fish_complete_directories)'`);
      else if (typeof takes === "object") lines.push(`${when(name)} -a ${quoted(takes.words.join(" "))}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
