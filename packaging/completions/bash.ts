/** The completion for bash: one function with a list for each place in each command. */
import {
  argumentValue,
  flagsOf,
  groups,
  leaves,
  optionsOf,
  optionValue,
  program,
  type Value,
} from "../commands.ts";

/** @returns the file */
export function bash(): string {
  const all = leaves();
  const reply = (value: Value): string => {
    if (value === "directory") return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur")';
    if (value === "file") return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")';
    if (value === "other") return ":";
    return `mapfile -t COMPREPLY < <(compgen -W "${value.words.join(" ")}" -- "$cur")`;
  };
  const values: string[] = [];
  const options: string[] = [];
  const places: string[] = [];
  for (const { command, path } of all) {
    const name = path.join(" ");
    for (const option of optionsOf(command)) {
      const value = optionValue(option);
      if (value !== undefined) {
        const patterns = flagsOf(option).map((flag) => `"${name} ${flag}"`);
        values.push(`    ${patterns.join(" | ")}) ${reply(value)}; return ;;`);
      }
    }
    const names = optionsOf(command).flatMap(flagsOf).join(" ");
    options.push(`    "${name}") options="${names}" ;;`);
    command.registeredArguments.forEach((argument, place) => {
      const value = argumentValue(argument);
      if (value !== "other") places.push(`    "${name} ${place}") ${reply(value)} ;;`);
    });
  }
  const commands = [...groups()].map(
    ([group, within]) =>
      `    ${group}) mapfile -t COMPREPLY < <(compgen -W "${within.map(({ path }) => path[1]).join(" ")}" -- "$cur"); return ;;`,
  );
  const takesValue = [...new Set(all.flatMap(({ command }) => optionsOf(command)))]
    .filter((option) => optionValue(option) !== undefined)
    .flatMap(flagsOf);
  return `# bash completion for icfs; made by packaging/completions.ts
_icfs() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command="" place=0 options="" word i
  COMPREPLY=()
  # Bash splits \`--open=now\` into three words.
  if [[ $cur == = ]]; then
    cur=""
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      ${[...new Set(takesValue)].join(" | ")}) [[ \${COMP_WORDS[i+1]} == = ]] && ((i++)); ((i++)) ;;
      -*) ;;
      *)
        case $command in
          "") command=$word ;;
          ${[...groups().keys()].join(" | ")}) command="$command $word" ;;
          *) ((place++)) ;;
        esac
        ;;
    esac
  done
  case $command in
    "")
      mapfile -t COMPREPLY < <(compgen -W "${[...program.commands.map((one) => one.name()), "help"].join(" ")} --help --version" -- "$cur")
      return
      ;;
${commands.join("\n")}
  esac
  case "$command $prev" in
${values.join("\n")}
  esac
  case $command in
${options.join("\n")}
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi
  case "$command $place" in
${places.join("\n")}
  esac
}
complete -F _icfs icfs
`;
}
