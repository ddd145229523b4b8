/**
 * Recognizes boot loaders and their configurations by path, and guesses what will be read next: a machine that opens the
 * configuration of pxelinux or GRUB soon opens the kernel and the initrd named in it. This takes no grammar: every word that
 * names a file of the tree counts.
 */
import { FileReader } from "../cache/file-reader.ts";
import { inSteps } from "../steps.ts";
import type { Chunks, Tree, TreeFile } from "../tree/tree.ts";

/** Configurations are text written by people. A larger file is something else. */
const MAX_CONFIGURATION_BYTES = 64 * 1024;
/** A menu may name every installer there is. The first entries are at the top. */
const MOST_FILES = 16;

/** The files that a configuration names, in the order of its text. @throws Error when it cannot be read; WrongFileError */
export async function namedBy(configuration: TreeFile, tree: Tree, chunks: Chunks): Promise<TreeFile[]> {
  const pieces: Buffer[] = [];
  for await (const piece of new FileReader([configuration], tree.chunks, chunks).read(0)) pieces.push(piece);
  return inSteps(filesNamedIn(Buffer.concat(pieces).toString(), configuration.path, tree));
}

/**
 * Whether firmware or another loader loads this file, judged by its path: pxelinux.0, ldlinux.c32, grubx64.efi, undionly.kpxe.
 */
export function isBootLoader({ path }: TreeFile): boolean {
  return /\.(0|c32|efi|k?pxe)$/i.test(path);
}

/** Whether this is a boot loader's configuration, judged by its path: pxelinux.cfg/default, grub.cfg, menu.ipxe. */
export function isBootConfiguration({ path, size }: TreeFile): boolean {
  if (size > MAX_CONFIGURATION_BYTES) return false;
  return /(^|\/)pxelinux\.cfg\/[^/]+$/.test(path) || /\.(cfg|conf|ipxe)$/i.test(path);
}

/**
 * The files that a configuration names, in the order of its text. A generator, so that the caller can pause: there may be 32,000
 * words, and each may lead through forty links of two thousand parts.
 *
 * @param path of the configuration
 */
export function* filesNamedIn(text: string, path: string, tree: Tree): Generator<void, TreeFile[]> {
  const directory = parentOf(path);
  // pxelinux resolves names from the directory it was loaded from itself, which is above pxelinux.cfg.
  const bases = ["", directory, parentOf(directory)];
  const found = new Set<TreeFile>();
  for (const word of new Set(words(text))) {
    for (const base of bases) {
      yield;
      const entry = tree.find(`${base}/${word}`)?.entry;
      if (entry?.kind !== "file") continue;
      if (entry.path !== path) found.add(entry);
      break;
    }
    if (found.size >= MOST_FILES) break;
  }
  return [...found];
}

/**
 * The words of `linux (tftp)/a/linux`, `append initrd=a.gz,b.gz`, `set prefix="x"`, `kernel tftp://host/a`, including a, a.gz and
 * b.gz.
 */
function words(text: string): string[] {
  return (
    text
      .split("\n")
      .filter((line) => !/^\s*#/.test(line))
      // The brackets must not contain "(": otherwise each of 65,000 of them would be searched through to the end.
      .flatMap((line) => line.replace(/\([^()\s]*\)/g, "").split(/[\s=,"']+/))
      .map((word) => word.replace(/^([a-z]+:\/\/[^/]*|\$\{?[a-z_]+\}?)/i, ""))
      .filter((word) => /[^/.]/.test(word))
  );
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
