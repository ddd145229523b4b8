/** The completion for zsh: a function for each command, which tells _arguments what the command takes. */
import {
  argumentValue,
  brief,
  flagsOf,
  groups,
  type Leaf,
  leaves,
  optionsOf,
  optionValue,
  program,
  quoted,
  type Value,
} from "../commands.ts";

/** @returns the file */
export function zsh(): string {
  const all = leaves();
  const first = program.commands;
  /** A colon ends a description, and brackets enclose one. */
  const plain = (text: string) => brief(text).replace(/[[\]\\:]/g, "\\$&");
  const action = (value: Value): string => {
    if (value === "directory") return "_files -/";
    if (value === "file") return "_files";
    return value === "other" ? " " : `(${value.words.join(" ")})`;
  };
  const specs = ({ command }: Leaf): string[] => [
    ...optionsOf(command).map((option) => {
      const flags = flagsOf(option);
      const value = optionValue(option);
      const name = value === undefined ? flags : flags.map((flag) => `${flag}=`);
      const what = `[${plain(option.description)}]${value === undefined ? "" : `:${plain(option.name())}:${action(value)}`}`;
      return flags.length === 1
        ? quoted(name[0]! + what)
        : `${quoted(`(${flags.join(" ")})`)}{${name.join(",")}}${quoted(what)}`;
    }),
    ...command.registeredArguments.map((argument, place) =>
      quoted(
        `${place + 1}:${argument.required ? "" : ":"}${plain(argument.name())}:${action(argumentValue(argument))}`,
      ),
    ),
  ];
  const named = (path: readonly string[]) => `_icfs_${path.join("_")}`;
  const list = (names: readonly { name: string; description: string }[]) =>
    names.map(({ name, description }) => `    ${quoted(`${name}:${plain(description)}`)}`).join("\n");
  const functions = all.map(
    (leaf) => `${named(leaf.path)}() {\n  _arguments -s ${specs(leaf).join(" \\\n    ")}\n}`,
  );
  const dispatcher = (
    name: string,
    prefix: readonly string[],
    names: { name: string; description: string }[],
  ) => `${name}() {
  local line state commands
  commands=(
${list(names)}
  )
  _arguments -C '(-h --help)'{-h,--help}'[display help]' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument) (( $+functions[${named([...prefix, "$line[1]"])}] )) && ${named([...prefix, "$line[1]"])} ;;
  esac
}`;
  const described = (commands: typeof first) =>
    commands.map((one) => ({ name: one.name(), description: one.description() }));
  for (const [group] of groups()) {
    functions.push(
      dispatcher(named([group]), [group], described(first.find((one) => one.name() === group)!.commands)),
    );
  }
  return `#compdef icfs
# zsh completion for icfs; made by packaging/completions.ts
${functions.join("\n")}
${dispatcher("_icfs", [], described(first))}
_icfs "$@"
`;
}
