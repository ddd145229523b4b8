/**
 * iPXE scripts, by their names and first line, and what they chain to: which files they name, relative to the script, and whether they
 * are there. Names with settings in them are left alone.
 */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeFile } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { Finding } from "./finding.ts";
import { ancestorsOf, type Configured, missingFile, resolve } from "./references.ts";

const MAGIC = "#!ipxe";
/** A name that a script may have: with such an ending, or without any. */
const SCRIPT_NAME = /\.(ipxe|gpxe|txt|cfg|conf|php|script)$|^[^.]+$/i;
const MAX_SCRIPT_BYTES = 256 * 1024;
const COMMANDS = /^(kernel|initrd|module|imgfetch|imgload|imgexec|imgargs|chain|boot|imgselect)$/;
/** Options that have a value after a blank. */
const WITH_VALUE = /^(-n|--name|-t|--timeout|-m|--mode)$/;

/** @param configured is told what they boot */
export async function lintIpxe(tree: BootTree, configured: Configured): Promise<Finding[]> {
  const findings: Finding[] = [];
  // To look into every file of a tree would be to read all of it.
  const pending = [...tree.files()].filter(({ path }) => SCRIPT_NAME.test(baseName(path)));
  const seen = new Set<string>();
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (seen.has(file.path)) continue;
    seen.add(file.path);
    if (await isScript(tree, file)) pending.push(...(await lintScript(tree, file, findings, configured)));
  }
  return findings;
}

async function isScript(tree: BootTree, file: TreeFile): Promise<boolean> {
  if (file.size < MAGIC.length || file.size > MAX_SCRIPT_BYTES) return false;
  return (await tree.bytes(file, 0, MAGIC.length)).toString("latin1") === MAGIC;
}

/** Returns what it chains to. */
async function lintScript(
  tree: BootTree,
  script: TreeFile,
  findings: Finding[],
  configured: Configured,
): Promise<TreeFile[]> {
  const chained: TreeFile[] = [];
  const directory = parentPath(script.path);
  const named = new Set<string>();
  let kernel: { readonly file: TreeFile; readonly line: number } | undefined;
  for (const [index, text] of (await tree.lines(script)).entries()) {
    const line = index + 1;
    const words = text.trim().split(/\s+/);
    const [command = ""] = words;
    if (command.startsWith(":")) kernel = undefined;
    if (!COMMANDS.test(command)) continue;
    const name = nameIn(words);
    // What comes after || copes with what is not there.
    if (name === undefined || named.has(name) || text.includes("||")) continue;
    if (command === "kernel" || command === "initrd" || command === "imgfetch" || command === "module") {
      named.add(words[words.indexOf("--name") + 1] ?? name).add(name.slice(name.lastIndexOf("/") + 1));
    }
    const bases = name.startsWith("/") ? ancestorsOf(directory) : [directory];
    const file = resolve(tree, name, bases);
    if (file === undefined) {
      const outcome = 'iPXE says "No such file or directory" (error 2d0c6), and the script ends';
      findings.push(missingFile(tree, { file: script.path, line }, { name, bases, outcome }));
    } else if (command === "chain") {
      chained.push(file);
    } else if (command === "initrd") {
      configured.initrds.set(file.path, file);
      if (kernel !== undefined) {
        configured.pairs.push({
          config: script.path,
          line: kernel.line,
          kernel: kernel.file,
          initrds: [file],
        });
      }
    } else if (command === "kernel") {
      configured.kernels.set(file.path, file);
      kernel = { file, line };
    }
  }
  return chained;
}

/** The file's name; undefined where there is none, or it is on another server or depends on a setting. */
function nameIn(words: readonly string[]): string | undefined {
  for (let index = 1; index < words.length; index++) {
    const word = words[index]!;
    if (WITH_VALUE.test(word)) index += 1;
    else if (!word.startsWith("-")) return /^[a-z][a-z0-9+.-]*:|\$\{/i.test(word) ? undefined : word;
  }
  return undefined;
}
