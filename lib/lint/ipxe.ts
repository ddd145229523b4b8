/**
 * Checks iPXE scripts, found by their names and first line, and the scripts they chain to: whether the files they name, relative
 * to the script, exist. Names with settings in them are skipped.
 */
import { baseName } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, MAX_FINDINGS } from "./finding.ts";
import { ancestorsOf, type Configured, missingFile, placesOf, resolve } from "./references.ts";

/** What a script begins with, before a blank or its first line's end. */
const MAGIC = /^#![ig]pxe\s/;
const MAGIC_BYTES = 7;
/** Names that are certainly scripts. */
const SURE_NAME = /\.(ipxe|gpxe)$/i;
/** Names that may be scripts: with one of these extensions, or with none. */
const SCRIPT_NAME = /\.(txt|cfg|conf|php|script)$|^[^.]+$/i;
/** How many files with such names are opened. All files of a tree would be too many. */
const MAX_GUESSES = 2000;
const MAX_SCRIPT_BYTES = 256 * 1024;
/** Commands that fetch a file. Other commands also take the names of fetched images, which may differ from those of files. */
const COMMANDS = /^(kernel|initrd|module|imgfetch|chain)$/;
/** Commands that do not decide anything: what follows them after && always runs, unless the script fails. */
const CERTAIN = /^(kernel|initrd|module|imgfetch|imgfree|imgargs|imgstat|dhcp|ifopen|ifconf|set|clear|echo)$/;
/** Options followed by a value as the next word. */
const WITH_VALUE = /^(-n|--name|-t|--timeout|-m|--mode)$/;

/** @param configured receives what they boot */
export async function lintIpxe(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  const places = placesOf(tree);
  const files = [...tree.files()];
  const pending = files.filter(({ path }) => SURE_NAME.test(baseName(path)));
  for (const file of files) {
    if (pending.length < MAX_GUESSES && SCRIPT_NAME.test(baseName(file.path))) pending.push(file);
  }
  const seen = new Set<string>();
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file.path) || findings.length > MAX_FINDINGS) continue;
    seen.add(file.path);
    if (!(await isScript(tree, file))) {
      const isMeant = SURE_NAME.test(baseName(file.path)) && file.size > 0 && file.size <= MAX_SCRIPT_BYTES;
      if (isMeant) findings.push(notScript(file));
      continue;
    }
    const directories = places.get(file.path) ?? [];
    pending.push(...(await lintScript(tree, { script: file, directories }, findings, configured)));
  }
  return findings;
}

async function isScript(tree: BootTree, file: TreeFile): Promise<boolean> {
  if (file.size < MAGIC_BYTES || file.size > MAX_SCRIPT_BYTES) return false;
  return MAGIC.test((await tree.bytes(file, 0, MAGIC_BYTES)).toString("latin1"));
}

function notScript({ path }: TreeFile): Finding {
  return {
    kind: "broken-image",
    file: path,
    line: 1,
    problem: "does not begin with #!ipxe",
    outcome: 'iPXE says "Exec format error", and does not run it',
    advice: "Write #!ipxe as its first line, with nothing before it, not even a byte order mark",
  };
}

/** A kernel with its initrds so far. */
interface Loaded {
  readonly file: TreeFile;
  readonly initrds: TreeFile[];
}

