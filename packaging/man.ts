/**
 * Writes icfs(1) and mount.icfs(8): `node packaging/man.ts DIRECTORY`. The prose is in packaging/man, in mdoc(7); a line
 * @COMMANDS@ or @OPTIONS@ there is replaced by the program's own description of its commands and options.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Option } from "commander";
import { mountCommand } from "../lib/cli/mount.ts";
import { isForFstab } from "../lib/cli/mount-helper.ts";
import { describeOption, leaves, optionsOf, program } from "./commands.ts";

/** Escapes text for roff: hyphens can be copied, and nothing looks like a request. */
function roff(text: string): string {
  return (
    text
      .replaceAll("\\", "\\e")
      .replaceAll("-", "\\-")
      .replaceAll("`", "\\(ga")
      .replaceAll("'", "\\(aq")
      .replace(/^\./, "\\&.")
      // A line break tells roff that a sentence ends.
      .replace(/([a-z)])\. (?=[A-Z])/g, "$1.\n")
  );
}

/** A word in a macro's arguments: neither a macro itself, nor punctuation that mdoc would move. */
const word = (text: string) => `"\\&${roff(text).replaceAll('"', '""')}"`;

function list(items: readonly { head: string; text: string }[]): string {
  return [
    ".Bl -tag -width Ds",
    ...items.flatMap(({ head, text }) => [`.It ${head}`, roff(text)]),
    ".El",
  ].join("\n");
}

/** `-f , --foreground`, `--network ic|local|URL` */
function optionHead(option: Option): string {
  const placeholder = /<(.*)>/.exec(option.flags)?.[1];
  const flags = [option.short, option.long].filter((flag) => flag != null);
  const names = flags.map((flag) => `Fl ${word(flag.slice(1))}`).join(" , ");
  return placeholder === undefined ? names : `${names} Ar ${word(placeholder)}`;
}

function commandSections(): string {
  return leaves()
    .map(({ command, path }) => {
      const places = command.registeredArguments.map((argument) => {
        const place = `Ar ${word(argument.name())}`;
        return argument.required ? place : `Oo ${place} Oc`;
      });
      const items = [
        ...command.registeredArguments.map((argument) => ({
          head: `Ar ${word(argument.name())}`,
          text: command.createHelp().argumentDescription(argument),
        })),
        ...optionsOf(command)
          .filter((option) => option.long !== "--help")
          .map((option) => ({ head: optionHead(option), text: describeOption(command, option) })),
      ];
      const says = roff(command.description());
      return [
        `.Ss ${word(`icfs ${path.join(" ")}`)}`,
        ".Bd -ragged",
        `.Nm Cm ${word(path.join(" "))} Oo Ar options Oc ${places.join(" ")}`.trimEnd(),
        ".Ed",
        ".Pp",
        `${says[0]!.toUpperCase()}${says.slice(1)}.`,
        list(items),
      ].join("\n");
    })
    .join("\n");
}

/** The options as written in fstab: `--open whole` is open=whole, without environment variables. */
function mountOptions(): string {
  const command = mountCommand();
  const items = command.options
    .filter((option) => !option.hidden && isForFstab(option.name()))
    .map((option) => {
      const placeholder = /<(.*)>/.exec(option.flags)?.[1];
      const name = option.long!.slice(2);
      const text = describeOption(command, option)
        .replace(/,? ?\(?env: ICFS_\w+(=yes\|no)?\)?/, (found) =>
          found.startsWith(",") && found.endsWith(")") ? ")" : "",
        )
        .replace(/--([\w-]+) (whole|all)\b/g, "$1=$2");
      return {
        head: `Cm ${word(placeholder === undefined ? name : `${name}=`)}${placeholder === undefined ? "" : ` Ns Ar ${word(placeholder)}`}`,
        text,
      };
    });
  return list(items);
}

const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: man.ts DIRECTORY");
mkdirSync(directory, { recursive: true });
const made: Record<string, () => string> = { COMMANDS: commandSections, OPTIONS: mountOptions };
for (const page of ["icfs.1", "mount.icfs.8", "mount.fuse.icfs.8"]) {
  const source = readFileSync(new URL(`man/${page}`, import.meta.url), "utf8");
  const text = source
    .replaceAll("@VERSION@", roff(program.version()!))
    .replace(/^@(\w+)@$/gm, (_, name: string) => made[name]!());
  writeFileSync(join(directory, page), text);
}
