/**
 * Checks iPXE scripts, found by their names and first line, and the scripts they chain to: whether the files they name, relative
 * to the script, exist. Names with settings in them are skipped.
 */
import { baseName } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import { type Finding, MAX_FINDINGS } from "./finding.ts";
import { ancestorsOf, type Configured, missingFile, placesOf, resolve } from "./references.ts";

const MAGIC = "#!ipxe";
/** Names that are certainly scripts. */
const SURE_NAME = /\.(ipxe|gpxe)$/i;
/** Names that may be scripts: with one of these extensions, or with none. */
const SCRIPT_NAME = /\.(txt|cfg|conf|php|script)$|^[^.]+$/i;
/** How many files with such names are opened. All files of a tree would be too many. */
const MAX_GUESSES = 2000;
const MAX_SCRIPT_BYTES = 256 * 1024;
/** Commands that fetch a file. Other commands also take the names of fetched images, which may differ from those of files. */
const COMMANDS = /^(kernel|initrd|module|imgfetch|chain)$/;
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
    if (!(await isScript(tree, file))) continue;
    const directories = places.get(file.path) ?? [];
    pending.push(...(await lintScript(tree, { script: file, directories }, findings, configured)));
  }
  return findings;
}

async function isScript(tree: BootTree, file: TreeFile): Promise<boolean> {
  if (file.size < MAGIC.length || file.size > MAX_SCRIPT_BYTES) return false;
  return (await tree.bytes(file, 0, MAGIC.length)).toString("latin1") === MAGIC;
}

/** Returns the scripts that it chains to. */
async function lintScript(
  tree: BootTree,
  { script, directories }: { readonly script: TreeFile; readonly directories: readonly string[] },
  findings: Finding[],
  configured: Configured,
): Promise<TreeFile[]> {
  const chained: TreeFile[] = [];
  const images = new Set<string>();
  let kernel: { readonly file: TreeFile; readonly line: number; readonly initrds: TreeFile[] } | undefined;
  for (const [index, text] of (await tree.lines(script)).entries()) {
    const line = index + 1;
    const words = text.trim().split(/\s+/);
    const [command = ""] = words;
    if (command.startsWith(":") || command === "kernel" || command === "imgfree") kernel = undefined;
    if (!COMMANDS.test(command)) continue;
    const name = nameIn(words);
    const isImage = name !== undefined && images.has(name);
    for (const image of imagesIn(words)) images.add(image);
    // A command with || handles a missing file.
    if (name === undefined || isImage || text.includes("||")) continue;
    const bases = name.startsWith("/") ? directories.flatMap(ancestorsOf) : directories;
    const file = resolve(tree, name, bases);
    if (file === undefined) {
      const outcome = 'iPXE says "No such file or directory" (error 2d0c6), and the script ends';
      findings.push(missingFile(tree, { file: script.path, line }, { name, bases, outcome }));
      if (findings.length > MAX_FINDINGS) break;
    } else if (command === "chain") {
      chained.push(file);
    } else if (command === "initrd") {
      configured.initrds.set(file.path, file);
      kernel?.initrds.push(file);
    } else if (command === "kernel") {
      configured.kernels.set(file.path, file);
      kernel = { file, line, initrds: [] };
      configured.pairs.push({ config: script.path, line, kernel: file, initrds: kernel.initrds });
    }
  }
  return chained;
}

/** The names that later commands may use for the fetched image. */
function imagesIn(words: readonly string[]): string[] {
  return words.slice(1).map((word) => word.replace(/^--name=/, "").replace(/^.*\//, ""));
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
