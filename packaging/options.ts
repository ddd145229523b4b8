/**
 * Writes docs/OPTIONS.md, all commands with their options on one page: `node packaging/options.ts >docs/OPTIONS.md`. Like the
 * manual, it is generated from the program.
 */
import type { Option } from "commander";
import { describeOption, type Leaf, leaves, optionsOf, program } from "./commands.ts";

/** An option that at least this many commands describe in the same words is described once, above them. */
const COMMON = 5;

/** Text for a table's cell, in which `<` does not begin a tag. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");
}

const code = (text: string) => `\`${text.replaceAll("|", "\\|")}\``;

function table(heads: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  return [`| ${heads.join(" | ")} |`, "| --- | --- |", ...rows.map((row) => `| ${row.join(" | ")} |`)].join(
    "\n",
  );
}

/** An option as a table row. Equal options give equal rows. */
function row(leaf: Leaf, option: Option): readonly [string, string] {
  return [code(option.flags), cell(describeOption(leaf.command, option))];
}

const withoutHelp = (leaf: Leaf) => optionsOf(leaf.command).filter((option) => option.long !== "--help");

/** The rows that at least COMMON commands share, by the option's long name. */
function commonRows(): Map<string, readonly [string, string]> {
  const all = leaves().flatMap((leaf) =>
    withoutHelp(leaf).map((option) => ({ name: option.long!, row: row(leaf, option) })),
  );
  const same = Map.groupBy(all, (one) => one.row.join("\n"));
  const common = [...same.values()].filter((ones) => ones.length >= COMMON).map(([one]) => one!);
  return new Map(common.map(({ name, row }) => [name, row]));
}

const common = commonRows();

function section(leaf: Leaf): string {
  const { command, path } = leaf;
  const usage = `icfs ${path.join(" ")} ${command.usage().replace(/^\[options\] ?/, "")}`.trim();
  const own: (readonly [string, string])[] = [];
  const shared: string[] = [];
  for (const option of withoutHelp(leaf)) {
    const [flags, text] = row(leaf, option);
    if (common.get(option.long!)?.[1] === text) shared.push(code(option.long!));
    else own.push([flags, text]);
  }
  const places = command.registeredArguments.map(
    (place) => [code(place.name()), cell(command.createHelp().argumentDescription(place))] as const,
  );
  const says = cell(command.description());
  return [
    `## ${usage.replaceAll("<", "&lt;")}`,
    `${says[0]!.toUpperCase()}${says.slice(1)}.`,
    ...(places.length > 0 ? [table(["argument", "what it is"], places)] : []),
    ...(own.length > 0 ? [table(["option", "what it does"], own)] : []),
    ...(shared.length > 0 ? [`Common options: ${shared.join(", ")}.`] : []),
  ].join("\n\n");
}

const page = [
  "# Options",
  `All commands of icfs ${program.version()} and their options. \`node packaging/options.ts >docs/OPTIONS.md\` writes this page from the
program; \`icfs COMMAND --help\` and icfs(1) say the same. An option that names a variable ("env") can be set by it; an empty variable
counts as not set. In fstab, the options of \`icfs mount\` go by the same names without the dashes: see mount.icfs(8).`,
  "## Common options",
  table(["option", "what it does"], [...common.values()]),
  ...leaves().map(section),
];
console.log(page.join("\n\n"));
