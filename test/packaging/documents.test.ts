/** The manual and the completions say what the program says of itself, and their readers, man and the shells, accept them. */
import { execFile } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Command } from "commander";
import t from "tap";
import { mountCommand } from "../../lib/cli/mount.ts";
import { parseHelperArguments } from "../../lib/cli/mount-helper.ts";
import { wholeProgram } from "../../lib/cli/program.ts";
import { type Result, run, temporaryDirectory } from "../support/icfs.ts";
import { plain } from "../support/plain.ts";

const PACKAGING = fileURLToPath(new URL("../../packaging/", import.meta.url));
const COMPLETE_ZSH = fileURLToPath(new URL("complete.zsh", import.meta.url));
const env = { ...process.env, LC_ALL: "C.UTF-8", TERM: "dumb" };

const directory = await temporaryDirectory(t);
const generate = (script: string, to: string) =>
  promisify(execFile)(...plain(process.execPath, [join(PACKAGING, script), join(directory, to)]), { env });
await Promise.all([generate("man.ts", "man"), generate("completions.ts", "completions")]);
// The name under which zsh looks for it.
await copyFile(join(directory, "completions/icfs.zsh"), join(directory, "completions/_icfs"));
const sh = (...command: [string, ...string[]]): Promise<Result> =>
  run(...plain(command[0], command.slice(1)), { env });

/** The page as a reader sees it, without its hyphenation and its line breaks. */
async function page(name: string): Promise<string> {
  const { stdout } = await sh("mandoc", "-T", "utf8", "-O", "width=900", join(directory, "man", name));
  // Bold and underlined text is overstruck, as on a typewriter.
  return stdout.replace(/.[\b]/g, "").replace(/\s+/g, " ");
}

const optionsIn = (help: string) =>
  [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name]) => name!);
const program = await wholeProgram();
/** Commands by the words that call them, without those that only contain other commands. */
function commandsOf(command: Command, path = "icfs"): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((one) => commandsOf(one, `${path} ${one.name()}`));
}

t.test("mandoc and man find no fault with the manual", async (t) => {
  for (const name of ["icfs.1", "mount.icfs.8"]) {
    const file = join(directory, "man", name);
    const { stdout } = await sh("mandoc", "-T", "lint", "-W", "warning", file);
    t.equal(stdout, "");
    t.match(await sh("man", "--warnings", "-l", file), { code: 0, stderr: "" });
    const headings = [...(await readFile(file, "utf8")).matchAll(/^\.Sh (.*)$/gm)].map(([, text]) => text);
    for (const heading of [
      "NAME",
      "SYNOPSIS",
      "DESCRIPTION",
      "OPTIONS",
      "EXIT STATUS",
      "FILES",
      "EXAMPLES",
      "SEE ALSO",
    ]) {
      t.ok(headings.includes(heading), `${name}: ${heading}`);
    }
  }
});

t.test("icfs(1) has every command, argument and option of --help", async (t) => {
  const text = await page("icfs.1");
  for (const [named, command] of commandsOf(program)) {
    const says = command.helpInformation();
    const section = text
      .split(new RegExp(` ${named} ${named} `))[1]
      ?.split(/ icfs (\w+(?: \w+)?) icfs \1 /)[0];
    t.ok(section, named);
    for (const option of optionsIn(says))
      if (option !== "--help") t.ok(section?.includes(` ${option} `), `${named} ${option}`);
    const [, defaults] = /\(default: ([^,)]*)/.exec(says.replace(/\s+/g, " ")) ?? [];
    if (defaults !== undefined)
      t.ok(section?.includes(`default: ${defaults}`), `${named}: the default is documented`);
  }
});

t.test("docs/OPTIONS.md matches the program", async (t) => {
  const { stdout } = await promisify(execFile)(...plain(process.execPath, [join(PACKAGING, "options.ts")]), {
    env,
  });
  const document = await readFile(join(PACKAGING, "../docs/OPTIONS.md"), "utf8");
  t.equal(document, stdout, "node packaging/options.ts >docs/OPTIONS.md");
});

t.test("mount.icfs(8) has every option that mount.icfs knows, and no other", async (t) => {
  const text = await page("mount.icfs.8");
  const listed = text.split(" OPTIONS ")[1]!.split(" FILES ")[0]!;
  const mount = mountCommand();
  const options = optionsIn(mount.helpInformation()).map((option) => option.slice(2));
  /** A value that is missing, or is one too many, is another error. */
  const knows = (option: string) => {
    try {
      parseHelperArguments(["x", "/", "-o", option], mount.options);
      return true;
    } catch (error) {
      return !/unknown option/.test(String(error));
    }
  };
  for (const option of options) {
    t.equal(new RegExp(` ${option}(=\\S+)? `).test(listed), knows(option), option);
  }
  t.notMatch(text, /ICFS_/, "the page names no ICFS_ variables");
});

/** The words that each shell offers after these. */
const SHELLS: Record<string, (line: string) => Promise<string[]>> = {
  bash: async (line) => {
    const script = `
      . /usr/share/bash-completion/bash_completion
      . ${directory}/completions/icfs.bash
      compopt() { :; }
      COMP_LINE=$1 COMP_POINT=\${#1}
      # As readline has it: = and : are words.
      read -ra COMP_WORDS <<<"\${1//=/ = }"
      [[ $1 != *[\\ =] ]] || COMP_WORDS+=("")
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      [[ $(complete -p icfs) == *"-F _icfs icfs" ]] && _icfs && printf '%s\\n' "\${COMPREPLY[@]}"`;
    return words(await sh("bash", "-c", script, "bash", line));
  },
  zsh: async (line) => words(await sh("zsh", "-f", COMPLETE_ZSH, join(directory, "completions"), line)),
  fish: async (line) => {
    const said = await sh(
      "fish",
      "--no-config",
      "-c",
      `source ${directory}/completions/icfs.fish; complete -C "$argv[1]"`,
      line,
    );
    // fish prints each word with its description, and an option's values with the option.
    return words(said).map((one) => one.split("\t")[0]!.replace(/^--[a-z-]+=/, ""));
  },
};

/** bash and zsh add the slash to a directory's name themselves. */
const DIRECTORY: Record<string, string> = { bash: "/usr/share", zsh: "share", fish: "/usr/share/" };

/** The lines of an output. zsh may offer a word more than once. */
const words = ({ stdout }: Result) => [...new Set(stdout.split("\n").filter((word) => word !== ""))].sort();

t.test("every shell completes commands, options and choices", async (t) => {
  for (const [shell, complete] of Object.entries(SHELLS)) {
    t.same(await complete("icfs mo"), ["mount"], `${shell}: a command`);
    t.same(await complete("icfs cache v"), ["verify"], `${shell}: a subcommand`);
    t.same(await complete("icfs mount --pre"), ["--prefetch"], `${shell}: an option`);
    t.same(
      await complete("icfs mount --prefetch "),
      ["all", "boot", "none"],
      `${shell}: an option's choices`,
    );
    t.same(await complete("icfs mount --open=w"), ["whole"], `${shell}: a value after =`);
    t.same(await complete("icfs grant a b pub"), ["publisher"], `${shell}: an argument`);
    t.same(
      await complete("icfs mount --network local x /usr/shar"),
      [DIRECTORY[shell]],
      `${shell}: a directory`,
    );
  }
});
