/**
 * Checks GRUB's EFI programs: whether a configuration is where the image looks for it. grub-mkimage embeds the directory and the
 * first commands in the image (GRUB's include/grub/kernel.h).
 */
import { baseName, parentPath } from "../tree/rules.ts";
import type { TreeNode } from "../tree/tree.ts";
import type { BootTree } from "./boot-tree.ts";
import type { EfiProgram } from "./efi-program.ts";
import type { Finding } from "./finding.ts";
import { ancestorsOf } from "./references.ts";

const CONFIG_NAME = "grub.cfg";
/** The magic number of GRUB's "mods" section. */
const MAGIC = "mimg";
/** Kinds of objects in the section. */
const MEMDISK = 1;
const CONFIG = 2;
const PREFIX = 3;
/** Real images have less. */
const MAX_MODULES_BYTES = 64 * 1024 * 1024;
/** How far a script in a memdisk extends at most before and after the configuration's name. */
const MAX_SCRIPT_BYTES = 4096;
/** Where the images of distributions also look, by scripts in packed memdisks. */
const USUAL = ["/boot/grub", "/boot/grub2", "/grub", "/grub2", "/EFI/BOOT"];
/** The directory that the loader came from, as a GRUB variable. */
const OWN = "$cmdpath";
/** A variable of the GRUBs of Fedora and its derivatives, which also look in their own directory. */
const FEDORAS_OWN = "fw_path";
const VARIABLE = /\$\{(\w+)\}/g;

/** Finds GRUBs without a configuration. A tree with no configuration at all is a store of loaders, from which others are made. */
export async function lintGrubImages(
  tree: BootTree,
  programs: ReadonlyMap<string, EfiProgram>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (!isConfigured(tree)) return findings;
  for (const [path, program] of programs) {
    const directories = await configDirectories(tree, path, program);
    if (directories === undefined) continue;
    const bases = ancestorsOf(parentPath(path));
    const found = directories.some((directory) =>
      directory === OWN
        ? hasConfig(tree, parentPath(path))
        : bases.some((base) => hasConfig(tree, `${base}/${directory}`)),
    );
    if (found) continue;
    const [first = OWN] = directories;
    const place = first === OWN ? `/${parentPath(path)}` : first;
    const near = bases
      .map((base) => tree.near(`${base}/${place}/${CONFIG_NAME}`))
      .find((one) => one !== undefined);
    findings.push({
      kind: "missing-config",
      file: path,
      line: undefined,
      problem: `is a GRUB that looks for ${place.replace(/\/$/, "")}/${CONFIG_NAME}, which is not there`,
      outcome: 'GRUB has no menu, and stops at a "grub>" prompt',
      advice:
        near === undefined
          ? "Publish the configuration there, as seen from the directory that the TFTP server serves"
          : `There is ${near}: TFTP servers tell upper case from lower case`,
    });
  }
  return findings;
}

function isConfigured(tree: BootTree): boolean {
  return tree.tree.nodes.some(({ entry: { path } }) =>
    /^(grub\.cfg(-.*)?|pxelinux\.cfg|(sys|iso|ext)linux\.(cfg|conf)|.*\.ipxe)$/is.test(baseName(path)),
  );
}

/** Whether the directory has a configuration, possibly for some machines only, or for a platform (grub-mknetdir). */
function hasConfig(tree: BootTree, path: string): boolean {
  const directory = tree.tree.find(path);
  const names = [...(directory?.children.keys() ?? [])];
  return names.some(
    (name) => /^grub\.cfg(-.*)?$/.test(name) || (/-efi$/.test(name) && isConfigFor(tree, directory, name)),
  );
}

/** Whether the directory has a configuration in its subdirectory for a platform, such as x86_64-efi. */
function isConfigFor(tree: BootTree, directory: TreeNode | undefined, platform: string): boolean {
  return tree.file(`${directory?.entry.path}/${platform}/${CONFIG_NAME}`) !== undefined;
}