/** Returns the scripts that it chains to. */
async function lintScript(
  tree: BootTree,
  { script, directories }: { readonly script: TreeFile; readonly directories: readonly string[] },
  findings: Finding[],
  configured: Configured,
): Promise<TreeFile[]> {
  const chained: TreeFile[] = [];
  const images = new Images();
  let kernel: Loaded | undefined;
  // Nobody knows which initrds the kernel gets.
  const forget = () => {
    if (kernel !== undefined) kernel.initrds.length = 0;
    kernel = undefined;
  };
  for (const { line, words, isConditional, isHandled } of stepsIn(await tree.lines(script))) {
    const [command = ""] = words;
    if (command.startsWith(":") || command === "kernel" || command === "imgfree") kernel = undefined;
    if (!COMMANDS.test(command)) continue;
    const name = nameIn(words);
    const isImage = name !== undefined && images.isOther(name);
    const bases = name?.startsWith("/") ? directories.flatMap(ancestorsOf) : directories;
    const file = name === undefined || isImage ? undefined : resolve(tree, name, bases);
    if (file === undefined) {
      if (command === "initrd") forget();
      if (name === undefined || isImage || isConditional || isHandled) {
        images.add(words);
        continue;
      }
      const outcome = 'iPXE says "No such file or directory" (error 2d0c6), and the script ends';
      findings.push(missingFile(tree, { file: script.path, line }, { name, bases, outcome }));
      if (findings.length > MAX_FINDINGS) break;
      continue;
    }
    images.add(words);
    if (command === "chain") {
      chained.push(file);
    } else if (command === "initrd") {
      configured.initrds.set(file.path, file);
      if (isConditional) forget();
      else kernel?.initrds.push(file);
    } else if (command === "kernel") {
      configured.kernels.set(file.path, file);
      if (isConditional) continue;
      kernel = { file, initrds: [] };
      configured.pairs.push({ config: script.path, line, kernel: file, initrds: kernel.initrds });
    }
  }
  return chained;
}

/** A command of a script. */
interface Step {
  readonly line: number;
  readonly words: readonly string[];
  /** Whether it may be skipped. */
  readonly isConditional: boolean;
  /** Whether the script goes on when it fails. */
  readonly isHandled: boolean;
}

/** A backslash continues a line, # begins a comment, and &&, || and ; join commands (iPXE's core/exec.c). */
function* stepsIn(lines: readonly string[]): Generator<Step> {
  let text = "";
  let begun = 1;
  for (const [index, part] of lines.entries()) {
    if (text === "") begun = index + 1;
    const isContinued = part.endsWith("\\") && text.length < MAX_SCRIPT_BYTES;
    text += isContinued ? part.slice(0, -1) : part;
    if (isContinued) continue;
    const words = text.split(/\s+/).filter((word) => word !== "");
    // A label may have a command on its line.
    if (words[0]?.startsWith(":"))
      yield { line: begun, words: [words.shift()!], isConditional: false, isHandled: false };
    const comment = words.findIndex((word) => word.startsWith("#"));
    for (const chain of parts(comment < 0 ? words : words.slice(0, comment), /^;$/)) {
      const isHandled = chain.includes("||");
      let isConditional = false;
      for (const step of parts(chain, /^(&&|\|\|)$/)) {
        yield { line: begun, words: step, isConditional, isHandled };
        isConditional ||= isHandled || !CERTAIN.test(step[0] ?? "");
      }
    }
    text = "";
  }
}

/** What is between words of a kind. */
function* parts(words: readonly string[], between: RegExp): Generator<string[]> {
  let part: string[] = [];
  for (const word of words) {
    if (between.test(word)) {
      yield part;
      part = [];
    } else part.push(word);
  }
  yield part;
}

/** The images that a script has fetched, by the names that later commands may use for them. */
class Images {
  readonly #sources = new Map<string, string>();

  add(words: readonly string[]): void {
    for (const [index, word] of words.entries()) {
      const isName = /^(-n|--name)$/.test(words[index - 1] ?? "");
      const name = word.replace(/^(--name|-n)=/, "").replace(/^.*\//, "");
      if (index > 0) this.#sources.set(name, isName || name !== word ? "" : word);
    }
  }

  /** Whether the name means an image that was fetched by another name. */
  isOther(name: string): boolean {
    const source = this.#sources.get(name);
    return source !== undefined && source !== name;
  }
}

/** The file's name; undefined if there is none, or it is on another server, depends on a setting, or is not just a path. */
function nameIn(words: readonly string[]): string | undefined {
  for (let index = 1; index < words.length; index++) {
    const word = words[index]!;
    if (WITH_VALUE.test(word)) index += 1;
    else if (!word.startsWith("-"))
      return /^[a-z][a-z0-9+.-]*:|^\/\/|[?#%]|\$\{/i.test(word) ? undefined : word;
  }
  return undefined;
}
