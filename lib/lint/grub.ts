/** GRUB's configurations: which files they name, and whether GRUB finds them. What depends on variables or conditions is left alone. */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";
import { ancestorsOf, type Configured, missingFile, resolve } from "./references.ts";

const LOADERS = /^(linux|linux16|linuxefi|multiboot|multiboot2|chainloader)$/;
const INITRDS = /^(initrd|initrd16|initrdefi)$/;
const CONFIGS = /^(source|\.|configfile|normal)$/;
const OTHERS = /^(devicetree|module|module2)$/;
/** Where GRUB keeps its modules; a configuration in there is for GRUB's own use. */
const PLATFORM =
  /(^|\/)(x86_64|i386|arm64|arm|ia64|riscv64|loongarch64)-(efi|pc|coreboot|emu|qemu|xen|ieee1275)\//;

interface Command {
  readonly line: number;
  readonly words: readonly string[];
}

/** @param configured is told what they boot */
export async function lintGrub(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const pending = [...tree.files()].filter(
    ({ path }) => /^grub\.cfg(-.*)?$/.test(baseName(path)) && !PLATFORM.test(path),
  );
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file.path)) continue;
    seen.add(file.path);
    pending.push(...(await lintConfig(tree, file, findings, configured)));
  }
  return findings;
}

/** Returns the configurations that this one goes on with. */
async function lintConfig(
  tree: BootTree,
  config: TreeFile,
  findings: Finding[],
  configured: Configured,
): Promise<TreeFile[]> {
  const bases = ancestorsOf(parentPath(config.path));
  const variables = new Map<string, string>();
  const assigned = new Set<string>();
  const more: TreeFile[] = [];
  let kernel: { readonly file: TreeFile; readonly line: number } | undefined;
  let conditions = 0;
  let isElsewhere = false;
  const find = (text: string, line: number, outcome: string): TreeFile | undefined => {
    const name = pathOf(text, variables, parentPath(config.path));
    if (name === undefined || isElsewhere) return undefined;
    const file = resolve(tree, name, bases);
    if (file === undefined && conditions === 0) {
      findings.push(missingFile(tree, { file: config.path, line }, { name, bases, outcome }));
    }
    return file;
  };
  for (const { line, words } of commandsOf(await tree.lines(config))) {
    const [command = "", ...rest] = words;
    const names = rest.filter((word) => !word.startsWith("-"));
    const assignment = /^([A-Za-z_]\w*)=(.*)$/.exec(command === "set" ? (rest[0] ?? "") : command);
    if (assignment !== null) {
      const [, name = "", value = ""] = assignment;
      // Which of several values counts, nobody can say.
      if (assigned.has(name) || conditions > 0) variables.delete(name);
      else variables.set(name, value);
      assigned.add(name);
      if (name === "root") isElsewhere = !/^\(?(tftp|http|pxe|net)/.test(value);
    } else if (command === "search") isElsewhere = true;
    else if (command === "menuentry" || command === "submenu") {
      isElsewhere = false;
      kernel = undefined;
    } else if (/^(if|while|until|for|function)$/.test(command)) conditions += 1;
    else if (/^(fi|done)$/.test(command)) conditions = Math.max(0, conditions - 1);
    else if (LOADERS.test(command) && names[0] !== undefined) {
      const file = find(names[0], line, `GRUB says "file not found", and waits at its menu`);
      kernel = file && { file, line };
      if (file !== undefined) configured.kernels.set(file.path, file);
    } else if (INITRDS.test(command)) {
      const found = names.map((name) =>
        find(name, line, `GRUB says "file not found", and waits at its menu`),
      );
      const initrds = found.filter((file) => file !== undefined);
      for (const initrd of initrds) configured.initrds.set(initrd.path, initrd);
      if (kernel !== undefined && initrds.length > 0) {
        configured.pairs.push({ config: config.path, line: kernel.line, kernel: kernel.file, initrds });
      }
    } else if (CONFIGS.test(command) && names[0] !== undefined) {
      const file = find(
        names[0],
        line,
        'GRUB says "file not found", and what the file adds is missing from the menu',
      );
      if (file !== undefined) more.push(file);
    } else if (OTHERS.test(command) && names[0] !== undefined) {
      find(names[0], line, `GRUB says "file not found", and waits at its menu`);
    }
  }
  return more;
}

/** A path in the tree; undefined where it is on another device, or depends on what is not known. */
function pathOf(word: string, variables: ReadonlyMap<string, string>, prefix: string): string | undefined {
  const known = word.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (all, a, b) => {
    const name: string = a ?? b;
    return variables.get(name) ?? (name === "prefix" ? `/${prefix}` : all);
  });
  if (known.includes("$")) return undefined;
  const device = /^\(([^)]*)\)/.exec(known);
  if (device === null) return known.startsWith("/") ? known : undefined;
  return /^(tftp|pxe)(,|$)/.test(device[1]!) ? known.slice(device[0].length) : undefined;
}

/** Commands with their words, without quotes. Braces and semicolons end a command, as in GRUB's shell (GRUB's manual, "Shell-like scripting"). */
function* commandsOf(lines: readonly string[]): Generator<Command> {
  let words: string[] = [];
  let begun = 1;
  let word: string | undefined;
  let quote = "";
  const endWord = () => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  for (const [index, text] of lines.entries()) {
    if (words.length === 0 && word === undefined) begun = index + 1;
    let isContinued = false;
    for (let at = 0; at < text.length; at++) {
      const char = text[at]!;
      if (quote !== "") {
        if (char === quote) quote = "";
        else word = (word ?? "") + char;
      } else if (char === "'" || char === '"') {
        quote = char;
        word ??= "";
      } else if (char === "\\") {
        isContinued = at === text.length - 1;
        if (!isContinued) word = (word ?? "") + text[++at]!;
      } else if (char === "#" && word === undefined) break;
      else if (/\s/.test(char)) endWord();
      else if (char === ";" || char === "{" || char === "}") {
        // ${name} is a word.
        if (char !== ";" && (word?.endsWith("$") || (char === "}" && word?.includes("${")))) word += char;
        else {
          endWord();
          if (words.length > 0) yield { line: begun, words };
          words = [];
          begun = index + 1;
        }
      } else word = (word ?? "") + char;
    }
    if (quote !== "" || isContinued) continue;
    endWord();
    // `then`, `else` and `do` stand before a command.
    while (/^(then|else|do)$/.test(words[0] ?? "")) words.shift();
    if (words.length > 0) yield { line: begun, words };
    words = [];
  }
}