/** Where an image looks, in order; undefined if it is not GRUB, or that cannot be determined. */
async function configDirectories(
  tree: BootTree,
  path: string,
  { grubModules, machine }: EfiProgram,
): Promise<string[] | undefined> {
  const file = tree.file(path);
  if (file === undefined || grubModules === undefined || grubModules.size > MAX_MODULES_BYTES)
    return undefined;
  const bytes = await tree.bytes(file, grubModules.offset, grubModules.size);
  if (bytes.length < 24 || bytes.toString("latin1", 0, 4) !== MAGIC) return undefined;
  const isWide = machine !== "ia32" && machine !== "arm";
  const begin = bytes.readUInt32LE(isWide ? 8 : 4);
  let prefix = "";
  let script = "";
  let memdisk: Buffer | undefined;
  for (let at = begin; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4);
    if (size < 8) break;
    const content = bytes.subarray(at + 8, at + size);
    const kind = bytes.readUInt32LE(at);
    if (kind === PREFIX) prefix = textOf(content);
    else if (kind === CONFIG) script += textOf(content);
    else if (kind === MEMDISK) memdisk = content;
    at += size;
  }
  const scripts = memdisk === undefined ? [] : scriptsIn(memdisk);
  const directories = directoriesIn([script, ...scripts].join("\n"), prefix);
  if (directories === undefined) return undefined;
  // The scripts of a packed memdisk cannot be read.
  if (memdisk !== undefined && scripts.length === 0) directories.push(...USUAL, OWN);
  if (bytes.includes(FEDORAS_OWN)) directories.push(OWN);
  return directories;
}

function textOf(content: Buffer): string {
  const end = content.indexOf(0);
  return content.toString("latin1", 0, end < 0 ? content.length : end);
}

/** Texts in a memdisk that name a configuration. File systems store small files in one piece. */
function scriptsIn(memdisk: Buffer): string[] {
  const found: string[] = [];
  for (let at = memdisk.indexOf(CONFIG_NAME); at >= 0; ) {
    let begin = at;
    let end = at;
    while (begin > Math.max(0, at - MAX_SCRIPT_BYTES) && isText(memdisk[begin - 1]!)) begin -= 1;
    while (end < Math.min(memdisk.length, at + MAX_SCRIPT_BYTES) && isText(memdisk[end]!)) end += 1;
    found.push(memdisk.toString("latin1", begin, end));
    at = memdisk.indexOf(CONFIG_NAME, end + 1);
  }
  // A name alone is an entry of the file system's directory, not a script.
  return found.filter((text) => /\s/.test(text.trim()));
}

function isText(byte: number): boolean {
  return byte === 9 || byte === 10 || (byte >= 32 && byte < 127);
}

/** The directories in which a script looks; undefined if the image does not determine them. */
function directoriesIn(script: string, prefix: string): string[] | undefined {
  const text = script.replaceAll(VARIABLE, "$$$1").replaceAll(/["']/g, "");
  const prefixes = [prefix === "" ? OWN : pathOnServer(prefix)];
  for (const [, value = ""] of text.matchAll(/\bprefix=(\S+)/g)) prefixes.push(pathOnServer(value));
  const found = [...prefixes];
  for (const [, name = ""] of text.matchAll(/\b(?:normal|configfile|source|linux|chainloader)[ \t]+(\S+)/g)) {
    if (/^\(memdisk\)/.test(name) || name.startsWith("$prefix/")) continue;
    if (!name.endsWith(`/${CONFIG_NAME}`)) return undefined;
    const directory = parentPath(name);
    found.push(directory === OWN ? OWN : pathOnServer(directory));
  }
  return found.includes(undefined) ? undefined : found.filter((directory) => directory !== undefined);
}

/** A directory on the server that GRUB came from; undefined if it is elsewhere. */
function pathOnServer(directory: string): string | undefined {
  const [, device, path = ""] = /^(?:\(([^)]*)\))?(.*)$/.exec(directory) ?? [];
  if (device !== undefined && !/^(\$root|(tftp|pxe)(,.*)?|http)$/.test(device)) return undefined;
  return path.startsWith("/") && !path.includes("$") ? path : undefined;
}
